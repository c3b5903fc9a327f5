-- Undoes 20251027000007_add_staff_sessions.sql.
drop function if exists
  public.change_staff_password(integer, uuid, text, text, jsonb),
  public.end_staff_session(uuid, jsonb),
  public.authenticate_staff(integer, uuid),
  public.start_staff_session(integer, text, integer, jsonb, text),
  public.begin_staff_login(text, jsonb);
notify pgrst, 'reload schema';
