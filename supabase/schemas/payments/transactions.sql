-- What was asked and paid for bookings: transactions has one row per payment at a gateway (or noted by staff),
-- transaction_audit_logs one per change of such a row, for ever. On an existing project each booking noted as Paid or
-- Refunded gets one transaction of gateway `manual`, so that from here on the transactions alone decide about
-- payment_status.
--
-- The rules of money, which all functions of this folder keep:
--   1. A transaction's state follows from the set of facts that the gateway told about it, not from their order:
--      paid is paid for ever · canceled ends what was not paid · else the latest of processing and failed counts.
--   2. Of a paid one, `amount` is what was really taken, `amount_refunded` what was sent back and `amount_withdrawn` what
--      the payer's bank took back by disputes: refunded when nothing is left, else completed. A refund that fails and a
--      dispute that is won give their amounts back, the ways from refunded to completed.
--   3. A booking has at most one payment that can be handed out to be paid: not paid, not canceled, not superseded.
--      Cancelling or repricing the booking, noting it Paid by hand and deleting it supersede what no longer fits, and the
--      worker cancels that at the gateway within seconds.
--   4. What is paid all the same in that moment: where the booking is cancelled or gone, it is sent back by itself; where
--      it is not, it is kept and flagged (amount_mismatch, double_payment), and a person decides. A person also decides of
--      payments that we did not begin and that name a booking of ours.
--   5. A booking is Paid while a completed payment of the right amount stands, Refunded when all that was paid went
--      back, else Failed when the latest attempt failed, else Pending. A trigger keeps this for any writer.
--   6. Locks are taken in one order: event, booking, transaction, refund or dispute.

-- One row per payment at a gateway. It is written before the gateway hears of it, so that no payment is unknown here.
-- A booking that was ever paid, or whose payment is under way, cannot be deleted.
create table if not exists public.transactions (
  id uuid primary key default gen_random_uuid(),
  booking_id public.booking_key,
  customer_id uuid,
  gateway text not null constraint transactions_gateway_check check (gateway ~ '^[a-z]{2,20}$'),
  gateway_payment_id text,
  gateway_charge_id text,
  amount bigint not null constraint transactions_amount_check check (amount > 0),
  amount_refunded bigint not null default 0
    constraint transactions_amount_refunded_check check (amount_refunded between 0 and amount),
  amount_withdrawn bigint not null default 0
    constraint transactions_amount_withdrawn_check check (amount_withdrawn >= 0),
  amount_left bigint generated always as (greatest(0, amount - amount_refunded - amount_withdrawn)) stored,
  currency text not null constraint transactions_currency_check check (currency ~ '^[a-z]{3}$'),
  status text not null default 'pending'
    constraint transactions_status_check check (status in ('pending', 'processing', 'completed', 'failed', 'refunded')),
  payment_method text,
  failure_code text,
  review_reason text,
  needs_review boolean not null generated always as (
    review_reason is not null and (review_reason = 'dispute' or amount > amount_refunded + amount_withdrawn)
  ) stored,
  dispute_status text,
  disputed_at timestamptz,
  attempt integer not null default 1 constraint transactions_attempt_check check (attempt > 0),
  status_at timestamptz,
  cancel_requested_at timestamptz,
  canceled_at timestamptz,
  completed_at timestamptz,
  checked_at timestamptz,
  unconfirmed_at timestamptz,
  approved_at timestamptz,
  charge_refunded bigint not null default 0,
  charge_refunded_at timestamptz,
  metadata jsonb not null default '{}'
    constraint transactions_metadata_check check (jsonb_typeof(metadata) = 'object'),
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default now(),
  is_live boolean not null generated always as (
    status in ('pending', 'processing', 'failed') and cancel_requested_at is null and canceled_at is null and gateway <> 'manual'
  ) stored,
  constraint transactions_refunded_check check (
    status not in ('completed', 'refunded') or (status = 'refunded') = (amount <= amount_refunded + amount_withdrawn)
  ),
  constraint transactions_booking_id_fkey foreign key (booking_id) references public.bookings (id) on delete set null,
  constraint transactions_gateway_payment_id_key unique (gateway, gateway_payment_id),
  constraint transactions_gateway_charge_id_key unique (gateway, gateway_charge_id)
);
comment on table public.transactions is 'Payments of bookings at a gateway, or noted by staff; amounts in minor units.';
comment on column public.transactions.booking_id is 'Null: the booking was deleted before anything was paid.';
comment on column public.transactions.customer_id is 'Who the booking belonged to; null for a guest.';
comment on column public.transactions.gateway is
  'stripe, razorpay, paypal: the name of a file in service/payments/gateways · manual: paid by other means, noted by staff.';
comment on column public.transactions.gateway_payment_id is
  'The gateway''s id (Stripe: pi_…, Razorpay and PayPal: the order); null until it answered.';
