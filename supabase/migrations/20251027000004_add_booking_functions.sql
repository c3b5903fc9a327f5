-- Purpose: bookings as visitors make them and staff manages them.
-- Tables: bookings. Functions: create_booking, get_booking_summary, update_booking, update_booking_payment, delete_booking,
--   delete_bookings.
-- SECURITY DEFINER functions: none.
-- Roll back: supabase/rollbacks/20251027000004_add_booking_functions.sql

-- The amount is the package's price, never the browser's word.
create or replace function public.create_booking(
  p_values jsonb, p_customer_id uuid, p_currency text, p_limits jsonb, p_ip text
) returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_package public.packages;
  v_travel_date date := (p_values ->> 'travel_date')::date;
  v_guests integer := (p_values ->> 'number_of_guests')::integer;
  v_id public.booking_key;
begin
  perform public.take_rate_limit('booking', coalesce(p_customer_id::text, p_ip, 'unknown'), p_limits);
  if v_travel_date < current_date then
    raise sqlstate 'PT400' using message = 'The travel date is in the past.', hint = 'travel_date_past';
  end if;
  select * into v_package from public.packages where id::text = p_values ->> 'package_id';
  if not found then
    raise sqlstate 'PT404' using message = 'Package not found', hint = 'package_not_found';
  end if;
  insert into public.bookings (
    name, email, phone, package, package_id, travel_date, return_date, booking_date, number_of_guests, amount, currency,
    special_requests, message, customer_id, status, payment_status, source
  )
  values (
    p_values ->> 'customer_name', p_values ->> 'customer_email', p_values ->> 'customer_phone',
    v_package.title, v_package.id, v_travel_date, v_travel_date + coalesce(v_package.duration, 0), current_date,
    v_guests, v_package.price * v_guests, coalesce(p_currency, 'usd'),
    p_values ->> 'special_requests', p_values ->> 'special_requests', p_customer_id, 'Pending', 'Pending', 'Website'
  )
  returning id into v_id;
  return (select to_jsonb(s) - 'customer_id' from public.booking_summaries s where s.id = v_id);
end $$;
comment on function public.create_booking is
  'Book a package for {package_id, customer_name, customer_email, customer_phone, travel_date, number_of_guests, '
  'special_requests}, as the customer or, with null, as a guest; the booking as the API answers it. PT400, PT404, PT429.';
revoke all on function public.create_booking from public, anon, authenticated;
grant execute on function public.create_booking to service_role;

create or replace function public.get_booking_summary(p_booking_id text)
returns jsonb
language sql stable security invoker set search_path = ''
as $$
  select to_jsonb(s) from public.booking_summaries s where s.id = public.to_booking_key(p_booking_id);
$$;
comment on function public.get_booking_summary is 'A booking as the API answers it, or null.';
revoke all on function public.get_booking_summary from public, anon, authenticated;
grant execute on function public.get_booking_summary to service_role;

create or replace function public.update_booking(p_booking_id text, p_changes jsonb, p_changed_by text)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_booking public.bookings;
begin
  select * into v_booking from public.bookings where id = public.to_booking_key(p_booking_id) for update;
  if not found then
    raise sqlstate 'PT404' using message = 'Booking not found', hint = 'booking_not_found';
  end if;
  v_booking := jsonb_populate_record(v_booking, p_changes);
  update public.bookings b
  set name = v_booking.name, email = v_booking.email, phone = v_booking.phone, package = v_booking.package,
    package_id = v_booking.package_id, travel_date = v_booking.travel_date, return_date = v_booking.return_date,
    booking_date = v_booking.booking_date, amount = v_booking.amount, status = v_booking.status,
    message = v_booking.message, source = v_booking.source, assigned_to = v_booking.assigned_to,
    notes = v_booking.notes, number_of_guests = v_booking.number_of_guests,
    special_requests = v_booking.special_requests
  where b.id = v_booking.id;
  if p_changes ? 'payment_status' then
    perform public.set_booking_payment_status(
      p_booking_id => p_booking_id, p_payment_status => p_changes ->> 'payment_status', p_amount => null,
      p_changed_by => p_changed_by, p_reason => 'Changed with the booking'
    );
  end if;
  return (select to_jsonb(b) from public.bookings b where b.id = v_booking.id);
end $$;
comment on function public.update_booking is
  'Change what p_changes holds of a booking (columns by their names); a payment status by way of its own function. PT404.';
revoke all on function public.update_booking from public, anon, authenticated;
grant execute on function public.update_booking to service_role;

create or replace function public.update_booking_payment(
  p_booking_id text, p_payment_status text, p_amount numeric, p_changed_by text
) returns jsonb
language sql volatile security invoker set search_path = ''
as $$
  select public.set_booking_payment_status(
    p_booking_id,
    p_payment_status,
    (
      select public.booking_amount(p_amount, b.currency) from public.bookings b
      where b.id = public.to_booking_key(p_booking_id) and p_amount is not null
    ),
    p_changed_by,
    'Set by staff'
  );
$$;
comment on function public.update_booking_payment is
  'Note a payment made elsewhere, with the amount in currency units as bookings carry it (null: the booking''s); the row.';
revoke all on function public.update_booking_payment from public, anon, authenticated;
grant execute on function public.update_booking_payment to service_role;

create or replace function public.delete_booking(p_booking_id text)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  delete from public.bookings where id = public.to_booking_key(p_booking_id);
  if not found then
    raise sqlstate 'PT404' using message = 'Booking not found', hint = 'booking_not_found';
  end if;
exception when foreign_key_violation then
  raise sqlstate 'PT409' using message = 'This booking has payments and cannot be deleted. Cancel it instead.',
    hint = 'booking_has_payments';
end $$;
comment on function public.delete_booking is 'Delete a booking that no money is attached to. PT404, PT409.';
revoke all on function public.delete_booking from public, anon, authenticated;
grant execute on function public.delete_booking to service_role;

create or replace function public.delete_bookings(p_booking_ids text[])
returns integer
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_deleted integer;
begin
  delete from public.bookings b
  where b.id in (select public.to_booking_key(given.id) from unnest(p_booking_ids) given (id))
    and not exists (select from public.transactions t where t.booking_id = b.id);
  get diagnostics v_deleted = row_count;
  return v_deleted;
end $$;
comment on function public.delete_bookings is 'Delete those of the bookings that no money is attached to; how many.';
revoke all on function public.delete_bookings from public, anon, authenticated;
grant execute on function public.delete_bookings to service_role;

notify pgrst, 'reload schema';
