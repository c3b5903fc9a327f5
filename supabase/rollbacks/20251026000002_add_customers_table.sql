-- Undoes 20251026000002_add_customers_table.sql. All accounts are lost; bookings and payments stay as guests'.
drop policy if exists bookings_select_customer on public.bookings;
drop policy if exists packages_select_customer on public.packages;
alter table public.bookings drop constraint if exists bookings_customer_id_fkey;
alter table public.transactions drop constraint if exists transactions_customer_id_fkey;
update public.bookings set customer_id = null where customer_id is not null;
drop table if exists public.customer_preferences, public.customer_addresses, public.password_reset_tokens,
  public.email_verification_tokens, public.customer_sessions, public.customers;
do $$
begin
  if exists (select from pg_roles where rolname = 'customer') then
    revoke select on public.packages from customer;
    revoke select (
      id, customer_id, name, email, phone, package, package_id, travel_date, return_date, booking_date, amount, currency,
      status, payment_status, payment_date, number_of_guests, message, special_requests, created_at
    ) on public.bookings from customer;
    revoke usage on schema public from customer;
    begin
      drop role customer;
    exception when dependent_objects_still_exist then
      null;  -- another database of the same server uses it
    end;
  end if;
end $$;
notify pgrst, 'reload schema';
