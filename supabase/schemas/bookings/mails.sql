-- Mails about bookings, queued where the thing happens, whoever did it and by whichever door.

-- What a booking's mail says, and how much of it: of two that wait, the one that says more is sent, with the facts of both.
create or replace function app.booking_mail_rank(p_template text)
returns integer language sql immutable set search_path = '' as $$
  select array_position(array['booking-received', 'payment-receipt', 'booking-confirmed', 'booking-cancelled'], p_template);
$$;
comment on function app.booking_mail_rank is 'How much a mail about a booking says; null for one that is sent by itself.';

create or replace function app.mail_contact(p_booking public.bookings, p_transaction_id uuid, out email text, out name text)
language sql stable set search_path = '' as $$
  select case when is_given then given ->> 'email' when p_booking.email not like '%.invalid' then p_booking.email end,
    case when is_given then given ->> 'name' else p_booking.name end
  from (select btrim(p_booking.email) = '' as is_given,
    (select metadata -> 'contact' from public.transactions where id = p_transaction_id) as given) payment;
$$;
comment on function app.mail_contact is
  'Whom a mail about a booking goes to: its own address, else the one given while paying; null without both, and for who is '
  'deleted.';

create or replace function app.queue_booking_mail(
  p_booking_id public.booking_key, p_template text, p_facts jsonb default '{}'
) returns uuid language plpgsql volatile set search_path = '' as $$
declare
  v_booking public.bookings;
  v_contact record;
  v_currency text;
  v_waiting public.email_outbox;
  v_data jsonb;
begin
  select * into v_booking from public.bookings where id = p_booking_id;
  v_contact := app.mail_contact(v_booking, (p_facts ->> 'transaction_id')::uuid);
  if v_contact.email is null then
    return null;
  end if;
  v_currency := app.booking_currency(v_booking.currency);
  v_data := p_facts || jsonb_build_object(
    'name', v_contact.name, 'booking_id', v_booking.id, 'package', v_booking.package, 'travel_date', v_booking.travel_date,
    'return_date', v_booking.return_date, 'guests', v_booking.number_of_guests,
    'price', app.to_minor_units(v_booking.amount, v_currency), 'is_paid', v_booking.payment_status = 'Paid',
    'currency', v_currency, 'exponent', (app.currency(v_currency)).exponent
  );
  -- A receipt is not lost in the news that the trip was cancelled.
  select * into v_waiting from public.email_outbox
  where booking_id = p_booking_id and state = 'queued' and attempts = 0 and app.booking_mail_rank(template) is not null
    and array[template, p_template] not in (
      array['payment-receipt', 'booking-cancelled'], array['booking-cancelled', 'payment-receipt']
    )
  order by created_at desc limit 1 for update;
  if v_waiting.id is null or app.booking_mail_rank(p_template) is null then
    return app.queue_email(p_template, v_contact.email, v_data, p_booking_id => p_booking_id);
  end if;
  update public.email_outbox
  set data = data || v_data, recipient = v_contact.email,
    template = case
      when p_template in ('booking-confirmed', 'booking-cancelled')
        or app.booking_mail_rank(p_template) > app.booking_mail_rank(template) then p_template
      else template
    end
  where id = v_waiting.id;
  return v_waiting.id;
end $$;
comment on function app.queue_booking_mail is
  'Queue a mail to the address of a booking, or add what it says to one that waits; p_facts are beside the booking''s own. Its '
  'id, or null where the booking has no address.';

-- Definer: visitors and staff do not see the outbox.
create or replace function app.tg_bookings__queue_mail()
returns trigger language plpgsql security definer set search_path = '' as $$
declare
  -- Who books under an address that is not proven to be theirs, nor is staff, may be anybody.
  v_is_by_stranger boolean := tg_op = 'INSERT' and app.actor() ->> 'id' is null
    and (coalesce(new.customer_id, app.visiting_customer()) = app.find_verified_customer(new.email)) is not true;
begin
  perform app.queue_booking_mail(
    new.id, case new.status
      when 'Pending' then 'booking-received' when 'Confirmed' then 'booking-confirmed' when 'Cancelled' then 'booking-cancelled'
    end,
    case when v_is_by_stranger then '{"is_by_stranger": true}'::jsonb else '{}' end
  );
  return null;
end $$;
comment on function app.tg_bookings__queue_mail is 'Tells the payer that the booking was received, confirmed or cancelled.';

create or replace trigger tg_bookings__queue_mail_received after insert on public.bookings
  for each row when (new.status in ('Pending', 'Confirmed')) execute function app.tg_bookings__queue_mail();
create or replace trigger tg_bookings__queue_mail_changed after update of status on public.bookings
  for each row when (old.status <> new.status and new.status in ('Confirmed', 'Cancelled'))
  execute function app.tg_bookings__queue_mail();

-- The site's staff pages ask for a mail by writing a row. The words of its subject tell the occasion; the address and the
-- text are ours. What the change of status has just told is not told again; a mail that failed is tried anew.
-- Definer: staff do not see the outbox.
create or replace function app.tg_email_history__queue()
returns trigger language plpgsql security definer set search_path = '' as $$
declare
  v_booking_id public.booking_key := case new.related_to when 'booking' then app.to_booking_key(new.related_id::text) end;
  v_template text;
  v_booking public.bookings;
begin
  select * into v_booking from public.bookings where id = v_booking_id;
  v_template := case
    when new.email_type = 'booking_confirmation' and v_booking.status = 'Confirmed' then 'booking-confirmed'
    when new.email_type = 'booking_confirmation' then 'booking-received'
    when new.subject ~ '^Booking Confirmed' then 'booking-confirmed'
    when new.subject ~ '^Booking Cancelled' then 'booking-cancelled'
    when new.subject ~ '^Booking Reminder' then 'booking-reminder'
  end;
  new.status := 'failed';
  if v_booking.id is null or v_template is null then
    new.error_message := 'Only mails about a booking of ours are sent: received, confirmed, cancelled, reminder.';
    return new;
  end if;
  new.recipient_email := v_booking.email;
  if v_booking.status <> all (case v_template
    when 'booking-received' then array['Pending'] when 'booking-confirmed' then array['Confirmed']
    when 'booking-cancelled' then array['Cancelled'] else array['Pending', 'Confirmed']
  end) then
    new.error_message := format('The booking is %s.', v_booking.status);
    return new;
  end if;
  select id into new.outbox_id from public.email_outbox
  where booking_id = v_booking.id and template = v_template and created_at > now() - interval '10 minutes'
    and state in ('queued', 'sending', 'sent')
  order by created_at desc limit 1;
  new.outbox_id := coalesce(new.outbox_id, app.queue_booking_mail(v_booking.id, v_template));
  select app.history_status(m.state), case when m.state = 'sent' then m.finished_at end,
    case when m.state in ('dropped', 'dead') then m.last_error end
  into new.status, new.sent_at, new.error_message
  from public.email_outbox m where m.id = new.outbox_id;
  if not found then
    new.status := 'failed';
    new.error_message := 'The booking has no e-mail address.';
  end if;
  return new;
end $$;
comment on function app.tg_email_history__queue is 'Queues our own mail for the booking that the row names, once, and says how it goes.';

create or replace trigger tg_email_history__queue before insert on public.email_history
  for each row execute function app.tg_email_history__queue();
