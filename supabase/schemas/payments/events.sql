-- What the gateway tells becomes state: once, in whatever order it arrives, together with its audit rows and mails, in the
-- transaction that remembers the event.
--
-- An event arrives in the words of service/payments/gateways:
--   {gateway, id, type, kind, occurred_at, payment_id, charge_id, amount, currency, payment_method, failure_code, failure_reason,
--    charge_refunded, refund: {id, status, amount, reference, created_at},
--    dispute: {id, status, amount, reason, due_by, withdrawals, reinstatements, created_at}, metadata: {booking_id, transaction_id}}
--
-- Why the order does not matter: of each kind of fact only the greatest counts, by a fixed measure.
--   paid                            seen or not; a refunded charge was paid as well
--   processing, failed              the latest by (time at the gateway, failed before processing)
--   approved                        seen or not: the payer agreed, and the worker takes the money
--   canceled                        seen or not; outweighs those three, never paid
--   each refund                     reserved < pending < succeeded < failed, canceled
--   refunded total of the charge    the latest told, by (time, amount)
--   each dispute                    see disputes.sql

-- An event is kept with the commit of its effect, and only then is the gateway told that it arrived. One whose effect
-- failed, or that names a payment of ours that nobody knows, is tried again. One of other payments in the same account at
-- the gateway is kept for a month, in case that its payment turns out to be ours: a refund does not say whose it is.
create table if not exists public.gateway_events (
  id text not null,
  gateway text not null,
  type text not null,
  state text not null default 'received'
    constraint gateway_events_state_check check (state in ('received', 'processed', 'failed', 'unmatched', 'foreign')),
  transaction_id uuid,
  payment_id text,
  charge_id text,
  payload text,
  occurred_at timestamptz not null,
  attempts integer not null default 0,
  last_error text,
  received_at timestamptz not null default now(),
  processed_at timestamptz,
  constraint gateway_events_pkey primary key (gateway, id),
  constraint gateway_events_transaction_id_fkey
    foreign key (transaction_id) references public.transactions (id) on delete restrict,
  constraint gateway_events_processed_at_check check ((state = 'processed') = (processed_at is not null))
);
comment on table public.gateway_events is 'Events of the gateway, each once. processed ones are never applied again.';
comment on column public.gateway_events.state is
  'received · processed · failed: its effect raised an error · unmatched: it names a payment of ours that nobody here knows · '
  'foreign: nothing says that its payment is ours.';
comment on column public.gateway_events.payload is
  'The text as it was signed. It names the payer, so it goes after 90 days.';
create index if not exists gateway_events_waiting_idx on public.gateway_events (received_at)
  where state not in ('processed', 'foreign');
create index if not exists gateway_events_foreign_idx on public.gateway_events (payment_id) where state = 'foreign';
create index if not exists gateway_events_foreign_charge_idx on public.gateway_events (charge_id) where state = 'foreign';
create index if not exists gateway_events_transaction_id_idx on public.gateway_events (transaction_id);
create index if not exists gateway_events_payload_idx on public.gateway_events (received_at) where payload is not null;

call app.close_table('public.gateway_events');
grant select, insert, update, delete on public.gateway_events to service_role;

