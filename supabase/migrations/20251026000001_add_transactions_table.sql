-- Put together by `make migration` from these files of supabase/schemas, where the text is edited:
--   payments/transactions.sql
-- Roll back: supabase/rollbacks/20251026000001_add_transactions_table.sql

-- What was asked and paid for bookings: transactions has one row per payment at a gateway (or noted by staff),
-- transaction_audit_logs one per change of such a row, for ever. On an existing project each booking noted as Paid or
-- Refunded gets one transaction of gateway `manual`, so that from here on the transactions alone decide about
-- payment_status.
--
-- The rules of money, which all functions of this folder keep:
--   1. A transaction's state follows from the set of facts that the gateway told about it, not from their order:
--      paid is paid for ever · canceled ends what was not paid · else the latest of processing and failed counts.
--   2. Of a paid one, `amount` is what was really taken and `amount_refunded` what went back: refunded when all of it
--      did, else completed. A refund that fails gives its amount back, the one way from refunded to completed.
--   3. A booking has at most one payment that can be handed out to be paid: pending or processing and not superseded.
--   4. A booking is Paid while a completed payment of the right amount stands, Refunded when all that was paid went
--      back, else Failed when the latest attempt failed, else Pending. A trigger keeps this for any writer.
--   5. Locks are taken in one order: event, booking, transaction, refund.

-- One row per payment at a gateway. It is written before the gateway hears of it, so that no payment is unknown here.
-- A booking with money attached cannot be deleted.
create table if not exists public.transactions (
  id uuid primary key default gen_random_uuid(),
  booking_id public.booking_key not null,
  customer_id uuid,
  gateway text not null default 'stripe'
    constraint transactions_gateway_check check (gateway in ('stripe', 'paypal', 'razorpay', 'manual')),
  gateway_payment_id text,
  amount bigint not null constraint transactions_amount_check check (amount > 0),
  amount_refunded bigint not null default 0
    constraint transactions_amount_refunded_check check (amount_refunded between 0 and amount),
  currency text not null constraint transactions_currency_check check (currency ~ '^[a-z]{3}$'),
  status text not null default 'pending'
    constraint transactions_status_check check (status in ('pending', 'processing', 'completed', 'failed', 'refunded')),
  payment_method text,
  failure_code text,
  review_reason text,
  needs_review boolean not null generated always as (review_reason is not null) stored,
  dispute_status text,
  attempt integer not null default 1 constraint transactions_attempt_check check (attempt > 0),
  status_at timestamptz,
  cancel_requested_at timestamptz,
  canceled_at timestamptz,
  completed_at timestamptz,
  checked_at timestamptz,
  charge_refunded bigint not null default 0,
  charge_refunded_at timestamptz,
  metadata jsonb not null default '{}'
    constraint transactions_metadata_check check (jsonb_typeof(metadata) = 'object'),
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default now(),
  constraint transactions_booking_id_fkey foreign key (booking_id) references public.bookings (id) on delete restrict,
  constraint transactions_gateway_payment_id_key unique (gateway, gateway_payment_id)
);
comment on table public.transactions is 'Payments of bookings at a gateway, or noted by staff; amounts in minor units.';
comment on column public.transactions.customer_id is 'Who the booking belonged to; null for a guest.';
comment on column public.transactions.gateway is 'manual: paid by other means and noted by staff.';
comment on column public.transactions.gateway_payment_id is 'The gateway''s id (Stripe: pi_…); null until it answered.';
comment on column public.transactions.amount is 'Minor units: what is asked, and once paid what was really taken.';
comment on column public.transactions.amount_refunded is 'Minor units that went back, as the gateway says.';
comment on column public.transactions.failure_code is
  'Why the latest attempt failed, in the gateway''s word; or superseded.';
comment on column public.transactions.review_reason is
  'amount_mismatch (the booking is not Paid by it) · double_payment · booking_cancelled · dispute.';
comment on column public.transactions.dispute_status is 'In the gateway''s word: needs_response, won, lost …';
comment on column public.transactions.attempt is
  'Part of the idempotency key at the gateway; next one after a fault there.';
comment on column public.transactions.status_at is
  'When, at the gateway, the state came about: older news change nothing.';
comment on column public.transactions.cancel_requested_at is
  'Superseded: to be canceled at the gateway, never handed out.';
