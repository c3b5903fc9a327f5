-- What customers keep with us: profile, address book, preferences; and all of it in one document. The writers run as role
-- customer, so row-level security holds behind their own conditions.

create or replace function public.update_profile(p_customer_id uuid, p_changes jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_customer record;
begin
  perform app.lock_customer(p_customer_id);
  select name, phone, avatar, address into v_customer from public.customers where id = p_customer_id;
  v_customer := jsonb_populate_record(v_customer, p_changes);
  update public.customers
  set (name, phone, avatar, address) = (v_customer.name, v_customer.phone, v_customer.avatar, v_customer.address)
  where id = p_customer_id;
  perform app.record_customer_event(
    p_customer_id, 'profile_updated',
    p_details => jsonb_build_object('fields', (select jsonb_agg(field) from jsonb_object_keys(p_changes) as field))
  );
  return app.customer_json(p_customer_id);
end $$;
comment on function public.update_profile is
  'Set those of name, phone, avatar and address that p_changes has; the customer.';

-- The newest journey first; those without a date come last. A page past the end is empty.
create or replace function public.list_customer_bookings(p_customer_id uuid, p_page integer, p_limit integer)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'total', (select count(*) from public.bookings where customer_id = p_customer_id),
    'bookings', coalesce((
      select jsonb_agg(to_jsonb(s) - 'customer_id' order by s.travel_date desc nulls last, s.created_at desc, s.id)
      from (
        select * from public.booking_summaries
        where customer_id = p_customer_id
        order by travel_date desc nulls last, created_at desc, id
        limit p_limit offset (p_page - 1)::bigint * p_limit
      ) s
    ), '[]')
  );
$$;
comment on function public.list_customer_bookings is
  'One page of a customer''s bookings, as the site reads them: {total, bookings}.';

