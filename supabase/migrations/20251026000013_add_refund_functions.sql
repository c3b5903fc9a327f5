-- Purpose: money that goes back, money that is disputed, and the mails about money.
-- Functions: reserve_refund, finish_refund, release_refund (rpc) · queue_payment_mail, note_refund, recount_refunds,
--   note_dispute (steps, also of the file before).
-- SECURITY DEFINER functions: none.
-- Roll back: supabase/rollbacks/20251026000013_add_refund_functions.sql
--
-- A refund is reserved here before the gateway is asked, one at a time per transaction. Where a crash may fall:
--   before reserve_refund commits    nothing happened.
--   before finish_refund commits     the row stays reserved, and nothing else can be refunded. When its lease is over,
--                                    the same request or reconciliation looks for it at the gateway by our id, and asks
--                                    again under the same idempotency key only where it is not there.

create or replace function public.queue_payment_mail(p_template text, p_id uuid, p_dedupe_key text, p_data jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform public.queue_email(
    p_template, b.email,
    jsonb_build_object('name', b.name, 'booking_id', b.id, 'package', b.package, 'currency', t.currency) || p_data,
    p_dedupe_key
  )
  from public.transactions t
  join public.bookings b on b.id = t.booking_id
  where t.id = p_id and btrim(coalesce(b.email, '')) <> '';
end
$$;
comment on function public.queue_payment_mail is 'Queue a mail about a transaction to the address of its booking.';
revoke all on function public.queue_payment_mail from public, anon, authenticated;
grant execute on function public.queue_payment_mail to service_role;

create or replace function public.refund_rank(p_status text)
returns integer
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  return case p_status when 'reserved' then 0 when 'pending' then 1 when 'succeeded' then 2 else 3 end;
end
$$;
comment on function public.refund_rank(text) is 'A refund only moves on to a higher rank: a bank may send a succeeded one back.';
revoke all on function public.refund_rank(text) from public, anon, authenticated;
grant execute on function public.refund_rank(text) to service_role;

create or replace function public.note_refund(p_id uuid, p_event jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_told jsonb := p_event -> 'refund';
  v_failed_at timestamptz := case
    when v_told ->> 'status' in ('failed', 'canceled') then (p_event ->> 'occurred_at')::timestamptz
  end;
  v_refund public.refunds;
begin
  select * into v_refund from public.refunds
  where gateway_refund_id = v_told ->> 'id'
    or gateway_refund_id is null and transaction_id = p_id and id::text = v_told ->> 'reference'
  order by gateway_refund_id nulls last limit 1;
  if v_refund.id is null then
    insert into public.refunds (
      transaction_id, gateway_refund_id, amount, status, requested_by, gateway_created_at, failed_at
    ) values (
      p_id, v_told ->> 'id', (v_told ->> 'amount')::bigint, v_told ->> 'status', p_event ->> 'gateway',
      (v_told ->> 'created_at')::timestamptz, v_failed_at
    );
  else
    update public.refunds
    set gateway_refund_id = v_told ->> 'id', amount = (v_told ->> 'amount')::bigint,
      status = case
        when public.refund_rank(v_told ->> 'status') > public.refund_rank(status) then v_told ->> 'status' else status
      end,
      gateway_created_at = (v_told ->> 'created_at')::timestamptz, failed_at = least(failed_at, v_failed_at),
      lease_until = null
    where id = v_refund.id;
  end if;
  if v_failed_at is not null and v_refund.failed_at is null then
    perform public.alert_staff('A refund failed', format(
      'Refund %s of payment %s did not reach the payer; %s %s (minor units) came back. Please refund in another way.',
      v_told ->> 'id', p_event ->> 'payment_id', v_told ->> 'amount', p_event ->> 'currency'
    ), 'refund-failed:' || (v_told ->> 'id'));
  end if;
end
$$;
comment on function public.note_refund is 'Keep what the gateway says of one refund, ours or one made there.';
revoke all on function public.note_refund from public, anon, authenticated;
grant execute on function public.note_refund to service_role;

-- Two sources: the refunds known one by one, and the total that the charge told at some time. The total misses what came
-- later and still holds what failed later; the list misses what was never told. The greater of the two, so put right, is
-- what went back. Times are whole seconds at the gateway: in a doubtful second the list decides.
create or replace function public.recount_refunds(p_id uuid)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_payment public.transactions;
  v_refunded bigint;
  v_asked public.refunds;
begin
  select * into v_payment from public.transactions where id = p_id;
  if v_payment.status not in ('completed', 'refunded') then
    return;
  end if;
  select least(v_payment.amount, greatest(
    coalesce(sum(amount) filter (where status in ('pending', 'succeeded')), 0),
    v_payment.charge_refunded
      + coalesce(sum(amount) filter (
          where status in ('pending', 'succeeded') and gateway_created_at > v_payment.charge_refunded_at), 0)
      - coalesce(sum(amount) filter (
          where failed_at >= v_payment.charge_refunded_at and gateway_created_at <= v_payment.charge_refunded_at), 0)
  )) into v_refunded
  from public.refunds where transaction_id = p_id;
  if v_refunded = v_payment.amount_refunded then
    return;
  end if;
  -- Whoever asked for it here is named, also where the gateway's event comes before its answer.
  select * into v_asked from public.refunds
  where transaction_id = p_id and requested_by <> v_payment.gateway and status in ('reserved', 'pending', 'succeeded')
    and amount = v_refunded - v_payment.amount_refunded
  order by created_at desc limit 1;
  if v_asked.id is not null then
    perform set_config('app.actor', v_asked.requested_by, true), set_config('app.reason', v_asked.reason, true);
  end if;
  update public.transactions
  set amount_refunded = v_refunded, status = case when v_refunded = amount then 'refunded' else 'completed' end
  where id = p_id;
  if v_refunded > v_payment.amount_refunded then
    perform public.queue_payment_mail('refund-issued', p_id, null, jsonb_build_object(
      'amount', v_refunded - v_payment.amount_refunded, 'full', v_refunded = v_payment.amount
    ));
  end if;
end
$$;
comment on function public.recount_refunds is 'Set what went back of a paid transaction by all that is known of its refunds.';
revoke all on function public.recount_refunds from public, anon, authenticated;
grant execute on function public.recount_refunds to service_role;

create or replace function public.note_dispute(p_id uuid, p_event jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_dispute jsonb := p_event -> 'dispute';
begin
  update public.transactions
  set dispute_status = v_dispute ->> 'status', review_reason = coalesce(review_reason, 'dispute')
  where id = p_id and dispute_status is distinct from v_dispute ->> 'status'
    and ((v_dispute ->> 'is_closed')::boolean or dispute_status is null);
  if found then
    perform public.alert_staff('A payment is disputed', format(
      'The payer disputes payment %s (%s %s, minor units). State at the gateway: %s.',
      p_event ->> 'payment_id', v_dispute ->> 'amount', p_event ->> 'currency', v_dispute ->> 'status'
    ), 'dispute:' || p_id || ':' || (v_dispute ->> 'status'));
  end if;
end
$$;
comment on function public.note_dispute is 'The payer disputes a payment, or the dispute is over; staff is told.';
revoke all on function public.note_dispute from public, anon, authenticated;
grant execute on function public.note_dispute to service_role;

create or replace function public.reserve_refund(
  p_booking_id text, p_amount bigint, p_reason text, p_requested_by text
) returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_booking_id public.booking_key := public.to_booking_key(p_booking_id);
  v_payment public.transactions;
  v_refund public.refunds;
  v_left bigint;
begin
  perform from public.bookings where id = v_booking_id for update;
  -- Of several payments the one that should not have been goes back first.
  select * into v_payment from public.transactions
  where booking_id = v_booking_id and status = 'completed' and amount_refunded < amount and gateway <> 'manual'
  order by (review_reason = 'amount_mismatch') desc nulls last, completed_at desc, created_at desc limit 1 for update;
  if v_payment.id is null then
    raise sqlstate 'PT404' using message = 'No completed payment found for this booking', hint = 'payment_not_found';
  end if;
  v_left := v_payment.amount - v_payment.amount_refunded;
  select * into v_refund from public.refunds where transaction_id = v_payment.id and status = 'reserved' for update;
  if v_refund.id is not null and (v_refund.lease_until > now() or v_refund.amount <> coalesce(p_amount, v_left)) then
    raise sqlstate 'PT409' using message = 'A refund of this payment is under way. Please look again in a few minutes.',
      hint = 'refund_in_progress', detail = '{"retry_after": 60}';
  end if;
  if coalesce(p_amount, v_left) > v_left then
    raise sqlstate 'PT400' using message = 'That is more than is left of this payment.', hint = 'refund_too_large',
      detail = jsonb_build_object('available', v_left)::text;
  end if;
  if v_refund.id is not null then
    update public.refunds set lease_until = now() + interval '1 minute' where id = v_refund.id returning * into v_refund;
  else
    insert into public.refunds (transaction_id, amount, reason, requested_by, lease_until)
    values (v_payment.id, coalesce(p_amount, v_left), p_reason, p_requested_by, now() + interval '1 minute')
    returning * into v_refund;
  end if;
  return public.refund_task(v_refund);
end
$$;
comment on function public.reserve_refund is
  'Reserve a refund (null: of all that is left) for one minute of talk with the gateway, or take over one that was left '
  'behind. Raises PT404 payment_not_found, PT400 refund_too_large, PT409 refund_in_progress.';
revoke all on function public.reserve_refund from public, anon, authenticated;
grant execute on function public.reserve_refund to service_role;

create or replace function public.refund_task(p_refund public.refunds)
returns jsonb
language sql stable security invoker set search_path = ''
as $$
  select jsonb_build_object(
    'refund_id', p_refund.id, 'transaction_id', t.id, 'booking_id', t.booking_id, 'payment_id', t.gateway_payment_id,
    'amount', p_refund.amount, 'currency', t.currency, 'reason', p_refund.reason, 'attempt', p_refund.attempt,
    'requested_by', p_refund.requested_by, 'is_resumed', p_refund.updated_at <> p_refund.created_at
  )
  from public.transactions t where t.id = p_refund.transaction_id;
$$;
comment on function public.refund_task is 'What the service needs to ask the gateway for a reserved refund.';
revoke all on function public.refund_task from public, anon, authenticated;
grant execute on function public.refund_task to service_role;

create or replace function public.finish_refund(p_refund_id uuid, p_event jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_refund public.refunds;
begin
  select * into v_refund from public.refunds where id = p_refund_id;
  perform public.apply_gateway_event(p_event, v_refund.requested_by);
  return (
    select jsonb_build_object(
      'refund_id', r.id, 'gateway_refund_id', r.gateway_refund_id, 'amount', r.amount, 'status', r.status,
      'transaction_id', r.transaction_id
    )
    from public.refunds r where r.id = p_refund_id
  );
end
$$;
comment on function public.finish_refund is 'The gateway made a reserved refund; p_event is its answer, in the words of an event.';
revoke all on function public.finish_refund from public, anon, authenticated;
grant execute on function public.finish_refund to service_role;

create or replace function public.release_refund(p_refund_id uuid, p_error text, p_is_final boolean, p_renew boolean)
returns void
language sql volatile security invoker set search_path = ''
as $$
  update public.refunds
  set last_error = left(p_error, 500), lease_until = now(), attempt = attempt + p_renew::integer,
    status = case when p_is_final then 'failed' else status end, failed_at = case when p_is_final then now() end
  where id = p_refund_id and status = 'reserved';
$$;
comment on function public.release_refund is
  'The gateway did not make a reserved refund. Final: it refused, the amount is free again; else it may still have made '
  'it, and the row waits to be looked up. p_renew: use a new idempotency key, as it would answer the same fault again.';
revoke all on function public.release_refund from public, anon, authenticated;
grant execute on function public.release_refund to service_role;

notify pgrst, 'reload schema';
