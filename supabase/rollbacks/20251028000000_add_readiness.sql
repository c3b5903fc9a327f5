-- Undoes 20251028000000_add_readiness.sql.
drop function if exists public.readiness();
notify pgrst, 'reload schema';
