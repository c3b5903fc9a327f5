-- Money that goes back.
--
-- A refund is reserved here before the gateway is asked, one at a time per transaction. Where a crash may fall:
--   before reserve_refund commits    nothing happened.
--   before finish_refund commits     the row stays reserved, and nothing else can be refunded. When its lease is over,
--                                    the same request or reconciliation looks for it at the gateway by our id, and asks
--                                    again under the same idempotency key only where it is not there.

-- Reserved before the gateway is asked, so that two refunds at once cannot give back more than was taken.
create table if not exists public.refunds (
  id uuid primary key default gen_random_uuid(),
  transaction_id uuid not null,
  gateway_refund_id text constraint refunds_gateway_refund_id_key unique,
  amount bigint not null constraint refunds_amount_check check (amount > 0),
  status text not null default 'reserved'
    constraint refunds_status_check check (status in ('reserved', 'pending', 'succeeded', 'failed', 'canceled')),
  reason text,
  requested_by text not null,
  gateway_created_at timestamptz,
  failed_at timestamptz,
  attempt integer not null default 1 constraint refunds_attempt_check check (attempt > 0),
  lease_until timestamptz,
  last_error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint refunds_transaction_id_fkey foreign key (transaction_id) references public.transactions (id) on delete restrict,
  constraint refunds_failed_at_check check ((status in ('failed', 'canceled')) = (failed_at is not null))
);
comment on table public.refunds is 'What went back of a transaction, or is to go back; amounts in minor units.';
comment on column public.refunds.status is
  'reserved: asked for here, not yet known at the gateway · else the gateway''s word. failed and canceled count nothing.';
comment on column public.refunds.reason is 'In the words of the person who asked; never sent to the gateway.';
comment on column public.refunds.requested_by is 'A staff e-mail, or the gateway where it was made there.';
comment on column public.refunds.lease_until is
  'Until then the one who reserved it is asking the gateway; afterwards another may.';
create index if not exists refunds_transaction_id_idx on public.refunds (transaction_id, created_at);
create unique index if not exists refunds_one_reserved_idx on public.refunds (transaction_id) where status = 'reserved';
create index if not exists refunds_open_idx on public.refunds (created_at) where status in ('reserved', 'pending');
create or replace trigger tg_refunds__set_updated_at before update on public.refunds
  for each row execute function app.tg_set_updated_at();

call app.close_table('public.refunds');
grant select, insert, update on public.refunds to service_role;

create or replace function app.queue_payment_mail(p_template text, p_id uuid, p_dedupe_key text, p_data jsonb)
returns void language plpgsql volatile set search_path = '' as $$
begin
  perform app.queue_email(
    p_template, contact.email,
    jsonb_build_object(
      'name', contact.name, 'booking_id', b.id, 'package', b.package, 'currency', t.currency,
      'exponent', (app.currency(t.currency)).exponent
    ) || p_data,
    p_dedupe_key
  )
  from public.transactions t
  join public.bookings b on b.id = t.booking_id
  cross join app.mail_contact(b, t.id) contact
  where t.id = p_id and contact.email is not null;
end $$;
comment on function app.queue_payment_mail is
  'Queue a mail about a transaction to the address of its booking, else to the one given while paying.';

create or replace function app.refund_rank(p_status text)
returns integer language plpgsql immutable set search_path = '' as $$
begin
  return case p_status when 'reserved' then 0 when 'pending' then 1 when 'succeeded' then 2 else 3 end;
end $$;
comment on function app.refund_rank is 'A refund only moves on to a higher rank: a bank may send a succeeded one back.';

create or replace function app.note_refund(p_id uuid, p_event jsonb)
returns void language plpgsql volatile set search_path = '' as $$
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
        when app.refund_rank(v_told ->> 'status') > app.refund_rank(status) then v_told ->> 'status' else status
      end,
      gateway_created_at = (v_told ->> 'created_at')::timestamptz, failed_at = least(failed_at, v_failed_at),
      lease_until = null
    where id = v_refund.id;
  end if;
  if v_failed_at is not null and v_refund.failed_at is null then
    perform app.alert_staff('A refund failed', format(
      'Refund %s of payment %s did not reach the payer; %s %s (minor units) came back. Please refund in another way.',
      v_told ->> 'id', p_event ->> 'payment_id', v_told ->> 'amount', p_event ->> 'currency'
    ), 'refund-failed:' || (v_told ->> 'id'));
  end if;
end $$;
comment on function app.note_refund is 'Keep what the gateway says of one refund, ours or one made there.';

-- Two sources: the refunds known one by one, and the total that the charge told at some time. The total misses what came
-- later and still holds what failed later; the list misses what was never told. The greater of the two, so put right, is
-- what went back. Times are whole seconds at the gateway: in a doubtful second the list decides.
create or replace function app.recount_refunds(p_id uuid)
returns void language plpgsql volatile set search_path = '' as $$
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
    perform app.act_as(v_asked.requested_by, v_asked.reason);
  end if;
  update public.transactions
  set amount_refunded = v_refunded, status = case when v_refunded = amount then 'refunded' else 'completed' end
  where id = p_id;
  if v_refunded > v_payment.amount_refunded then
    perform app.queue_payment_mail('refund-issued', p_id, null, jsonb_build_object(
      'amount', v_refunded - v_payment.amount_refunded, 'full', v_refunded = v_payment.amount
    ));
  end if;
end $$;
comment on function app.recount_refunds is
  'Set what went back of a paid transaction by all that is known of its refunds.';

create or replace function app.refund_task(p_refund public.refunds)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'refund_id', p_refund.id, 'transaction_id', t.id, 'booking_id', t.booking_id, 'payment_id', t.gateway_payment_id,
    'amount', p_refund.amount, 'currency', t.currency, 'reason', p_refund.reason, 'attempt', p_refund.attempt,
    'requested_by', p_refund.requested_by, 'is_resumed', p_refund.updated_at <> p_refund.created_at
  )
  from public.transactions t where t.id = p_refund.transaction_id;
$$;
comment on function app.refund_task is 'What the service needs to ask the gateway for a reserved refund.';

create or replace function public.reserve_refund(
  p_booking_id text, p_amount bigint, p_reason text
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_booking_id public.booking_key := app.to_booking_key(p_booking_id);
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
    values (v_payment.id, coalesce(p_amount, v_left), p_reason, app.actor() ->> 'name', now() + interval '1 minute')
    returning * into v_refund;
  end if;
  return app.refund_task(v_refund);
end $$;
comment on function public.reserve_refund is
  'Reserve a refund (null: of all that is left) for one minute of talk with the gateway, or take over one that was left '
  'behind. Raises PT404 payment_not_found, PT400 refund_too_large, PT409 refund_in_progress.';

create or replace function public.release_refund(p_refund_id uuid, p_error text, p_is_final boolean, p_renew boolean)
returns void language sql volatile set search_path = '' as $$
  update public.refunds
  set last_error = left(p_error, 500), lease_until = now(), attempt = attempt + p_renew::integer,
    status = case when p_is_final then 'failed' else status end, failed_at = case when p_is_final then now() end
  where id = p_refund_id and status = 'reserved';
$$;
comment on function public.release_refund is
  'The gateway did not make a reserved refund. Final: it refused, the amount is free again; else it may still have made '
  'it, and the row waits to be looked up. p_renew: use a new idempotency key, as it would answer the same fault again.';