-- One that waits for its owner to be proven is known by what only who booked it was told. It alone is handed over, as
-- anybody can book with anybody's address and then knows that booking. Null is the verdict for a wrong one, so that the
-- attempt counts.
create or replace function public.claim_booking(
  p_customer_id uuid, p_booking_id text, p_travel_date date, p_limits jsonb
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_id public.booking_key;
begin
  perform app.take_rate_limit('booking_claim', p_customer_id::text, p_limits);
  select b.id into v_id
  from public.bookings b
  join public.customers c on lower(c.email) = lower(b.email)
  where b.id = app.to_booking_key(p_booking_id) and b.travel_date = p_travel_date and c.id = p_customer_id
    and c.verified_at is not null and coalesce(b.customer_id, c.id) = c.id
  for update of b;
  perform app.lock_customer(p_customer_id);
  perform app.record_customer_event(p_customer_id, case when v_id is not null then 'booking_claimed' else 'claim_refused' end);
  update public.bookings set customer_id = p_customer_id where id = v_id and customer_id is null;
  return (select to_jsonb(s) - 'customer_id' from public.booking_summaries s where s.id = v_id);
end $$;
comment on function public.claim_booking is
  'A booking made as guest with the customer''s verified address, handed over to who knows its id and its travel date; null '
  'where there is none such. PT429, PT401.';

create or replace function app.address_json(p_address public.customer_addresses)
returns jsonb language sql immutable set search_path = '' as $$
  select to_jsonb(p_address) - 'customer_id';
$$;
comment on function app.address_json is 'An address as the API answers it.';

-- The customer's row is the lock: of many changes at once each sees how many addresses there are and which is default.
create or replace function public.save_address(
  p_customer_id uuid, p_address_id uuid, p_fields jsonb
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_address public.customer_addresses;
begin
  perform app.lock_customer(p_customer_id);
  if p_address_id is not null then
    select * into v_address from public.customer_addresses where id = p_address_id and customer_id = p_customer_id;
    if not found then
      raise sqlstate 'PT404' using message = 'Address not found', hint = 'address_not_found';
    end if;
  elsif (select count(*) from public.customer_addresses where customer_id = p_customer_id) >= 20 then
    raise sqlstate 'PT409' using message = 'You can keep at most 20 addresses', hint = 'address_limit';
  end if;
  v_address := jsonb_populate_record(v_address, p_fields - array['id', 'customer_id', 'created_at', 'updated_at']);
  if v_address.is_default then
    update public.customer_addresses set is_default = false
    where customer_id = p_customer_id and is_default and id is distinct from p_address_id;
  end if;
  if p_address_id is null then
    insert into public.customer_addresses
      (customer_id, label, name, phone, street, city, state, postal_code, country, is_default)
    values (
      p_customer_id, v_address.label, v_address.name, v_address.phone, v_address.street, v_address.city, v_address.state,
      v_address.postal_code, v_address.country, coalesce(v_address.is_default, false)
    )
    returning * into v_address;
  else
    update public.customer_addresses
    set (label, name, phone, street, city, state, postal_code, country, is_default) = (
      v_address.label, v_address.name, v_address.phone, v_address.street, v_address.city, v_address.state,
      v_address.postal_code, v_address.country, v_address.is_default
    )
    where id = p_address_id and customer_id = p_customer_id
    returning * into v_address;
  end if;
  perform app.record_customer_event(
    p_customer_id, case when p_address_id is null then 'address_added' else 'address_updated' end,
    p_details => jsonb_build_object('address_id', v_address.id)
  );
  return app.address_json(v_address);
end $$;
comment on function public.save_address is
  'Add an address (p_address_id null) or set those fields of it that p_fields has; the address. A new default takes the '
  'place of the old one. PT404, PT409 beyond 20.';

create or replace function public.delete_address(p_customer_id uuid, p_address_id uuid)
returns void language plpgsql volatile set search_path = '' as $$
begin
  delete from public.customer_addresses where id = p_address_id and customer_id = p_customer_id;
  if not found then
    raise sqlstate 'PT404' using message = 'Address not found', hint = 'address_not_found';
  end if;
  perform app.record_customer_event(
    p_customer_id, 'address_deleted', p_details => jsonb_build_object('address_id', p_address_id)
  );
end $$;
comment on function public.delete_address is 'Delete one address of the customer. PT404.';

create or replace function public.update_preferences(p_customer_id uuid, p_changes jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_preferences public.customer_preferences;
begin
  perform app.lock_customer(p_customer_id);
  select * into v_preferences from public.customer_preferences where customer_id = p_customer_id;
  v_preferences := jsonb_populate_record(v_preferences, p_changes - array['customer_id', 'updated_at']);
  update public.customer_preferences
  set (language, currency, timezone, newsletter, sms, email_notifications) = (
    v_preferences.language, v_preferences.currency, v_preferences.timezone, v_preferences.newsletter, v_preferences.sms,
    v_preferences.email_notifications
  )
  where customer_id = p_customer_id;
  perform app.record_customer_event(p_customer_id, 'preferences_updated');
  return to_jsonb(v_preferences) - array['customer_id', 'updated_at'];
end $$;
comment on function public.update_preferences is 'Set those preferences that p_changes has; all preferences.';

-- What the service calls on behalf of one customer, and what those functions call.
grant execute on function app.address_json to customer;
grant execute on function
  public.update_profile, public.list_customer_bookings, public.save_address, public.delete_address,
  public.update_preferences
  to customer;

create or replace function public.export_customer(p_customer_id uuid)
returns jsonb language sql volatile set search_path = '' as $$
  select app.record_customer_event(p_customer_id, 'exported');
  select jsonb_build_object(
    'exported_at', now(),
    'customer', app.customer_json(p_customer_id),
    'preferences', (
      select to_jsonb(p) - 'customer_id' from public.customer_preferences p where customer_id = p_customer_id
    ),
    'addresses', (
      select coalesce(jsonb_agg(app.address_json(a) order by a.created_at), '[]')
      from public.customer_addresses a where customer_id = p_customer_id
    ),
    'sessions', (
      select coalesce(jsonb_agg(to_jsonb(s) - 'customer_id' order by s.created_at), '[]')
      from public.customer_sessions s where customer_id = p_customer_id
    ),
    'bookings', (
      select coalesce(jsonb_agg(to_jsonb(b) - array['customer_id', 'assigned_to', 'notes'] order by b.created_at), '[]')
      from public.bookings b where customer_id = p_customer_id
    ),
    'payments', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', t.id, 'booking_id', t.booking_id, 'amount', t.amount, 'amount_refunded', t.amount_refunded,
        'amount_withdrawn', t.amount_withdrawn, 'currency', t.currency, 'status', t.status, 'created_at', t.created_at
      ) order by t.created_at), '[]')
      from public.transactions t where customer_id = p_customer_id
    ),
    'emails', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'template', m.template, 'recipient', m.recipient, 'state', m.state, 'created_at', m.created_at,
        'finished_at', m.finished_at
      ) order by m.created_at), '[]')
      from public.email_outbox m
      where m.customer_id = p_customer_id or lower(m.recipient) = app.proven_address(p_customer_id)
    ),
    'tickets', (
      select coalesce(jsonb_agg((to_jsonb(t) - 'assigned_to') || jsonb_build_object('messages', (
        select coalesce(jsonb_agg(to_jsonb(m) - 'ticket_id' order by m.id), '[]')
        from public.ticket_messages m where m.ticket_id = t.id
      )) order by t.id), '[]')
      from public.support_tickets t
      where lower(t.email) = app.proven_address(p_customer_id)
    ),
    'events', (
      select coalesce(jsonb_agg(to_jsonb(e) - array['id', 'customer_id'] order by e.id), '[]')
      from public.customer_events e where customer_id = p_customer_id
    )
  );
$$;
comment on function public.export_customer is
  'Everything held about a customer, for the customer; amounts of payments in minor units.';
