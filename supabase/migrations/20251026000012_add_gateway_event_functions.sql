-- Purpose: what the gateway tells becomes state: once, in whatever order it arrives, together with its audit rows and
--   mails, in the transaction that remembers the event.
-- Functions: record_gateway_event, apply_gateway_facts (rpc) · apply_gateway_event, lock_event_transaction,
--   complete_payment, move_payment (their steps; those of refunds and disputes stand in the next file).
-- SECURITY DEFINER functions: none.
-- Roll back: supabase/rollbacks/20251026000012_add_gateway_event_functions.sql
--
-- An event arrives in the words of service/payments/gateway.py:
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

create or replace function public.complete_payment(p_id uuid, p_event jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
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
  v_currency := coalesce(nullif(lower(btrim(v_booking.currency)), ''), 'usd');
  v_review := case
    when p_event ->> 'currency' <> v_currency
      or (p_event ->> 'amount')::bigint <> public.booking_amount(v_booking.amount, v_currency) then 'amount_mismatch'
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
    perform public.supersede_payments(v_booking.id, p_id);
    perform public.queue_payment_mail('payment-receipt', p_id, 'receipt:' || p_id, jsonb_build_object(
      'transaction_id', p_id, 'amount', p_event -> 'amount', 'paid_at', p_event ->> 'occurred_at'
    ));
    perform public.queue_payment_mail('booking-confirmation', p_id, 'confirmation:' || v_booking.id, jsonb_build_object(
      'travel_date', v_booking.travel_date, 'guests', v_booking.number_of_guests, 'amount', p_event -> 'amount'
    )) from public.bookings where id = v_booking.id and status = 'Confirmed';
  end if;
  if v_review is not null then
    perform public.alert_staff('A payment needs review', format(
      'Payment %s of booking %s: %s. %s %s (minor units) were taken; the booking asks for %s %s.',
      v_payment.gateway_payment_id, v_booking.id, replace(v_review, '_', ' '), p_event ->> 'amount', p_event ->> 'currency',
      public.booking_amount(v_booking.amount, v_currency), v_currency
    ), 'review:' || p_id);
  end if;
end
$$;
comment on function public.complete_payment is 'The gateway took the money: completed, flagged where it does not fit the booking.';
revoke all on function public.complete_payment from public, anon, authenticated;
grant execute on function public.complete_payment to service_role;

create or replace function public.move_payment(p_id uuid, p_event jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
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
    perform public.queue_payment_mail('payment-failed', p_id, 'failed:' || p_id, jsonb_build_object(
      'amount', (select amount from public.transactions where id = p_id), 'reason', p_event ->> 'failure_reason'
    ));
  end if;
end
$$;
comment on function public.move_payment is 'Processing, failed or canceled at the gateway, where nothing newer or final is known.';
revoke all on function public.move_payment from public, anon, authenticated;
grant execute on function public.move_payment to service_role;

-- The row of the event's payment: by the gateway's id, else by the transaction that its metadata names, else made from
-- the booking that it names. The booking is locked first, then looked again: another event may just have made the row.
create or replace function public.lock_event_transaction(p_event jsonb)
returns uuid
language plpgsql volatile security invoker set search_path = ''
as $$
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
  v_booking_id := coalesce(v_booking_id, public.to_booking_key(p_event #>> '{metadata,booking_id}'));
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
end
$$;
comment on function public.lock_event_transaction is
  'The transaction that an event tells about, locked after its booking, made where need be; null when nobody knows it.';
revoke all on function public.lock_event_transaction from public, anon, authenticated;
grant execute on function public.lock_event_transaction to service_role;

create or replace function public.apply_gateway_event(p_event jsonb, p_actor text)
returns uuid
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform set_config('app.actor', p_actor, true), set_config('app.reason', p_event ->> 'type', true);
  v_id := public.lock_event_transaction(p_event);
  if v_id is null then
    return null;
  end if;
  case p_event ->> 'kind'
    when 'payment.succeeded' then
      perform public.complete_payment(v_id, p_event);
    when 'charge.refunded' then
      perform public.complete_payment(v_id, p_event);
      update public.transactions
      set charge_refunded = (p_event ->> 'charge_refunded')::bigint,
        charge_refunded_at = (p_event ->> 'occurred_at')::timestamptz
      where id = v_id and (
        charge_refunded_at is null
        or ((p_event ->> 'occurred_at')::timestamptz, (p_event ->> 'charge_refunded')::bigint)
          > (charge_refunded_at, charge_refunded)
      );
    when 'refund.changed' then
      perform public.note_refund(v_id, p_event);
    when 'dispute.changed' then
      perform public.note_dispute(v_id, p_event);
    else
      perform public.move_payment(v_id, p_event);
  end case;
  perform public.recount_refunds(v_id);
  return v_id;
end
$$;
comment on function public.apply_gateway_event is 'Let one event have its effect; the transaction it told about, or null.';
revoke all on function public.apply_gateway_event from public, anon, authenticated;
grant execute on function public.apply_gateway_event to service_role;

create or replace function public.record_gateway_event(p_event jsonb, p_payload text, p_actor text default 'stripe')
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
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
    v_id := public.apply_gateway_event(p_event, p_actor);
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
end
$$;
comment on function public.record_gateway_event is
  'Keep an event and let it have its effect, once: verdict processed, duplicate, unmatched or failed (with the error).';
revoke all on function public.record_gateway_event from public, anon, authenticated;
grant execute on function public.record_gateway_event to service_role;

create or replace function public.apply_gateway_facts(p_events jsonb, p_transaction_id uuid default null)
returns integer
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_event jsonb;
  v_applied integer := 0;
begin
  for v_event in select value from jsonb_array_elements(p_events) loop
    if public.apply_gateway_event(v_event, 'reconciliation') is not null then
      v_applied := v_applied + 1;
    end if;
  end loop;
  update public.transactions set checked_at = now() where id = p_transaction_id;
  return v_applied;
end
$$;
comment on function public.apply_gateway_facts is
  'What the gateway answered about one payment (p_transaction_id was asked for), in the words of events but without ids; '
  'how many met a transaction.';
revoke all on function public.apply_gateway_facts from public, anon, authenticated;
grant execute on function public.apply_gateway_facts to service_role;

notify pgrst, 'reload schema';
