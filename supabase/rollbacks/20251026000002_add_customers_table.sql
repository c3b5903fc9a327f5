-- Undoes 20251026000002_add_customers_table.sql. All accounts are lost; bookings and payments stay as guests'.
drop trigger if exists tg_bookings__update_customer_stats on public.bookings;
drop trigger if exists tg_transactions__update_customer_stats on public.transactions;
drop trigger if exists tg_bookings__find_customer on public.bookings;
drop trigger if exists tg_bookings__find_customer_anew on public.bookings;
drop trigger if exists tg_bookings__hand_over_payments on public.bookings;
drop trigger if exists tg_email_outbox__apply_preferences on public.email_outbox;
drop trigger if exists tg_email_outbox__guard_address on public.email_outbox;
alter table public.transactions drop constraint if exists transactions_contact_check;
drop trigger if exists tg_bookings__queue_mail_received on public.bookings;
drop trigger if exists tg_bookings__queue_mail_changed on public.bookings;
drop trigger if exists tg_email_history__queue on public.email_history;
alter table public.bookings drop constraint if exists bookings_customer_id_fkey;
alter table public.transactions drop constraint if exists transactions_customer_id_fkey;
update public.bookings set customer_id = null where customer_id is not null;
drop table if exists
  public.customer_preferences, public.customer_addresses, public.password_reset_tokens,
  public.email_verification_tokens, public.customer_sessions, public.customers, app.mail_limits;
drop function if exists
  app.tg_email_history__queue, app.tg_bookings__queue_mail, app.queue_booking_mail, app.mail_contact, app.booking_mail_rank,
  app.tg_email_outbox__guard_address, app.without_strangers_words, app.is_proven_address,
  app.tg_email_outbox__apply_preferences, app.tg_bookings__hand_over_payments, app.tg_bookings__find_customer,
  app.find_verified_customer, app.prove_owner, app.proven_address, app.lock_address, app.lock_customer, app.visiting_customer, app.tg_update_customer_stats,
  public.update_customer_stats(uuid), public.calculate_loyalty_points(uuid);
delete from app.migrations where version = '20251026000002';
notify pgrst, 'reload schema';
