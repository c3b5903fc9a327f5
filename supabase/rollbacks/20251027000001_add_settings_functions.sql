-- Undoes 20251027000001_add_settings_functions.sql.
drop function if exists
  public.set_logo(text),
  public.save_settings(jsonb),
  public.read_settings(text, boolean),
  public.keep_masked(jsonb, jsonb),
  public.holds_secret(text, jsonb),
  public.mask_secrets(jsonb),
  public.is_secret_name(text);
notify pgrst, 'reload schema';
