-- Undoes 20251026000010_add_payment_events.sql.
drop table if exists public.payment_idempotency_keys;
drop table if exists public.refunds;
drop table if exists public.stripe_events;

notify pgrst, 'reload schema';
