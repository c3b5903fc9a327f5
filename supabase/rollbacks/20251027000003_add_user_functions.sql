-- Undoes 20251027000003_add_user_functions.sql.
drop function if exists
  public.delete_user(integer, jsonb),
  public.update_user(integer, jsonb, text, jsonb),
  public.set_staff_password(integer, text, jsonb),
  public.create_user(jsonb, text, jsonb),
  public.list_users(text, text, text),
  public.staff_json(public.admin_users);
notify pgrst, 'reload schema';
