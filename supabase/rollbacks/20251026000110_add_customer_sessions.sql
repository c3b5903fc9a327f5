-- Undoes 20251026000110_add_customer_sessions.sql.
drop function if exists public.end_sessions(uuid, uuid, jsonb);
drop function if exists public.end_session(uuid, uuid, jsonb);
drop function if exists public.authenticate_customer(uuid, uuid, boolean, jsonb);
drop function if exists public.finish_login(uuid, text, boolean, text, integer, jsonb);
drop function if exists public.begin_login(text, jsonb, jsonb);
drop function if exists public.login_subject(text, jsonb);
drop function if exists public.start_session(uuid, integer, jsonb);
notify pgrst, 'reload schema';
