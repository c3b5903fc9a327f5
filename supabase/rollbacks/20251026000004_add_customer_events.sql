-- Undoes 20251026000004_add_customer_events.sql. The audit log of the accounts is lost.
drop function if exists public.customer_json(uuid);
drop function if exists public.record_customer_event(uuid, text, jsonb, text, jsonb);
drop table if exists public.customer_events;
notify pgrst, 'reload schema';
