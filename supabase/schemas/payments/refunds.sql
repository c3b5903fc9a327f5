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
  gateway text not null,
  gateway_refund_id text,
  amount bigint not null constraint refunds_amount_check check (amount > 0),
  status text not null default 'reserved'
    constraint refunds_status_check check (status in ('reserved', 'pending', 'succeeded', 'failed', 'canceled')),
  reason text,
  requested_by text not null,
  request_hash text,
  gateway_created_at timestamptz,
  failed_at timestamptz,
  attempt integer not null default 1 constraint refunds_attempt_check check (attempt > 0),
  lease_until timestamptz,
  last_error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint refunds_gateway_refund_id_key unique (gateway, gateway_refund_id),
  constraint refunds_transaction_id_fkey foreign key (transaction_id) references public.transactions (id) on delete restrict,
  constraint refunds_failed_at_check check ((status in ('failed', 'canceled')) = (failed_at is not null))
);
comment on table public.refunds is 'What went back of a transaction, or is to go back; amounts in minor units.';
comment on column public.refunds.status is
  'reserved: asked for here, not yet known at the gateway · else the gateway''s word. failed and canceled count nothing.';
comment on column public.refunds.reason is 'In the words of the person who asked; never sent to the gateway.';
comment on column public.refunds.requested_by is
  'A staff e-mail; automatic; or the gateway where it was made there.';
comment on column public.refunds.request_hash is 'SHA-256 of what was asked, by which the same request is known again.';
comment on column public.refunds.lease_until is
  'Until then the one who reserved it is asking the gateway; afterwards another may.';
create index if not exists refunds_request_hash_idx on public.refunds (request_hash, created_at);
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

-- The payer hears of money that has left, not of one that is still to be sent; and of one that came back after that.
create or replace function app.tell_of_refund(p_refund public.refunds, p_status_before text)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_payment public.transactions;
begin
  select * into v_payment from public.transactions where id = p_refund.transaction_id;
  if p_refund.status = 'succeeded' then
    perform app.queue_payment_mail('refund-issued', v_payment.id, 'refund:' || p_refund.id, jsonb_build_object(
      'amount', p_refund.amount, 'full', p_refund.amount = v_payment.amount
    ));
  elsif p_refund.status in ('failed', 'canceled') then
    if p_status_before = 'succeeded' then
      perform app.queue_payment_mail('refund-failed', v_payment.id, 'refund-failed:' || p_refund.id, jsonb_build_object(
        'amount', p_refund.amount
      ));
    end if;
    perform app.alert_staff('bookings_edit', 'A refund failed', format(
      'A refund of %s for booking %s did not reach the payer (payment %s%s). Please send the money back in another way.',
      app.money(p_refund.amount, v_payment.currency), v_payment.booking_id, v_payment.gateway_payment_id,
      ': ' || p_refund.last_error
    ), 'refund-failed:' || p_refund.id, v_payment.id);
  end if;
end $$;
comment on function app.tell_of_refund is 'Mail the payer, and staff, what a refund''s new status means.';

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
  v_before public.refunds;
  v_after public.refunds;
begin
  select * into v_before from public.refunds
  where gateway = p_event ->> 'gateway' and gateway_refund_id = v_told ->> 'id'
    or gateway_refund_id is null and transaction_id = p_id and id::text = v_told ->> 'reference'
  order by gateway_refund_id nulls last limit 1;
  if v_before.id is null then
    insert into public.refunds (
      transaction_id, gateway, gateway_refund_id, amount, status, requested_by, gateway_created_at, failed_at
    ) values (
      p_id, p_event ->> 'gateway', v_told ->> 'id', (v_told ->> 'amount')::bigint, v_told ->> 'status', p_event ->> 'gateway',
      (v_told ->> 'created_at')::timestamptz, v_failed_at
    ) returning * into v_after;
  else
    update public.refunds
    set gateway_refund_id = v_told ->> 'id', amount = (v_told ->> 'amount')::bigint,
      -- What we noted before the gateway knew it, as that it failed, yields to the gateway's word.
      status = case
        when gateway_refund_id is null or app.refund_rank(v_told ->> 'status') > app.refund_rank(status)
          then v_told ->> 'status'
        else status
      end,
      gateway_created_at = (v_told ->> 'created_at')::timestamptz,
      failed_at = case when gateway_refund_id is null then v_failed_at else least(failed_at, v_failed_at) end,
      lease_until = null
    where id = v_before.id returning * into v_after;
  end if;
  if v_after.status is distinct from v_before.status then
    perform app.tell_of_refund(v_after, v_before.status);
  end if;
