-- What the gateway tells becomes state: once, in whatever order it arrives, together with its audit rows and mails, in the
-- transaction that remembers the event.
--
-- An event arrives in the words of service/payments/gateways:
--   {gateway, id, type, kind, occurred_at, payment_id, amount, currency, payment_method, failure_code, failure_reason,
--    charge_refunded, refund: {id, status, amount, reference, created_at}, dispute: {status, is_closed, amount},
--    metadata: {booking_id, transaction_id}}
--
-- Why the order does not matter: of each kind of fact only the greatest counts, by a fixed measure.
--   paid                            seen or not; a refunded charge was paid as well
--   processing, failed              the latest by (time at the gateway, failed before processing)
--   canceled                        seen or not; outweighs those two, never paid
--   each refund                     reserved < pending < succeeded < failed, canceled
--   refunded total of the charge    the latest told, by (time, amount)

-- An event is kept with the commit of its effect, and only then is the gateway told that it arrived. One whose effect
-- failed, or whose payment nobody knows, stays here and is tried again.
create table if not exists public.stripe_events (
  id text not null,
  gateway text not null default 'stripe',
  type text not null,
  state text not null default 'received'
    constraint stripe_events_state_check check (state in ('received', 'processed', 'failed', 'unmatched')),
  transaction_id uuid,
  payload text,
  occurred_at timestamptz not null,
  attempts integer not null default 0,
  last_error text,
  received_at timestamptz not null default now(),
  processed_at timestamptz,
  constraint stripe_events_pkey primary key (gateway, id),
  constraint stripe_events_transaction_id_fkey
    foreign key (transaction_id) references public.transactions (id) on delete restrict,
  constraint stripe_events_processed_at_check check ((state = 'processed') = (processed_at is not null))
);
comment on table public.stripe_events is 'Events of the gateway, each once. processed ones are never applied again.';
comment on column public.stripe_events.state is
  'received · processed · failed: its effect raised an error · unmatched: nobody here knows its payment.';
comment on column public.stripe_events.payload is
  'The text as it was signed. It names the payer, so it goes after 90 days.';
create index if not exists stripe_events_waiting_idx on public.stripe_events (received_at) where state <> 'processed';
create index if not exists stripe_events_transaction_id_idx on public.stripe_events (transaction_id);
create index if not exists stripe_events_payload_idx on public.stripe_events (received_at) where payload is not null;

call app.close_table('public.stripe_events');
grant select, insert, update on public.stripe_events to service_role;

create or replace function app.complete_payment(p_id uuid, p_event jsonb)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_payment public.transactions;
  v_booking public.bookings;
  v_currency text;
  v_review text;
begin
  select * into v_payment from public.transactions where id = p_id;
  if v_payment.status in ('completed', 'refunded') or coalesce((p_event ->> 'amount')::bigint, 0) <= 0 then
    return;
  end if;
  select * into v_booking from public.bookings where id = v_payment.booking_id;
  v_currency := app.booking_currency(v_booking.currency);
  v_review := case
    when p_event ->> 'currency' <> v_currency
      or (p_event ->> 'amount')::bigint <> app.to_minor_units(v_booking.amount, v_currency) then 'amount_mismatch'
    when exists (
      select from public.transactions
      where booking_id = v_booking.id and status = 'completed' and amount_refunded < amount
        and review_reason is distinct from 'amount_mismatch'
    ) then 'double_payment'
    when v_booking.status = 'Cancelled' then 'booking_cancelled'
  end;
  update public.transactions
  set status = 'completed', amount = (p_event ->> 'amount')::bigint, currency = p_event ->> 'currency',
    payment_method = coalesce(p_event ->> 'payment_method', payment_method), failure_code = null,
    completed_at = (p_event ->> 'occurred_at')::timestamptz, review_reason = coalesce(v_review, review_reason)
  where id = p_id;
  if v_review = 'double_payment' then
    update public.transactions set review_reason = 'double_payment'
    where booking_id = v_booking.id and id <> p_id and status = 'completed' and review_reason is null;
  end if;
  if v_review is distinct from 'amount_mismatch' then
    perform app.supersede_payments(v_booking.id, p_id);
    perform app.queue_booking_mail(v_booking.id, 'payment-receipt', jsonb_build_object(
      'transaction_id', p_id, 'amount', p_event -> 'amount', 'paid_at', p_event ->> 'occurred_at'
    ));
  end if;
  if v_review is not null then
    perform app.alert_staff('A payment needs review', format(
      'Payment %s of booking %s: %s. %s %s (minor units) were taken; the booking asks for %s %s.',
      v_payment.gateway_payment_id, v_booking.id, replace(v_review, '_', ' '), p_event ->> 'amount', p_event ->> 'currency',
      app.to_minor_units(v_booking.amount, v_currency), v_currency
    ), 'review:' || p_id);
  end if;
end $$;
comment on function app.complete_payment is
  'The gateway took the money: completed, flagged where it does not fit the booking.';

create or replace function app.move_payment(p_id uuid, p_event jsonb)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_kind text := p_event ->> 'kind';
  v_at timestamptz := (p_event ->> 'occurred_at')::timestamptz;
  v_is_wanted boolean;
