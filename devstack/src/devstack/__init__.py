"""A local Supabase, Stripe and mailbox for development and tests, without Docker, accounts or a network."""