comment on column public.transactions.checked_at is 'When reconciliation last asked the gateway.';
comment on column public.transactions.charge_refunded is
  'The refunded total that the gateway last told, at charge_refunded_at.';
comment on column public.transactions.created_at is
  'By the clock, not the transaction''s start: attempts of a booking wait for each other and are told apart by it.';

create index if not exists transactions_booking_id_created_at_idx on public.transactions (booking_id, created_at desc);
create unique index if not exists transactions_one_live_idx on public.transactions (booking_id)
  where status in ('pending', 'processing') and cancel_requested_at is null and gateway <> 'manual';
create index if not exists transactions_customer_id_idx on public.transactions (customer_id) where customer_id is not null;
create index if not exists transactions_created_at_id_idx on public.transactions (created_at desc, id desc);
create index if not exists transactions_status_created_at_idx on public.transactions (status, created_at desc);
create index if not exists transactions_open_idx on public.transactions (checked_at nulls first, created_at)
  where status in ('pending', 'processing', 'failed') and canceled_at is null and gateway <> 'manual';
create index if not exists transactions_review_idx on public.transactions (created_at desc) where needs_review;

create or replace trigger tg_transactions__set_updated_at before update on public.transactions
  for each row execute function app.tg_set_updated_at();

call app.close_table('public.transactions');
create policy transactions_select_customer on public.transactions for select to customer
  using (customer_id = (select auth.uid()));
grant select, insert, update on public.transactions to service_role;
grant select (
  id, booking_id, customer_id, gateway, amount, amount_refunded, currency, status, payment_method, created_at, completed_at
) on public.transactions to customer;

create table if not exists public.transaction_audit_logs (
  id bigint generated always as identity primary key,
  transaction_id uuid not null,
  old_status text,
  new_status text not null,
  amount bigint not null,
  amount_refunded bigint not null,
  dispute_status text,
  review_reason text,
  changed_by text not null,
  reason text,
  created_at timestamptz not null default clock_timestamp(),
  constraint transaction_audit_logs_transaction_id_fkey
    foreign key (transaction_id) references public.transactions (id) on delete restrict
);
comment on table public.transaction_audit_logs is
  'Every change of a transaction''s state. Never changed or deleted, by anybody.';
comment on column public.transaction_audit_logs.old_status is 'Null: the row was made.';
comment on column public.transaction_audit_logs.changed_by is
  'A staff e-mail, stripe, reconciliation, checkout, or a database role.';
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
  if tg_op = 'INSERT' or (old.status, old.amount, old.amount_refunded, old.dispute_status, old.review_reason)
    is distinct from (new.status, new.amount, new.amount_refunded, new.dispute_status, new.review_reason) then
    insert into public.transaction_audit_logs (
      transaction_id, old_status, new_status, amount, amount_refunded, dispute_status, review_reason, changed_by, reason
    ) values (
      new.id, case when tg_op = 'UPDATE' then old.status end, new.status, new.amount, new.amount_refunded,
      new.dispute_status, new.review_reason,
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
  where booking_id = v_booking_id and status = 'completed' and amount_refunded < amount
    and review_reason is distinct from 'amount_mismatch'
  order by completed_at, created_at, id limit 1;
  select case
    when v_paid.id is not null then 'Paid'
    when bool_or(t.status in ('completed', 'refunded'))
      and not bool_or(t.status = 'completed' and t.amount_refunded < t.amount) then 'Refunded'
    when (array_agg(t.status order by t.created_at desc, t.id desc))[1] = 'failed' then 'Failed'
    else 'Pending'
  end into v_status
  from public.transactions t where t.booking_id = v_booking_id;
  update public.bookings
  set payment_status = v_status,
    status = case when v_status = 'Paid' and status = 'Pending' then 'Confirmed' else status end,
    payment_date = case when v_status = 'Paid' then coalesce(v_paid.completed_at, now()) else payment_date end,
    payment_id = case when v_status = 'Paid' then coalesce(v_paid.gateway_payment_id, v_paid.id::text) else payment_id end,
    payment_method = case when v_status = 'Paid' then coalesce(v_paid.payment_method, v_paid.gateway) else payment_method end
  where id = v_booking_id and payment_status is distinct from v_status;
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
  after insert or delete or update of booking_id, status, amount_refunded, review_reason on public.transactions
  for each row execute function app.tg_transactions__sync_booking();

insert into app.migrations (version) values ('20251026000001') on conflict do nothing;
notify pgrst, 'reload schema';
