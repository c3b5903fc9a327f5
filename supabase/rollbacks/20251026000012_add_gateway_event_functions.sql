-- Undoes 20251026000012_add_gateway_event_functions.sql.
drop function if exists public.apply_gateway_facts(jsonb, uuid);
drop function if exists public.record_gateway_event(jsonb, text, text);
drop function if exists public.apply_gateway_event(jsonb, text);
drop function if exists public.lock_event_transaction(jsonb);
drop function if exists public.move_payment(uuid, jsonb);
drop function if exists public.complete_payment(uuid, jsonb);

notify pgrst, 'reload schema';
