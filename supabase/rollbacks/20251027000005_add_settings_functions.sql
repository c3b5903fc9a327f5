-- Undoes 20251027000005_add_settings_functions.sql.
drop function if exists public.set_logo(text), public.save_settings(jsonb, jsonb);
notify pgrst, 'reload schema';
