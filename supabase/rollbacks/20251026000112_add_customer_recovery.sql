-- Undoes 20251026000112_add_customer_recovery.sql.
drop function if exists public.clean_expired();
drop function if exists public.delete_customer(uuid, text, jsonb);
drop function if exists public.set_customer_status(text, boolean, text);
drop function if exists public.change_password(uuid, uuid, text, text, jsonb);
drop function if exists public.reset_password(uuid, text, text, jsonb);
drop function if exists public.set_password(uuid, text);
drop function if exists public.request_password_reset(text, jsonb, jsonb);
notify pgrst, 'reload schema';
