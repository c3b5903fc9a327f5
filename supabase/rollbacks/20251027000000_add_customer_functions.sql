-- Undoes 20251027000000_add_customer_functions.sql. The audit log of accounts is lost.
drop function if exists
  public.export_customer, public.update_preferences, public.delete_address, public.save_address, app.address_json,
  public.claim_booking, public.list_customer_bookings, public.update_profile,
  public.delete_customer, public.set_customer_status, public.change_password, public.reset_password,
  app.set_customer_password, public.request_password_reset, public.verify_customer_by_hand, public.disown_account,
  public.verify_email,
  app.mark_customer_verified, app.check_link, public.issue_email_token, public.request_verification_mail,
  app.queue_requested_mail,
  public.register_customer, public.end_sessions, public.end_session, public.authenticate_customer,
  public.finish_login, public.begin_login, app.clear_logins, app.take_login, app.login_subject, app.start_customer_session, app.customer_json,
  public.note_wrong_password, app.record_customer_event;
drop table if exists
  public.customer_events;
delete from app.migrations where version = '20251027000000';
notify pgrst, 'reload schema';
