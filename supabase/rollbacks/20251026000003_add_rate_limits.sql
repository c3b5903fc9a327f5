-- Undoes 20251026000003_add_rate_limits.sql.
drop function if exists public.clear_rate_limit(text, text);
drop function if exists public.take_rate_limit(text, text, jsonb);
drop table if exists public.rate_limits;
notify pgrst, 'reload schema';