comment on column public.transactions.gateway_charge_id is
  'Its id of the money taken, where that is another (Razorpay: the payment, PayPal: the capture): refunds and disputes name it.';
comment on column public.transactions.amount is 'Minor units: what is asked, and once paid what was really taken.';
comment on column public.transactions.amount_refunded is 'Minor units that were sent back, as the gateway says.';
comment on column public.transactions.amount_withdrawn is 'Minor units that disputes took and did not give back.';
comment on column public.transactions.failure_code is
  'Why the latest attempt failed, in the gateway''s word; or superseded, abandoned.';
comment on column public.transactions.review_reason is
  'amount_mismatch (the booking is not Paid by it) · double_payment · booking_cancelled · dispute. Null once a person has '
  'seen to it.';
comment on column public.transactions.needs_review is
  'There is a reason, and money that it is about: what was given back needs nobody any more.';
comment on column public.transactions.dispute_status is 'Of the latest dispute; see the table disputes.';
comment on column public.transactions.disputed_at is 'When there was news of a dispute.';
comment on column public.transactions.attempt is
  'Part of the idempotency key at the gateway; next one after a fault there.';
comment on column public.transactions.status_at is
  'When, at the gateway, the state came about: older news change nothing.';
comment on column public.transactions.cancel_requested_at is
  'Superseded: to be canceled at the gateway, never handed out.';
comment on column public.transactions.is_live is 'It can be paid, or is being paid; a booking has at most one.';
comment on column public.transactions.checked_at is 'When reconciliation last asked the gateway.';
comment on column public.transactions.unconfirmed_at is
  'Since when it is known to wait for its payer, as for an answer to the bank.';
comment on column public.transactions.approved_at is
  'When the payer had agreed, where the money is then taken by us: whoever closed the window has it done by the worker.';
comment on column public.transactions.charge_refunded is
  'The refunded total that the gateway last told, at charge_refunded_at.';
comment on column public.transactions.created_at is
  'By the clock, not the transaction''s start: attempts of a booking wait for each other and are told apart by it.';

create index if not exists transactions_booking_id_created_at_idx on public.transactions (booking_id, created_at desc);
create unique index if not exists transactions_one_live_idx on public.transactions (booking_id) where is_live;
create index if not exists transactions_customer_id_idx on public.transactions (customer_id) where customer_id is not null;
create index if not exists transactions_created_at_id_idx on public.transactions (created_at desc, id desc);
create index if not exists transactions_status_created_at_idx on public.transactions (status, created_at desc);
create index if not exists transactions_open_idx on public.transactions (checked_at nulls first, created_at)
  where status in ('pending', 'processing', 'failed') and canceled_at is null and gateway <> 'manual';
create index if not exists transactions_approved_idx on public.transactions (approved_at)
  where approved_at is not null and status in ('pending', 'processing', 'failed') and canceled_at is null;
create index if not exists transactions_completed_idx on public.transactions (checked_at nulls first)
  where status in ('completed', 'refunded') and gateway <> 'manual';
create index if not exists transactions_unknown_method_idx on public.transactions (completed_at)
  where status in ('completed', 'refunded') and payment_method is null and gateway <> 'manual';
create index if not exists transactions_charge_refunded_idx on public.transactions (charge_refunded_at)
  where charge_refunded > 0;
create index if not exists transactions_review_idx on public.transactions (created_at desc) where needs_review;

create or replace trigger tg_transactions__set_updated_at before update on public.transactions
  for each row execute function app.tg_set_updated_at();

call app.close_table('public.transactions');
create policy transactions_select_customer on public.transactions for select to customer
  using (customer_id = (select auth.uid()));
grant select, insert, update on public.transactions to service_role;
grant select (
  id, booking_id, customer_id, gateway, amount, amount_refunded, amount_withdrawn, currency, status, payment_method,
  created_at, completed_at
) on public.transactions to customer;

create table if not exists public.transaction_audit_logs (
  id bigint generated always as identity primary key,
  transaction_id uuid not null,
  old_status text,
  new_status text not null,
  amount bigint not null,
  amount_refunded bigint not null,
  amount_withdrawn bigint not null default 0,
  dispute_status text,
  review_reason text,
  changed_by text not null,
  reason text,
  created_at timestamptz not null default clock_timestamp(),
  constraint transaction_audit_logs_transaction_id_fkey
    foreign key (transaction_id) references public.transactions (id) on delete restrict
);
comment on table public.transaction_audit_logs is
  'Every change of a transaction''s state and of its disputes. Never changed or deleted, by anybody.';
comment on column public.transaction_audit_logs.old_status is 'Null: the row was made.';
comment on column public.transaction_audit_logs.changed_by is
  'A staff e-mail, a gateway, reconciliation, checkout, automatic, or a database role.';