end $$;
comment on function app.note_refund is 'Keep what the gateway says of one refund, ours or one made there.';

-- Two sources: the refunds known one by one, and the total that the charge told at some time. The list decides; what the
-- total holds beyond it was never told one by one, and counts until reconciliation has asked. A total may or may not still
-- hold a refund that failed, so failed ones of before are looked for in it, too.
create or replace function app.refunded_amount(p_payment public.transactions)
returns bigint language sql stable set search_path = '' as $$
  select least(p_payment.amount, coalesce(sum(amount) filter (where status in ('pending', 'succeeded')), 0) + greatest(
    0, p_payment.charge_refunded - coalesce(sum(amount) filter (where gateway_created_at <= p_payment.charge_refunded_at), 0)
  ))
  from public.refunds where transaction_id = p_payment.id;
$$;
comment on function app.refunded_amount is 'What was sent back of a payment by all that is known, in minor units.';

create or replace function app.settle_doubles(p_booking_id public.booking_key, p_is_new boolean)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_standing uuid[] := array(
    select id from public.transactions
    where booking_id = p_booking_id and status = 'completed'
      and coalesce(review_reason, 'double_payment') in ('double_payment', 'dispute')
  );
begin
  if cardinality(v_standing) > 1 and p_is_new then
    update public.transactions set review_reason = 'double_payment' where id = any (v_standing) and review_reason is null;
  elsif cardinality(v_standing) = 1 then
    update public.transactions set review_reason = null where id = any (v_standing) and review_reason = 'double_payment';
  end if;
end $$;
comment on function app.settle_doubles is
  'Flag the payments that stand for one booking, where one more has just come to stand; take the flag back where one is left.';

create or replace function app.recount_payment(p_id uuid)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_payment public.transactions;
  v_refunded bigint;
  v_withdrawn bigint;
  v_asked public.refunds;
begin
  select * into v_payment from public.transactions where id = p_id;
  if v_payment.status not in ('completed', 'refunded') then
    return;
  end if;
  v_refunded := app.refunded_amount(v_payment);
  v_withdrawn := app.withdrawn_amount(p_id);
  if (v_refunded, v_withdrawn) = (v_payment.amount_refunded, v_payment.amount_withdrawn) then
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
  set amount_refunded = v_refunded, amount_withdrawn = v_withdrawn,
    status = case when v_refunded + v_withdrawn >= amount then 'refunded' else 'completed' end
  where id = p_id;
  if v_payment.status <> (case when v_refunded + v_withdrawn >= v_payment.amount then 'refunded' else 'completed' end) then
    perform app.settle_doubles(v_payment.booking_id, v_payment.status = 'refunded');
  end if;
end $$;
comment on function app.recount_payment is
  'Set what went back of a paid transaction by all that is known of its refunds and disputes.';

create or replace function app.refund_task(p_refund public.refunds)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'refund_id', p_refund.id, 'transaction_id', t.id, 'booking_id', t.booking_id,
    'gateway', t.gateway, 'payment_id', t.gateway_payment_id, 'charge_id', t.gateway_charge_id,
    'amount', p_refund.amount, 'currency', t.currency, 'reason', p_refund.reason, 'attempt', p_refund.attempt,
    'requested_by', p_refund.requested_by, 'is_resumed', p_refund.updated_at <> p_refund.created_at,
    'gateway_refund_id', p_refund.gateway_refund_id, 'status', p_refund.status, 'is_repeated', false
  )
  from public.transactions t where t.id = p_refund.transaction_id;
$$;
comment on function app.refund_task is 'What the service needs to ask the gateway for a reserved refund.';

-- The first refund of the same request: by the client's key for a day, without one for ten minutes from its last news, as
-- the gateway may have been away before.
create or replace function app.find_repeated_refund(p_scope text, p_key text, p_request_hash text, p_is_again boolean)
returns public.refunds language plpgsql volatile set search_path = '' as $$
declare
  v_known public.payment_idempotency_keys;
  v_refund public.refunds;
begin
  if p_key is not null then
    v_known := app.recall_idempotency_key(p_scope, p_key, p_request_hash);
    select * into v_refund from public.refunds where id = v_known.refund_id;
  elsif not p_is_again then
    select * into v_refund from public.refunds
    where request_hash = p_request_hash and updated_at > now() - interval '10 minutes'
      and status not in ('failed', 'canceled')
    order by created_at desc limit 1;
  end if;
  return v_refund;
end $$;
comment on function app.find_repeated_refund is 'The refund that the same request led to before; nothing without one.';