create or replace function app.tell_of_payment(p_payment public.transactions, p_booking public.bookings)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_currency text := app.booking_currency(p_booking.currency);
begin
  if p_payment.review_reason in ('amount_mismatch', 'double_payment')
    or p_payment.review_reason = 'booking_cancelled' and p_payment.metadata ? 'adopted' then
    perform app.alert_staff('bookings_edit', 'A payment needs review', format(
      'Payment %s of booking %s: %s. %s were taken; the booking asks for %s.',
      p_payment.gateway_payment_id, p_booking.id, replace(p_payment.review_reason, '_', ' '),
      app.money(p_payment.amount, p_payment.currency), app.money(app.to_minor_units(p_booking.amount, v_currency), v_currency)
    ), 'review:' || p_payment.id, p_payment.id);
  end if;
  if app.actor() ->> 'name' = 'reconciliation' and p_payment.completed_at < now() - interval '10 minutes' then
    perform app.alert_staff('bookings_edit', 'A lost payment was found', format(
      'The gateway did not tell of payment %s (%s, booking %s) of %s; it was found by asking. Please check that its '
      'webhooks arrive.', p_payment.gateway_payment_id, app.money(p_payment.amount, p_payment.currency), p_booking.id,
      to_char(p_payment.completed_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
    ), 'found:' || p_payment.id, p_payment.id);
  end if;
end $$;
comment on function app.tell_of_payment is 'Mail staff where a new payment needs a person, or came to light late.';

create or replace function app.complete_payment(p_id uuid, p_event jsonb)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_payment public.transactions;
  v_booking public.bookings;
  v_currency text;
  v_review text;
begin
  select * into v_payment from public.transactions where id = p_id;
  if v_payment.status in ('completed', 'refunded') then
    -- Not every news of a payment says how it was paid.
    update public.transactions
    set payment_method = coalesce(payment_method, p_event ->> 'payment_method'),
      gateway_charge_id = coalesce(gateway_charge_id, p_event ->> 'charge_id')
    where id = p_id and (
      payment_method is null and p_event ->> 'payment_method' is not null
      or gateway_charge_id is null and p_event ->> 'charge_id' is not null
    );
    return;
  elsif coalesce((p_event ->> 'amount')::bigint, 0) <= 0 then
    return;
  end if;
  select * into v_booking from public.bookings where id = v_payment.booking_id;
  v_currency := app.booking_currency(v_booking.currency);
  v_review := case
    when v_booking.id is null or v_booking.status = 'Cancelled' then 'booking_cancelled'
    when p_event ->> 'currency' <> v_currency
      or (p_event ->> 'amount')::bigint <> app.to_minor_units(v_booking.amount, v_currency) then 'amount_mismatch'
  end;
  update public.transactions
  set status = 'completed', amount = (p_event ->> 'amount')::bigint, currency = p_event ->> 'currency',
    payment_method = coalesce(p_event ->> 'payment_method', payment_method), failure_code = null,
    gateway_charge_id = coalesce(p_event ->> 'charge_id', gateway_charge_id),
    completed_at = (p_event ->> 'occurred_at')::timestamptz, review_reason = coalesce(v_review, review_reason)
  where id = p_id;
  perform app.settle_doubles(v_booking.id, true);
  select * into v_payment from public.transactions where id = p_id;
  if v_review is distinct from 'amount_mismatch' then
    perform app.supersede_payments(v_booking.id, p_id);
  end if;
  -- What goes back at once is told when it has gone back.
  if v_review is null then
    perform app.queue_booking_mail(v_booking.id, 'payment-receipt', jsonb_build_object(
      'transaction_id', p_id, 'amount', p_event -> 'amount', 'paid_at', p_event ->> 'occurred_at'
    ));
  end if;
  perform app.tell_of_payment(v_payment, v_booking);
end $$;
comment on function app.complete_payment is
  'The gateway took the money: completed, flagged where it does not fit the booking.';

create or replace function app.move_payment(p_id uuid, p_event jsonb)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_kind text := p_event ->> 'kind';
  v_at timestamptz := (p_event ->> 'occurred_at')::timestamptz;
  -- What was being processed when the booking was cancelled, repriced or paid otherwise is open again once it fails.
  v_is_wanted boolean := exists (
    select from public.transactions t join public.bookings b on b.id = t.booking_id
    where t.id = p_id and b.status is distinct from 'Cancelled' and b.payment_status is distinct from 'Paid'
      and t.currency = app.booking_currency(b.currency) and t.amount = app.to_minor_units(b.amount, t.currency)
  );
  v_payment public.transactions;
begin
  update public.transactions
  set status = case when v_kind = 'payment.processing' then 'processing' else 'failed' end,
    failure_code = case v_kind
      when 'payment.processing' then null
      when 'payment.canceled' then coalesce(failure_code, 'canceled')
      else p_event ->> 'failure_code'
    end,
    status_at = v_at,
    unconfirmed_at = null,
    approved_at = case when v_kind = 'payment.failed' and approved_at <= v_at then null else approved_at end,
    canceled_at = case when v_kind = 'payment.canceled' then v_at end,
    cancel_requested_at = coalesce(
      cancel_requested_at, case when v_kind = 'payment.failed' and not v_is_wanted then now() end
    )
  where id = p_id and status not in ('completed', 'refunded') and canceled_at is null
    and (
      v_kind = 'payment.canceled' or status_at is null
      or (v_at, (v_kind = 'payment.failed')::integer) > (status_at, (status = 'failed')::integer)
    )
  returning * into v_payment;
  -- Whoever tries card after card is not written to each time, nor is somebody whose address a stranger gave.
  if found and v_payment.cancel_requested_at is null and v_payment.booking_id is not null and v_kind = 'payment.failed'
    and app.is_within_rate_limit('failed_mail', v_payment.booking_id::text, '[{"count": 1, "seconds": 3600}]') then
    perform app.queue_payment_mail('payment-failed', p_id, null, jsonb_build_object(
      'amount', v_payment.amount, 'reason', p_event ->> 'failure_reason'
    ));
  end if;
end $$;
comment on function app.move_payment is
  'Processing, failed or canceled at the gateway, where nothing newer or final is known; superseded where it failed and '
  'the booking does not want it any more.';

create or replace function app.approve_payment(p_id uuid, p_at timestamptz)
returns void language sql volatile set search_path = '' as $$
  update public.transactions set approved_at = p_at
  where id = p_id and status in ('pending', 'processing', 'failed') and canceled_at is null
    and (approved_at is null or approved_at < p_at) and (status_at is null or status_at < p_at);
$$;
comment on function app.approve_payment is
  'The payer agreed, and the money is to be taken; of no meaning once there is newer news.';

-- The row of the event's payment: by the gateway's id of it, or of its money, else by the transaction that its metadata
-- names, else made from the booking that it names. The booking is locked first, then looked again: another event may just
-- have made the row.
create or replace function app.lock_event_transaction(p_event jsonb)
returns uuid language plpgsql volatile set search_path = '' as $$
declare
  v_gateway text := p_event ->> 'gateway';
  v_payment_id text := p_event ->> 'payment_id';
  v_charge_id text := p_event ->> 'charge_id';
  v_reference text := p_event #>> '{metadata,transaction_id}';
  v_named uuid := case when v_reference ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then v_reference::uuid end;
  v_booking_id public.booking_key;
  v_id uuid;
begin
  if coalesce(v_payment_id, v_charge_id) is null then
    return null;
  end if;
  v_payment_id := coalesce(v_payment_id, (
    select gateway_payment_id from public.transactions where gateway = v_gateway and gateway_charge_id = v_charge_id
  ), (
    select gateway_payment_id from public.transactions where gateway = v_gateway and id = v_named
  ));
  select booking_id into v_booking_id from public.transactions
  where gateway = v_gateway and (gateway_payment_id = v_payment_id or id = v_named and gateway_payment_id is null)
  order by gateway_payment_id nulls last limit 1;
  if not found then
    v_booking_id := app.to_booking_key(p_event #>> '{metadata,booking_id}');
  end if;
  perform from public.bookings where id = v_booking_id for update;
  select id into v_id from public.transactions where gateway = v_gateway and gateway_payment_id = v_payment_id for update;
  if v_id is null then
    update public.transactions set gateway_payment_id = v_payment_id
    where id = v_named and gateway = v_gateway and gateway_payment_id is null and booking_id is not distinct from v_booking_id
      and v_payment_id is not null
    returning id into v_id;
  end if;
  if v_id is null and v_payment_id is not null and (p_event ->> 'amount')::bigint > 0 and p_event ->> 'currency' is not null then
    insert into public.transactions (
      id, booking_id, customer_id, gateway, gateway_payment_id, amount, currency, metadata, status, failure_code,
      cancel_requested_at
    )
    select case when exists (select from public.transactions where id = v_named) then gen_random_uuid()
        else coalesce(v_named, gen_random_uuid()) end,
      b.id, b.customer_id, v_gateway, v_payment_id, (p_event ->> 'amount')::bigint, p_event ->> 'currency',
      -- Another program, or a person in the dashboard, made it and named our booking.
      case when v_named is null then '{"adopted": true}' else '{}' end::jsonb,
      -- Beside a live payment a stray one is not to be handed out.
      case when beside.is_live then 'failed' else 'pending' end, case when beside.is_live then 'superseded' end,
      case when beside.is_live then now() end
    from public.bookings b
    cross join lateral (
      select exists (select from public.transactions where booking_id = b.id and is_live) as is_live
    ) beside
    where b.id = v_booking_id
    returning id into v_id;
  end if;
  if v_id is not null then
    -- What was heard of it before anybody knew whose it is, is tried again by reconciliation.
    update public.gateway_events set state = 'unmatched'
    where gateway = v_gateway and id in (
      select id from public.gateway_events
      where gateway = v_gateway and (payment_id = v_payment_id or charge_id = v_charge_id) and state = 'foreign'
      for update skip locked
    );
  end if;
  return v_id;
end $$;
comment on function app.lock_event_transaction is
  'The transaction that an event tells about, locked after its booking, made where need be; null when nobody knows it.';

create or replace function app.apply_gateway_event(p_event jsonb, p_actor text)
returns uuid language plpgsql volatile set search_path = '' as $$
declare
  v_id uuid;
begin
  perform app.act_as(p_actor, p_event ->> 'type');
  v_id := app.lock_event_transaction(p_event);
  if v_id is null then
    return null;
  end if;
  case p_event ->> 'kind'
    when 'payment.approved' then
      perform app.approve_payment(v_id, (p_event ->> 'occurred_at')::timestamptz);
    when 'payment.succeeded' then
      perform app.complete_payment(v_id, p_event);
    when 'charge.refunded' then
      perform app.complete_payment(v_id, p_event);
      update public.transactions
      set charge_refunded = (p_event ->> 'charge_refunded')::bigint,
        charge_refunded_at = (p_event ->> 'occurred_at')::timestamptz
      where id = v_id and (
        charge_refunded_at is null
        or ((p_event ->> 'occurred_at')::timestamptz, (p_event ->> 'charge_refunded')::bigint)
          > (charge_refunded_at, charge_refunded)
      );
    when 'refund.changed' then
      perform app.note_refund(v_id, p_event);
    when 'dispute.changed' then
      perform app.note_dispute(v_id, p_event);
    else
      perform app.move_payment(v_id, p_event);
  end case;
  perform app.recount_payment(v_id);
  perform app.refund_unwanted(v_id);
  return v_id;
end $$;
comment on function app.apply_gateway_event is 'Let one event have its effect; the transaction it told about, or null.';

create or replace function public.record_gateway_event(p_event jsonb, p_payload text, p_is_replay boolean default false)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_state text;
  v_id uuid;
  v_error text;
begin
  insert into public.gateway_events (gateway, id, type, payment_id, charge_id, payload, occurred_at)
  values (
    p_event ->> 'gateway', p_event ->> 'id', p_event ->> 'type', p_event ->> 'payment_id', p_event ->> 'charge_id',
    p_payload, (p_event ->> 'occurred_at')::timestamptz
  )
  on conflict (gateway, id) do nothing;
  -- Copies that arrive at once wait here for the first.
  select state into v_state from public.gateway_events
  where gateway = p_event ->> 'gateway' and id = p_event ->> 'id' for update;
  if v_state = 'processed' then
    return jsonb_build_object('verdict', 'duplicate');
  end if;
  begin
    v_id := app.apply_gateway_event(
      p_event, case when p_is_replay then 'reconciliation' else p_event ->> 'gateway' end
    );
    v_state := case
      when v_id is not null then 'processed'
      when p_event #>> '{metadata,transaction_id}' is not null
        or app.to_booking_key(p_event #>> '{metadata,booking_id}') is not null then 'unmatched'
      else 'foreign'
    end;
  exception when others then
    -- Not raised: the failure must be remembered, and the event tried again.
    v_state := 'failed';
    v_error := sqlstate || ' ' || sqlerrm;
  end;
  update public.gateway_events
  set state = v_state, transaction_id = v_id, attempts = attempts + 1, last_error = left(v_error, 500),
    processed_at = case when v_state = 'processed' then now() end
  where gateway = p_event ->> 'gateway' and id = p_event ->> 'id';
  return jsonb_build_object('verdict', v_state, 'transaction_id', v_id, 'error', v_error);
end $$;
comment on function public.record_gateway_event is
  'Keep an event and let it have its effect, once: verdict processed, duplicate, foreign, unmatched or failed (with '
  'the error).';

create or replace function public.apply_gateway_facts(p_events jsonb, p_transaction_id uuid default null)
returns integer language plpgsql volatile set search_path = '' as $$
declare
  v_event jsonb;
  v_applied integer := 0;
begin
  for v_event in select value from jsonb_array_elements(p_events) loop
    if app.apply_gateway_event(v_event, 'reconciliation') is not null then
      v_applied := v_applied + 1;
    end if;
  end loop;
  update public.transactions set checked_at = now() where id = p_transaction_id;
  return v_applied;
end $$;
comment on function public.apply_gateway_facts is
  'What the gateway answered about one payment (p_transaction_id was asked for), in the words of events but without ids; '
  'how many met a transaction.';

create or replace function public.finish_refund(p_refund_id uuid, p_event jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_refund public.refunds;
begin
  select * into v_refund from public.refunds where id = p_refund_id;
  perform app.apply_gateway_event(p_event, v_refund.requested_by);
  return (
    select jsonb_build_object(
      'refund_id', r.id, 'gateway_refund_id', r.gateway_refund_id, 'amount', r.amount, 'status', r.status,
      'transaction_id', r.transaction_id
    )
    from public.refunds r where r.id = p_refund_id
  );
end $$;
comment on function public.finish_refund is
  'The gateway made a reserved refund; p_event is its answer, in the words of an event.';

-- Where only the gateway itself can say whether it sent an event, that is kept before it is asked: a gateway that is slow
-- loses nothing. Anybody can put rows here, so there are never many, and they are tried for three days, as long as such
-- a gateway goes on sending. The key is the text's own: nobody can take the place of another event.
create table if not exists public.unverified_events (
  key text primary key,
  gateway text not null,
  body text not null,
  headers jsonb not null,
  received_at timestamptz not null default now(),
  tried_at timestamptz not null default now()
);
comment on table public.unverified_events is 'What claims to come from a gateway, until the gateway has said whether it does.';
create index if not exists unverified_events_tried_at_idx on public.unverified_events (tried_at);

call app.close_table('public.unverified_events');
grant select, insert, update, delete on public.unverified_events to service_role;

create or replace function public.keep_unverified_event(
  p_key text, p_gateway text, p_body text, p_headers jsonb, p_most integer default 1000
) returns void language plpgsql volatile set search_path = '' as $$
begin
  if (select count(*) from (select from public.unverified_events limit p_most) kept) >= p_most then
    raise sqlstate 'PT503' using message = 'Too many events wait to be verified.', hint = 'too_many_unverified',
      detail = '{"retry_after": 600}';
  end if;
  insert into public.unverified_events (key, gateway, body, headers) values (p_key, p_gateway, p_body, p_headers)
  on conflict (key) do nothing;
end $$;
comment on function public.keep_unverified_event is
  'Keep an event until its gateway has said whether it sent it. PT503 too_many_unverified while p_most wait: the gateway sends it again.';