begin
  update public.transactions paid
  set status = case when v_kind = 'payment.processing' then 'processing' else 'failed' end,
    failure_code = case v_kind
      when 'payment.processing' then null
      when 'payment.canceled' then coalesce(failure_code, 'canceled')
      else p_event ->> 'failure_code'
    end,
    status_at = v_at,
    canceled_at = case when v_kind = 'payment.canceled' then v_at end,
    -- Only one of a booking is handed out: an older one that the payer tried again is not, beside a newer.
    cancel_requested_at = case when v_kind = 'payment.processing' and exists (
      select from public.transactions other
      where other.booking_id = paid.booking_id and other.id <> p_id and other.status in ('pending', 'processing')
        and other.cancel_requested_at is null and other.gateway <> 'manual'
    ) then coalesce(cancel_requested_at, now()) else cancel_requested_at end
  where id = p_id and status not in ('completed', 'refunded') and canceled_at is null
    and (
      v_kind = 'payment.canceled' or status_at is null
      or (v_at, (v_kind = 'payment.failed')::integer) > (status_at, (status = 'failed')::integer)
    )
  returning cancel_requested_at is null into v_is_wanted;
  if v_is_wanted and v_kind = 'payment.failed' then
    perform app.queue_payment_mail('payment-failed', p_id, 'failed:' || p_id, jsonb_build_object(
      'amount', (select amount from public.transactions where id = p_id), 'reason', p_event ->> 'failure_reason'
    ));
  end if;
end $$;
comment on function app.move_payment is
  'Processing, failed or canceled at the gateway, where nothing newer or final is known.';

create or replace function app.note_dispute(p_id uuid, p_event jsonb)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_dispute jsonb := p_event -> 'dispute';
begin
  update public.transactions
  set dispute_status = v_dispute ->> 'status', review_reason = coalesce(review_reason, 'dispute')
  where id = p_id and dispute_status is distinct from v_dispute ->> 'status'
    and ((v_dispute ->> 'is_closed')::boolean or dispute_status is null);
  if found then
    perform app.alert_staff('A payment is disputed', format(
      'The payer disputes payment %s (%s %s, minor units). State at the gateway: %s.',
      p_event ->> 'payment_id', v_dispute ->> 'amount', p_event ->> 'currency', v_dispute ->> 'status'
    ), 'dispute:' || p_id || ':' || (v_dispute ->> 'status'));
  end if;
end $$;
comment on function app.note_dispute is 'The payer disputes a payment, or the dispute is over; staff is told.';

-- The row of the event's payment: by the gateway's id, else by the transaction that its metadata names, else made from
-- the booking that it names. The booking is locked first, then looked again: another event may just have made the row.
create or replace function app.lock_event_transaction(p_event jsonb)
returns uuid language plpgsql volatile set search_path = '' as $$
declare
  v_gateway text := p_event ->> 'gateway';
  v_payment_id text := p_event ->> 'payment_id';
  v_reference text := p_event #>> '{metadata,transaction_id}';
  v_named uuid := case when v_reference ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then v_reference::uuid end;
  v_booking_id public.booking_key;
  v_id uuid;
begin
  select booking_id into v_booking_id from public.transactions
  where gateway = v_gateway and (gateway_payment_id = v_payment_id or id = v_named and gateway_payment_id is null)
  order by gateway_payment_id nulls last limit 1;
  v_booking_id := coalesce(v_booking_id, app.to_booking_key(p_event #>> '{metadata,booking_id}'));
  perform from public.bookings where id = v_booking_id for update;
  if not found or v_payment_id is null then
    return null;
  end if;
  select id into v_id from public.transactions where gateway = v_gateway and gateway_payment_id = v_payment_id for update;
  if v_id is null then
    update public.transactions set gateway_payment_id = v_payment_id
    where id = v_named and gateway = v_gateway and gateway_payment_id is null and booking_id = v_booking_id
    returning id into v_id;
  end if;
  if v_id is null and (p_event ->> 'amount')::bigint > 0 and p_event ->> 'currency' is not null then
    insert into public.transactions (
      id, booking_id, customer_id, gateway, gateway_payment_id, amount, currency, cancel_requested_at
    )
    select case when exists (select from public.transactions where id = v_named) then gen_random_uuid()
        else coalesce(v_named, gen_random_uuid()) end,
      b.id, b.customer_id, v_gateway, v_payment_id, (p_event ->> 'amount')::bigint, p_event ->> 'currency',
      -- Beside a live payment a stray one is not to be handed out.
      case when exists (
        select from public.transactions
        where booking_id = b.id and status in ('pending', 'processing') and cancel_requested_at is null and gateway <> 'manual'
      ) then now() end
    from public.bookings b where b.id = v_booking_id
    returning id into v_id;
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
  perform app.recount_refunds(v_id);
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
  insert into public.stripe_events (gateway, id, type, payload, occurred_at)
  values (
    p_event ->> 'gateway', p_event ->> 'id', p_event ->> 'type', p_payload, (p_event ->> 'occurred_at')::timestamptz
  )
  on conflict (gateway, id) do nothing;
  -- Copies that arrive at once wait here for the first.
  select state into v_state from public.stripe_events
  where gateway = p_event ->> 'gateway' and id = p_event ->> 'id' for update;
  if v_state = 'processed' then
    return jsonb_build_object('verdict', 'duplicate');
  end if;
  begin
    v_id := app.apply_gateway_event(
      p_event, case when p_is_replay then 'reconciliation' else p_event ->> 'gateway' end
    );
    v_state := case when v_id is null then 'unmatched' else 'processed' end;
  exception when others then
    -- Not raised: the failure must be remembered, and the event tried again.
    v_state := 'failed';
    v_error := sqlstate || ' ' || sqlerrm;
  end;
  update public.stripe_events
  set state = v_state, transaction_id = v_id, attempts = attempts + 1, last_error = left(v_error, 500),
    processed_at = case when v_state = 'processed' then now() end
  where gateway = p_event ->> 'gateway' and id = p_event ->> 'id';
  return jsonb_build_object('verdict', v_state, 'transaction_id', v_id, 'error', v_error);
end $$;
comment on function public.record_gateway_event is
  'Keep an event and let it have its effect, once: verdict processed, duplicate, unmatched or failed (with the error).';

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