create or replace function public.reserve_refund(
  p_booking_id text, p_amount bigint, p_reason text, p_request_hash text, p_transaction_id uuid default null,
  p_key text default null, p_is_again boolean default false
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_booking_id public.booking_key := app.to_booking_key(p_booking_id);
  v_scope text := 'refund:' || coalesce(app.actor() ->> 'id', app.actor() ->> 'name');
  v_payment public.transactions;
  v_refund public.refunds;
begin
  perform from public.bookings where id = v_booking_id for update;
  v_refund := app.find_repeated_refund(v_scope, p_key, p_request_hash, p_is_again);
  if v_refund.status <> 'reserved' then
    return app.refund_task(v_refund) || '{"is_repeated": true}';
  end if;
  -- Of several payments the one that should not have been goes back first.
  select * into v_payment from public.transactions
  where booking_id = v_booking_id and status = 'completed' and gateway <> 'manual'
    and id = coalesce(v_refund.transaction_id, p_transaction_id, id)
  order by (review_reason = 'amount_mismatch') desc nulls last, completed_at desc, created_at desc limit 1 for update;
  if v_payment.id is null then
    raise sqlstate 'PT404' using message = 'No completed payment found for this booking', hint = 'payment_not_found';
  end if;
  select * into v_refund from public.refunds where transaction_id = v_payment.id and status = 'reserved' for update;
  if v_refund.lease_until > now() or v_refund.id is not null and v_refund.request_hash is distinct from p_request_hash then
    raise sqlstate 'PT409' using message = 'A refund of this payment is under way. Please look again in a few minutes.',
      hint = 'refund_in_progress', detail = '{"retry_after": 60}';
  end if;
  if coalesce(p_amount, v_payment.amount_left) > v_payment.amount_left then
    raise sqlstate 'PT400' using message = 'That is more than is left of this payment.', hint = 'refund_too_large',
      detail = jsonb_build_object('available', v_payment.amount_left)::text;
  end if;
  if v_refund.id is not null then
    update public.refunds set lease_until = now() + interval '1 minute' where id = v_refund.id returning * into v_refund;
  else
    insert into public.refunds (transaction_id, gateway, amount, reason, requested_by, request_hash, lease_until)
    values (
      v_payment.id, v_payment.gateway, coalesce(p_amount, v_payment.amount_left), p_reason, app.actor() ->> 'name', p_request_hash,
      now() + interval '1 minute'
    )
    returning * into v_refund;
  end if;
  perform app.keep_idempotency_key(v_scope, p_key, p_request_hash, v_payment.id, v_refund.id);
  return app.refund_task(v_refund);
end $$;
comment on function public.reserve_refund is
  'Reserve a refund (null: of all that is left) for one minute of talk with the gateway, or take over one that was left '
  'behind; with is_repeated, where the same request led to one already, that one. Raises PT404 payment_not_found, PT400 '
  'refund_too_large, PT409 refund_in_progress, idempotency_key_reused.';

-- Money that nobody wants goes back without a person: the worker takes the row as one that was left behind.
create or replace function app.refund_unwanted(p_id uuid)
returns void language sql volatile set search_path = '' as $$
  insert into public.refunds (transaction_id, gateway, amount, reason, requested_by, lease_until)
  select id, gateway, amount_left, 'Paid after the booking was cancelled', 'automatic', now()
  from public.transactions
  where id = p_id and status = 'completed' and review_reason = 'booking_cancelled' and not metadata ? 'adopted'
    and not exists (select from public.refunds r where r.transaction_id = p_id and r.requested_by = 'automatic');
$$;
comment on function app.refund_unwanted is
  'Reserve the refund of what was paid for a cancelled booking, once; not of a payment that another program made.';

create or replace function public.release_refund(
  p_refund_id uuid, p_error text, p_is_final boolean, p_renew boolean, p_is_attended boolean default true
) returns void language plpgsql volatile set search_path = '' as $$
declare
  v_refund public.refunds;
begin
  update public.refunds
  set last_error = left(p_error, 500), lease_until = now(), attempt = attempt + p_renew::integer,
    status = case when p_is_final then 'failed' else status end, failed_at = case when p_is_final then now() end
  where id = p_refund_id and status = 'reserved'
  returning * into v_refund;
  if v_refund.status = 'failed' and not p_is_attended then
    perform app.tell_of_refund(v_refund, 'reserved');
  end if;
end $$;
comment on function public.release_refund is
  'The gateway did not make a reserved refund. Final: it refused, the amount is free again; else it may still have made '
  'it, and the row waits to be looked up. p_renew: use a new idempotency key, as it would answer the same fault again. Staff '
  'is told of what failed while nobody waits for the answer.';