create index if not exists transaction_audit_logs_transaction_id_idx on public.transaction_audit_logs (transaction_id, id);
create index if not exists transaction_audit_logs_created_at_idx on public.transaction_audit_logs (created_at);
create or replace trigger tg_transaction_audit_logs__append_only
  before update or delete or truncate on public.transaction_audit_logs
  for each statement execute function app.tg_append_only();

call app.close_table('public.transaction_audit_logs');
grant select, insert on public.transaction_audit_logs to service_role;

create or replace function app.tg_transactions__audit()
returns trigger language plpgsql volatile set search_path = '' as $$
begin
  if tg_op = 'INSERT'
    or (old.status, old.amount, old.amount_refunded, old.amount_withdrawn, old.review_reason, old.disputed_at)
      is distinct from
      (new.status, new.amount, new.amount_refunded, new.amount_withdrawn, new.review_reason, new.disputed_at) then
    insert into public.transaction_audit_logs (
      transaction_id, old_status, new_status, amount, amount_refunded, amount_withdrawn, dispute_status, review_reason,
      changed_by, reason
    ) values (
      new.id, case when tg_op = 'UPDATE' then old.status end, new.status, new.amount, new.amount_refunded,
      new.amount_withdrawn, new.dispute_status, new.review_reason,
      app.actor() ->> 'name',
      nullif(current_setting('app.reason', true), '')
    );
  end if;
  return null;
end $$;
comment on function app.tg_transactions__audit is 'Writes the audit row of a new or changed transaction.';

create or replace trigger tg_transactions__audit after insert or update on public.transactions
  for each row execute function app.tg_transactions__audit();

-- The lock is a statement of its own, before the rows are read: of two transactions of one booking that change at once,
-- the later sees the other's outcome.
create or replace function app.tg_transactions__sync_booking()
returns trigger language plpgsql volatile set search_path = '' as $$
declare
  v_booking_id public.booking_key := coalesce(new.booking_id, old.booking_id);
  v_paid public.transactions;
  v_status text;
begin
  perform from public.bookings where id = v_booking_id for update;
  select * into v_paid from public.transactions
  where booking_id = v_booking_id and status = 'completed' and review_reason is distinct from 'amount_mismatch'
  order by completed_at, created_at, id limit 1;
  select case
    when v_paid.id is not null then 'Paid'
    when bool_or(t.status = 'refunded') and not bool_or(t.status = 'completed') then 'Refunded'
    -- What was superseded did not fail: nobody tried to pay it.
    when (array_agg(t.status order by t.created_at desc, t.id desc) filter (where t.cancel_requested_at is null))[1]
      = 'failed' then 'Failed'
    else 'Pending'
  end into v_status
  from public.transactions t where t.booking_id = v_booking_id;
  update public.bookings
  set payment_status = v_status,
    status = case when v_status = 'Paid' and status = 'Pending' then 'Confirmed' else status end,
    payment_date = case when v_status = 'Paid' then coalesce(v_paid.completed_at, now()) else payment_date end,
    payment_id = case when v_status = 'Paid' then coalesce(v_paid.gateway_payment_id, v_paid.id::text) else payment_id end,
    payment_method = case when v_status = 'Paid' then coalesce(v_paid.payment_method, v_paid.gateway) else payment_method end
  where id = v_booking_id and (
    payment_status is distinct from v_status
    or v_status = 'Paid' and payment_method is distinct from coalesce(v_paid.payment_method, v_paid.gateway)
  );
  return null;
end $$;
comment on function app.tg_transactions__sync_booking is
  'Sets the booking''s payment_status by all of its transactions; Paid confirms a Pending booking.';

do $$
begin
  perform app.act_as('migration', 'noted before Phase 1');
  insert into public.transactions (
    booking_id, customer_id, gateway, amount, amount_refunded, currency, status, payment_method, completed_at, created_at
  )
  select b.id, b.customer_id, 'manual', m.amount, case when b.payment_status = 'Refunded' then m.amount else 0 end,
    m.currency, case when b.payment_status = 'Refunded' then 'refunded' else 'completed' end, b.payment_method,
    coalesce(b.payment_date, b.created_at, now()), coalesce(b.created_at, now())
  from public.bookings b
  cross join lateral (
    select app.booking_currency(b.currency) as currency, app.to_minor_units(b.amount, app.booking_currency(b.currency)) as amount
  ) m
  where b.payment_status in ('Paid', 'Refunded') and m.amount > 0 and m.currency ~ '^[a-z]{3}$'
    and not exists (select from public.transactions t where t.booking_id = b.id);
  perform app.act_as(null);
end $$;

create or replace trigger tg_transactions__sync_booking
  after insert or delete or update of booking_id, status, review_reason, cancel_requested_at, payment_method
  on public.transactions
  for each row execute function app.tg_transactions__sync_booking();
