"""The local Supabase, Stripe and mailbox of `make run` and the tests. The service never imports it."""
