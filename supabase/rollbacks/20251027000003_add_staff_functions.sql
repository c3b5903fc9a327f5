-- Undoes 20251027000003_add_staff_functions.sql. Links to a first password that are under way die.
drop trigger if exists tg_admin_users__end_invitation on public.admin_users;
drop trigger if exists tg_staff_credentials__end_invitation on public.staff_credentials;
drop function if exists
  public.clean_expired, app.purge_accounts, app.purge_events, app.tg_end_invitation,
  public.accept_staff_invitation, public.issue_staff_invitation, public.invite_staff, public.change_staff_password,
  public.note_wrong_staff_password, public.end_staff_session, public.authenticate_staff, public.finish_staff_login, public.begin_staff_login,
  public.delete_user, public.update_user, app.set_staff_password, public.create_user, public.list_users,
  app.staff_json;
drop table if exists
  public.staff_invitations;
delete from app.migrations where version = '20251027000003';
notify pgrst, 'reload schema';
