-- Undoes 20251027000000_add_staff.sql. Passwords and sessions of staff are lost; their accounts stay.
drop trigger if exists admin_users_record on public.admin_users;
drop trigger if exists admin_users_keep_an_admin on public.admin_users;
drop function if exists
  public.tg_admin_users__record(),
  public.tg_admin_users__keep_an_admin(),
  public.record_staff_event(integer, text, jsonb, jsonb),
  public.current_actor(),
  public.act_as_staff(jsonb);
drop table if exists public.staff_events, public.staff_sessions, public.staff_credentials;
notify pgrst, 'reload schema';
