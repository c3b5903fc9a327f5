-- Bookings as visitors make them through the API, and as staff manages them.

-- The amount is the package's price, never the browser's word.
create or replace function public.create_booking(p_values jsonb, p_customer_id uuid, p_limits jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_package public.packages;
  v_travel_date date := (p_values ->> 'travel_date')::date;
  v_guests integer := (p_values ->> 'number_of_guests')::integer;
  v_id public.booking_key;
begin
  perform app.take_rate_limit('booking', coalesce(p_customer_id::text, app.actor() ->> 'ip', 'unknown'), p_limits);
  if v_travel_date < current_date then
    raise sqlstate 'PT400' using message = 'The travel date is in the past.', hint = 'travel_date_past';
  end if;
  select * into v_package from public.packages where id::text = p_values ->> 'package_id';
  if not found then
    raise sqlstate 'PT404' using message = 'Package not found', hint = 'package_not_found';
  end if;
  insert into public.bookings (
    name, email, phone, package, package_id, travel_date, return_date, booking_date, number_of_guests, amount,
    special_requests, message, customer_id, status, payment_status, source
  )
  values (
    p_values ->> 'customer_name', p_values ->> 'customer_email', p_values ->> 'customer_phone',
    v_package.title, v_package.id, v_travel_date, v_travel_date + coalesce(v_package.duration, 0), current_date,
    v_guests, v_package.price * v_guests,
    p_values ->> 'special_requests', p_values ->> 'special_requests', p_customer_id, 'Pending', 'Pending', 'Website'
  )
  returning id into v_id;
  return (select to_jsonb(s) - 'customer_id' from public.booking_summaries s where s.id = v_id);
end $$;
comment on function public.create_booking is
  'Book a package for {package_id, customer_name, customer_email, customer_phone, travel_date, number_of_guests, '
  'special_requests}, as the customer or, with null, as a guest; the booking as the API answers it. PT400, PT404, PT429.';

create or replace function public.update_booking(p_booking_id text, p_changes jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_booking public.bookings;
begin
  perform app.lock_address(p_changes ->> 'email');
  v_booking := app.lock_booking(p_booking_id);
  perform app.check_columns('bookings', p_changes);
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
    perform app.note_payment_by_hand(v_booking.id, p_changes ->> 'payment_status', null, 'Changed with the booking');
  end if;
  return (select to_jsonb(b) from public.bookings b where b.id = v_booking.id);
end $$;
comment on function public.update_booking is
  'Change what p_changes holds of a booking (columns by their names); a payment status by way of its own function. PT404, '
  'PT403 for columns that take a permission of their own.';

create or replace function public.update_booking_payment(p_booking_id text, p_payment_status text, p_amount numeric default null)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_booking public.bookings := app.lock_booking(p_booking_id);
begin
  perform app.note_payment_by_hand(v_booking.id, p_payment_status, p_amount, 'Set by staff');
  return (select to_jsonb(b) from public.bookings b where b.id = v_booking.id);
end $$;
comment on function public.update_booking_payment is
  'Note a payment made elsewhere, with the amount in currency units as bookings carry it (null: the booking''s); the row.';

-- A payment status written by staff's pages goes the way of one set through the API, with its transaction and audit row.
-- Definer: role staff does not write transactions.
create or replace function app.tg_bookings__note_payment()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  update public.bookings
  set payment_status = case when tg_op = 'UPDATE' then old.payment_status else 'Pending' end
  where id = new.id;
  perform app.note_payment_by_hand(new.id, new.payment_status, null, 'Set by staff');
  return null;
end $$;
comment on function app.tg_bookings__note_payment is
  'Turns a payment status that staff wrote into the table into a payment noted by hand.';

create or replace trigger tg_bookings__note_payment_insert after insert on public.bookings
  for each row when (current_user = 'staff' and new.payment_status <> 'Pending')
  execute function app.tg_bookings__note_payment();
create or replace trigger tg_bookings__note_payment_update after update on public.bookings
  for each row when (current_user = 'staff' and new.payment_status is distinct from old.payment_status)
  execute function app.tg_bookings__note_payment();

create or replace function public.delete_booking(p_booking_id text)
returns void language plpgsql volatile set search_path = '' as $$
begin
  delete from public.bookings where id = app.to_booking_key(p_booking_id);
  if not found then
    raise sqlstate 'PT404' using message = 'Booking not found', hint = 'booking_not_found';
  end if;
end $$;
comment on function public.delete_booking is 'Delete a booking that no money is attached to. PT404, PT409.';

create or replace function public.delete_bookings(p_booking_ids text[])
returns integer language plpgsql volatile set search_path = '' as $$
declare
  v_deleted integer;
begin
  delete from public.bookings b where b.id in (select app.to_booking_key(given.id) from unnest(p_booking_ids) given (id));
  get diagnostics v_deleted = row_count;
  if v_deleted = 0 then
    raise sqlstate 'PT404' using message = 'Booking not found', hint = 'booking_not_found';
  end if;
  return v_deleted;
end $$;
comment on function public.delete_bookings is 'Delete bookings, all or, where money is attached to one, none; how many. PT404, PT409.';
