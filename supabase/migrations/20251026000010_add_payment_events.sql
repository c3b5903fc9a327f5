-- Purpose: what the gateway told, what is to go back, and what clients asked before.
-- Tables: stripe_events (the inbox), refunds, payment_idempotency_keys. Functions: none.
-- Roll back: supabase/rollbacks/20251026000010_add_payment_events.sql

-- An event is kept with the commit of its effect, and only then is the gateway told that it arrived. One whose effect
-- failed, or whose payment nobody knows, stays here and is tried again.
create table if not exists public.stripe_events (
  id text not null,
  gateway text not null default 'stripe',
  type text not null,
  state text not null default 'received'
    constraint stripe_events_state_is_known check (state in ('received', 'processed', 'failed', 'unmatched')),
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
  constraint stripe_events_processed_has_time check ((state = 'processed') = (processed_at is not null))
);
comment on table public.stripe_events is 'Events of the gateway, each once. processed ones are never applied again.';
comment on column public.stripe_events.state is
  'received · processed · failed: its effect raised an error · unmatched: nobody here knows its payment.';
comment on column public.stripe_events.payload is
  'The text as it was signed. It names the payer, so it goes 90 days after it was processed.';
create index if not exists stripe_events_waiting_idx on public.stripe_events (received_at) where state <> 'processed';
create index if not exists stripe_events_transaction_id_idx on public.stripe_events (transaction_id);
create index if not exists stripe_events_processed_at_idx on public.stripe_events (processed_at) where payload is not null;

alter table public.stripe_events enable row level security;
revoke all on public.stripe_events from anon, authenticated;
grant select, insert, update on public.stripe_events to service_role;

-- Reserved before the gateway is asked, so that two refunds at once cannot give back more than was taken.
create table if not exists public.refunds (
  id uuid primary key default gen_random_uuid(),
  transaction_id uuid not null,
  gateway_refund_id text constraint refunds_gateway_refund_id_key unique,
  amount bigint not null constraint refunds_amount_is_positive check (amount > 0),
  status text not null default 'reserved'
    constraint refunds_status_is_known check (status in ('reserved', 'pending', 'succeeded', 'failed', 'canceled')),
  reason text,
  requested_by text not null,
  gateway_created_at timestamptz,
  failed_at timestamptz,
  attempt integer not null default 1 constraint refunds_attempt_counts check (attempt > 0),
  lease_until timestamptz,
  last_error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint refunds_transaction_id_fkey foreign key (transaction_id) references public.transactions (id) on delete restrict,
  constraint refunds_failed_has_time check ((status in ('failed', 'canceled')) = (failed_at is not null))
);
comment on table public.refunds is 'What went back of a transaction, or is to go back; amounts in minor units.';
comment on column public.refunds.status is
  'reserved: asked for here, not yet known at the gateway · else the gateway''s word. failed and canceled count nothing.';
comment on column public.refunds.reason is 'In the words of the person who asked; never sent to the gateway.';
comment on column public.refunds.requested_by is 'A staff e-mail, or the gateway where it was made there.';
comment on column public.refunds.lease_until is 'Until then the one who reserved it is asking the gateway; afterwards another may.';
create index if not exists refunds_transaction_id_idx on public.refunds (transaction_id, created_at);
create unique index if not exists refunds_one_reserved_idx on public.refunds (transaction_id) where status = 'reserved';
create index if not exists refunds_open_idx on public.refunds (created_at) where status in ('reserved', 'pending');

drop trigger if exists tg_refunds__set_updated_at on public.refunds;
create trigger tg_refunds__set_updated_at before update on public.refunds
  for each row execute function public.tg_set_updated_at();

alter table public.refunds enable row level security;
revoke all on public.refunds from anon, authenticated;
grant select, insert, update on public.refunds to service_role;

-- A client that lost an answer asks again with the same Idempotency-Key and gets the same payment for 24 hours.
create table if not exists public.payment_idempotency_keys (
  scope text not null,
  key text not null constraint payment_idempotency_keys_key_fits check (length(key) between 1 and 255),
  request_hash text not null,
  transaction_id uuid not null,
  created_at timestamptz not null default now(),
  constraint payment_idempotency_keys_pkey primary key (scope, key),
  constraint payment_idempotency_keys_transaction_id_fkey
    foreign key (transaction_id) references public.transactions (id) on delete cascade
);
comment on table public.payment_idempotency_keys is 'Idempotency-Key headers of create-payment-intent, for 24 hours.';
comment on column public.payment_idempotency_keys.scope is 'The customer''s id, or guest.';
create index if not exists payment_idempotency_keys_created_at_idx on public.payment_idempotency_keys (created_at);
create index if not exists payment_idempotency_keys_transaction_id_idx on public.payment_idempotency_keys (transaction_id);

alter table public.payment_idempotency_keys enable row level security;
revoke all on public.payment_idempotency_keys from anon, authenticated;
grant select, insert, update, delete on public.payment_idempotency_keys to service_role;

notify pgrst, 'reload schema';
