-- Put together by `make migration` from these files of supabase/schemas, where the text is edited:
--   payments/currency.sql payments/checkout.sql payments/disputes.sql payments/refunds.sql payments/events.sql
--   payments/by_hand.sql payments/reading.sql payments/reconciliation.sql payments/desk.sql
-- Roll back: supabase/rollbacks/20251027000001_add_payment_functions.sql

-- A page offers no way to pay that would refuse the agency's currency.
create or replace function public.list_gateways(p_gateways text[])
returns jsonb language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(known.name order by known.place), '[]')
  from unnest(p_gateways) with ordinality known (name, place)
  where not exists (select from app.gateway_currencies where gateway = known.name)
    or exists (
      select from app.gateway_currencies where gateway = known.name and currency = app.booking_currency(null)
    );
$$;
comment on function public.list_gateways is 'Those of the gateways that take the agency''s currency, in the order given.';

-- The agency's currency is set by `flask check` from PAYMENT_CURRENCY, before a release takes traffic; else by the first
-- payment.

create or replace function public.set_agency_currency(p_currency text, p_is_forced boolean default false)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_old text := (select currency from app.agency for update);
  v_others bigint;
begin
  if v_old = p_currency then
    return;
  end if;
  if not exists (select from app.currencies where code = p_currency) then
    raise sqlstate 'PT400' using message = format('%s is no currency.', p_currency), hint = 'currency_unknown';
  end if;
  select count(*) into v_others from public.bookings where coalesce(nullif(currency, ''), v_old) <> p_currency;
  if v_others > 0 and not p_is_forced then
    raise sqlstate 'PT409' using hint = 'currency_differs', message = format(
      'The database has %s bookings in another currency than %s.', v_others, upper(p_currency)
    );
  end if;
  -- Bookings that never named one were in the old.
  update public.bookings set currency = v_old where v_old is not null and coalesce(currency, '') = '';
  insert into app.agency (currency) values (p_currency) on conflict (is_only_row) do update set currency = p_currency;
  if v_old is null then
    -- What an existing project had noted as paid was counted before its currency was known.
    perform app.act_as('migration', 'in the agency''s currency');
    update public.transactions t
    set currency = p_currency, amount = app.to_minor_units(b.amount, p_currency),
      amount_refunded = case t.status when 'refunded' then app.to_minor_units(b.amount, p_currency) else 0 end
    from public.bookings b
    where b.id = t.booking_id and t.gateway = 'manual' and coalesce(b.currency, '') = '' and t.currency <> p_currency
      and app.to_minor_units(b.amount, p_currency) > 0;
  end if;
  perform public.update_customer_stats(id) from public.customers where deleted_at is null;
end $$;
comment on function public.set_agency_currency is
  'Set the one currency of the agency, ISO 4217 in lower case. PT400 currency_unknown, PT409 currency_differs while bookings '
  'are in another one, unless forced: they keep theirs.';

-- Starting a payment. One call locks the booking, checks everything and answers the one transaction that may be paid; a
-- second one notes the gateway's id. In between the service speaks with the gateway.
--
-- Where a crash may fall, and what then holds:
--   before begin_payment commits     nothing happened.
--   before the gateway answers       the row is pending without an id; the next call asks the gateway again under the
--                                    same idempotency key (id and attempt) and gets the same payment.
--   before attach_payment commits    likewise; nobody holds the payment's secret yet, so nobody can have paid.
--   after it                         the next call finds the id and asks the gateway for that payment.

-- A client that lost an answer asks again with the same Idempotency-Key and gets the same payment, or refund, for 24 hours.
create table if not exists public.payment_idempotency_keys (
  scope text not null,
  key text not null constraint payment_idempotency_keys_key_check check (length(key) between 1 and 255),
  request_hash text not null,
  transaction_id uuid not null,
  refund_id uuid,
  created_at timestamptz not null default now(),
  constraint payment_idempotency_keys_pkey primary key (scope, key),
  constraint payment_idempotency_keys_transaction_id_fkey
    foreign key (transaction_id) references public.transactions (id) on delete cascade
);
comment on table public.payment_idempotency_keys is 'Idempotency-Key headers of payments and refunds, for 24 hours.';
comment on column public.payment_idempotency_keys.scope is
  'The customer''s id, or guest; refund: and who of staff asked for one.';
create index if not exists payment_idempotency_keys_created_at_idx on public.payment_idempotency_keys (created_at);
create index if not exists payment_idempotency_keys_transaction_id_idx on public.payment_idempotency_keys (transaction_id);

call app.close_table('public.payment_idempotency_keys');
grant select, insert, update, delete on public.payment_idempotency_keys to service_role;

-- The persons that a gateway keeps for us. A row outlives its customer's account until the gateway has deleted them, too.
create table if not exists public.gateway_customers (
  customer_id uuid not null,
  gateway text not null,
  gateway_customer_id text not null,
  constraint gateway_customers_pkey primary key (customer_id, gateway),
  constraint gateway_customers_gateway_customer_id_key unique (gateway, gateway_customer_id),
  constraint gateway_customers_customer_id_fkey foreign key (customer_id) references public.customers (id) on delete restrict
);
comment on table public.gateway_customers is 'What customers are called at the gateways.';

call app.close_table('public.gateway_customers');
grant select, insert, update, delete on public.gateway_customers to service_role;

create or replace function app.payment_ref(p_payment public.transactions)
returns jsonb language sql immutable set search_path = '' as $$
  select jsonb_build_object(
    'transaction_id', p_payment.id, 'gateway', p_payment.gateway, 'payment_id', p_payment.gateway_payment_id
  );
$$;
comment on function app.payment_ref is 'How the service is told of a payment that it shall see to.';

-- Nothing of the booking may be paid any more by what is open: the gateway is asked to cancel it.
create or replace function app.supersede_payments(p_booking_id public.booking_key, p_but uuid default null)
returns void language plpgsql volatile set search_path = '' as $$
begin
  update public.transactions
  set status = 'failed', failure_code = 'superseded', cancel_requested_at = now()
  where booking_id = p_booking_id and id is distinct from p_but and is_live and status <> 'processing';
end $$;
comment on function app.supersede_payments is
  'Mark what is open of a booking, but for one, as failed and to be canceled.';

create or replace function app.recall_idempotency_key(p_scope text, p_key text, p_request_hash text)
returns public.payment_idempotency_keys language plpgsql volatile set search_path = '' as $$
declare
  v_known public.payment_idempotency_keys;
begin
  delete from public.payment_idempotency_keys
  where scope = p_scope and key = p_key and created_at < now() - interval '24 hours';
  select * into v_known from public.payment_idempotency_keys where scope = p_scope and key = p_key;
  if v_known.request_hash <> p_request_hash then
    raise sqlstate 'PT409' using message = 'This Idempotency-Key was used for another request.', hint = 'idempotency_key_reused';
  end if;
  return v_known;
end $$;
comment on function app.recall_idempotency_key is
  'What this client key led to within 24 hours; nothing without one. PT409: one key stands for one request.';

create or replace function app.keep_idempotency_key(
  p_scope text, p_key text, p_request_hash text, p_transaction_id uuid, p_refund_id uuid default null
) returns void language plpgsql volatile set search_path = '' as $$
begin
  if p_key is null then
    return;
  end if;
  insert into public.payment_idempotency_keys as known (scope, key, request_hash, transaction_id, refund_id)
  values (p_scope, p_key, p_request_hash, p_transaction_id, p_refund_id)
  on conflict (scope, key) do update set transaction_id = excluded.transaction_id, refund_id = excluded.refund_id
    where known.request_hash = excluded.request_hash;
  if not found then  -- the same key for another booking, at the same time: now it is seen
    perform app.recall_idempotency_key(p_scope, p_key, p_request_hash);
  end if;
end $$;
comment on function app.keep_idempotency_key is 'Remember what a client key, if there is one, led to. PT409 as above.';

create or replace function app.check_payable(
  p_booking public.bookings, p_amount bigint, p_currency text, p_gateway text
) returns void language plpgsql stable set search_path = '' as $$
declare
  v_currency text := app.booking_currency(p_booking.currency);
  v_amount bigint := app.to_minor_units(p_booking.amount, v_currency);
  v_rule app.gateway_currencies;
begin
  if p_booking.status = 'Cancelled' then
    raise sqlstate 'PT409' using message = 'This booking is cancelled.', hint = 'booking_cancelled';
  end if;
  if p_booking.payment_status = 'Paid' or exists (
    select from public.transactions where booking_id = p_booking.id and status = 'completed'
  ) then
    raise sqlstate 'PT409' using message = 'This booking is already paid.', hint = 'already_paid';
  end if;
  if exists (
    select from public.transactions t join public.disputes d on d.transaction_id = t.id
    where t.booking_id = p_booking.id and d.outcome is null
  ) then
    raise sqlstate 'PT409' using hint = 'payment_disputed',
      message = 'The payment of this booking is disputed. Please contact us before you pay again.';
  end if;
  if not exists (select from app.currencies where code = v_currency) then
    raise sqlstate 'PT409' using message = 'The booking has no valid currency.', hint = 'currency_invalid';
  end if;
  if lower(p_currency) <> v_currency or p_amount <> v_amount then
    raise sqlstate 'PT400' using
      message = 'The amount does not match the booking.', hint = 'amount_mismatch',
      detail = jsonb_build_object('expected', v_amount, 'currency', v_currency)::text;
  end if;
  select * into v_rule from app.gateway_currencies where gateway = p_gateway and currency = v_currency;
  if not found and exists (select from app.gateway_currencies where gateway = p_gateway) then
    raise sqlstate 'PT400' using hint = 'currency_unsupported',
      message = format('%s cannot be paid this way. Please choose another.', upper(v_currency));
  elsif v_amount < coalesce(v_rule.minimum, 1) then
    raise sqlstate 'PT400' using hint = 'amount_too_small', message = format(
      'Amount must be at least %s %s', app.to_units(coalesce(v_rule.minimum, 1), v_currency), upper(v_currency)
    );
  elsif v_amount % v_rule.step <> 0 then
    raise sqlstate 'PT400' using hint = 'amount_unsupported',
      message = format('Only whole amounts of %s can be paid this way. Please choose another.', upper(v_currency));
  end if;
end $$;
comment on function app.check_payable is
  'Raise why a booking cannot be paid, or not so: PT409 booking_cancelled, already_paid, payment_disputed · PT400 '
  'amount_mismatch, currency_unsupported, amount_too_small, amount_unsupported.';

create or replace function app.open_payment(p_booking public.bookings, p_gateway text)
returns uuid language plpgsql volatile set search_path = '' as $$
declare
  v_currency text := app.booking_currency(p_booking.currency);
  v_amount bigint := app.to_minor_units(p_booking.amount, v_currency);
  v_id uuid;
begin
  -- A declined one is tried again. Of one that is being processed the money is on its way, whatever the price is now and
  -- even where it was superseded: it is looked at before another is opened.
  select id into v_id from public.transactions
  where booking_id = p_booking.id and gateway <> 'manual' and (
    status = 'processing'
    or is_live and gateway = p_gateway and amount = v_amount and currency = v_currency
  )
  order by (status = 'processing') desc, (cancel_requested_at is not null), created_at limit 1;
  if v_id is null then
    perform app.supersede_payments(p_booking.id);
    insert into public.transactions (booking_id, customer_id, gateway, amount, currency)
    values (p_booking.id, p_booking.customer_id, p_gateway, v_amount, v_currency)
    returning id into v_id;
  end if;
  return v_id;
end $$;
comment on function app.open_payment is
  'The live transaction of a locked booking by this gateway, or a new one instead of what is outdated or by another; one '
  'by any gateway whose money is on its way.';

-- A service that means another currency than the database would ask for dollars what was priced in rupees.
create or replace function app.check_agency_currency(p_currency text)
returns void language plpgsql volatile set search_path = '' as $$
begin
  if not exists (select from app.agency) and exists (select from app.currencies where code = p_currency) then
    perform public.set_agency_currency(p_currency, true);
  end if;
  if p_currency <> coalesce((select currency from app.agency), '') then
    raise sqlstate 'PT503' using message = 'Online payment is paused. Please contact us.', hint = 'currency_disagrees',
      detail = '{"retry_after": 3600}';
  end if;
end $$;
comment on function app.check_agency_currency is 'PT503 currency_disagrees unless the database means the currency, too.';

create or replace function public.begin_payment(
  p_booking_id text,
  p_gateway text,
  p_customer_id uuid default null,
  p_amount bigint default null,
  p_currency text default null,
  p_email text default null,
  p_name text default null,
  p_key text default null,
  p_request_hash text default null,
  p_agency_currency text default null
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_scope text := coalesce(p_customer_id::text, 'guest');
  v_booking public.bookings := app.lock_booking(p_booking_id);
  v_email text;
  v_name text;
  v_needs_contact boolean;
  v_currency text := app.booking_currency(v_booking.currency);
  v_id uuid;
begin
  perform app.check_agency_currency(p_agency_currency);
  perform app.act_as('checkout');
  if v_booking.customer_id <> p_customer_id then
    raise sqlstate 'PT403' using message = 'This booking belongs to another customer.', hint = 'forbidden';
  end if;
  -- One that was begun under the same key and still stands is the live one, so the key alone decides nothing.
  perform app.recall_idempotency_key(v_scope, p_key, p_request_hash);
  perform app.check_payable(v_booking, p_amount, p_currency, p_gateway);
  v_needs_contact := btrim(coalesce(v_booking.email, '')) = '' or btrim(coalesce(v_booking.name, '')) = '';
  if v_needs_contact then
    -- What the payer wrote, else what its customer is called: never the account of whoever opened the page.
    select coalesce(p_email, c.email), coalesce(p_name, c.name) into v_email, v_name
    from (values (true)) always left join public.customers c on c.id = v_booking.customer_id;
    if v_email is null or v_name is null then
      raise sqlstate 'PT400' using message = 'Please give your name and e-mail address.', hint = 'contact_required';
    end if;
  end if;
  v_id := app.open_payment(v_booking, p_gateway);
  if v_needs_contact then
    -- With the payment, for its receipt; not in the booking, which would then belong to whoever has that address.
    update public.transactions
    set metadata = metadata || jsonb_build_object('contact', jsonb_build_object('email', v_email, 'name', v_name))
    where id = v_id;
  end if;
  perform app.keep_idempotency_key(v_scope, p_key, p_request_hash, v_id);
  return (
    select jsonb_build_object(
      'transaction_id', t.id, 'booking_id', t.booking_id, 'gateway', t.gateway, 'amount', t.amount,
      'currency', t.currency, 'status', t.status, 'attempt', t.attempt, 'payment_id', t.gateway_payment_id,
      'is_wanted', t.cancel_requested_at is null
        and (t.amount, t.currency) = (app.to_minor_units(v_booking.amount, v_currency), v_currency),
      'customer_id', c.id, 'customer_email', c.email, 'customer_name', c.name,
      'gateway_customer_id', g.gateway_customer_id,
      'cancel', (
        select coalesce(jsonb_agg(app.payment_ref(o)), '[]') from public.transactions o
        where o.booking_id = t.booking_id and o.cancel_requested_at is not null and o.canceled_at is null
          and o.status = 'failed' and o.gateway_payment_id is not null
      )
    )
    from public.transactions t
    left join public.customers c on c.id = t.customer_id and c.deleted_at is null
    left join public.gateway_customers g on g.customer_id = c.id and g.gateway = t.gateway
    where t.id = v_id
  );
end $$;
comment on function public.begin_payment is
  'The transaction by which a booking is to be paid now, made or found, and the gateway''s payments to be canceled before. '
  'Raises PT404 booking_not_found, PT403, PT409 idempotency_key_reused, PT400 contact_required, and what check_payable raises.';

create or replace function public.attach_payment(
  p_transaction_id uuid, p_gateway_payment_id text, p_gateway_customer_id text default null
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_transaction public.transactions;
begin
  perform from public.bookings
  where id = (select booking_id from public.transactions where id = p_transaction_id) for update;
  update public.transactions set gateway_payment_id = coalesce(gateway_payment_id, p_gateway_payment_id)
  where id = p_transaction_id
  returning * into v_transaction;
  if p_gateway_customer_id is not null and v_transaction.customer_id is not null then
    perform public.keep_gateway_customer(v_transaction.customer_id, v_transaction.gateway, p_gateway_customer_id);
  end if;
  return jsonb_build_object(
    'payment_id', v_transaction.gateway_payment_id, 'is_live', v_transaction.cancel_requested_at is null
  );
end $$;
comment on function public.attach_payment is
  'Note the gateway''s id of a payment, and of its customer. The id that stands, and whether the payment may be handed out.';

create or replace function public.keep_gateway_customer(p_customer_id uuid, p_gateway text, p_gateway_customer_id text)
returns void language sql volatile set search_path = '' as $$
  insert into public.gateway_customers as known (customer_id, gateway, gateway_customer_id)
  values (p_customer_id, p_gateway, p_gateway_customer_id)
  on conflict (customer_id, gateway) do update set gateway_customer_id = excluded.gateway_customer_id
    where known.gateway_customer_id <> excluded.gateway_customer_id;
$$;
comment on function public.keep_gateway_customer is 'Note a gateway''s id of a customer, also of one deleted meanwhile.';

-- The payer who closed the window at the bank's question would be kept out for as long as the gateway waits.
create or replace function public.note_unconfirmed_payment(p_transaction_id uuid)
returns boolean language plpgsql volatile set search_path = '' as $$
begin
  update public.transactions set unconfirmed_at = now() where id = p_transaction_id and unconfirmed_at is null;
  return (
    select unconfirmed_at < now() - interval '10 minutes' from public.transactions where id = p_transaction_id
  );
end $$;
comment on function public.note_unconfirmed_payment is
  'Note that a payment waits for its payer; whether it was seen to do so ten minutes ago already.';

-- A gateway answers the same fault under the same idempotency key for a day. No harm in a second payment there: the
-- first one's secret was never answered, so nobody can pay it.
create or replace function public.renew_payment_attempt(p_transaction_id uuid, p_attempt integer)
returns void language sql volatile set search_path = '' as $$
  update public.transactions set attempt = attempt + 1
  where id = p_transaction_id and attempt = p_attempt and gateway_payment_id is null;
$$;
comment on function public.renew_payment_attempt is
  'Let the next call use a new idempotency key, after a fault of the gateway.';

-- Where the payer agrees first and the money is then taken by us (PayPal; Razorpay where it was late), both the page's call
-- and the worker may do so, and a crash may fall in between: the row says `processing` before the gateway is asked, so that
-- nothing supersedes it, and who asks again asks under the same idempotency key.
create or replace function public.find_capture(p_transaction_id uuid, p_customer_id uuid default null)
returns jsonb language plpgsql stable set search_path = '' as $$
declare
  v_payment public.transactions;
begin
  select * into v_payment from public.transactions
  where id = p_transaction_id and gateway <> 'manual' and gateway_payment_id is not null;
  if not found then
    raise sqlstate 'PT404' using message = 'Payment not found', hint = 'payment_not_found';
  end if;
  if v_payment.customer_id <> p_customer_id then
    raise sqlstate 'PT403' using message = 'This payment belongs to another customer.', hint = 'forbidden';
  end if;
  return app.payment_ref(v_payment) || jsonb_build_object('booking_id', v_payment.booking_id, 'status', v_payment.status);
end $$;
comment on function public.find_capture is
  'The payment whose money a page asks to be taken. Raises PT404 payment_not_found, PT403.';

create or replace function public.begin_capture(p_transaction_id uuid)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_payment public.transactions;
begin
  perform from public.bookings
  where id = (select booking_id from public.transactions where id = p_transaction_id) for update;
  update public.transactions
  set status = 'processing', failure_code = null, status_at = now(), checked_at = now(),
    approved_at = coalesce(approved_at, now())
  where id = p_transaction_id and is_live
  returning * into v_payment;
  if not found then
    raise sqlstate 'PT409' using message = 'The payment was canceled. Please try again.', hint = 'payment_canceled';
  end if;
  return app.payment_ref(v_payment) || jsonb_build_object(
    'amount', v_payment.amount, 'currency', v_payment.currency, 'attempt', v_payment.attempt
  );
end $$;
comment on function public.begin_capture is
  'Note that the money of an approved payment is about to be taken: the task for the gateway. Raises PT409 payment_canceled '
  'where it was superseded, canceled or paid.';

-- What staff changes of a booking closes the payment page that somebody may still have open.
-- Definer: staff writes bookings and no transactions.
create or replace function app.tg_bookings__close_payment()
returns trigger language plpgsql volatile security definer set search_path = '' as $$
declare
  v_currency text := app.booking_currency(new.currency);
begin
  perform app.supersede_payments(new.id, case when new.status <> 'Cancelled' then (
    select id from public.transactions
    where booking_id = new.id and is_live and currency = v_currency and amount = app.to_minor_units(new.amount, v_currency)
  ) end);
  return null;
end $$;
comment on function app.tg_bookings__close_payment is
  'Supersedes the open payment of a booking that was cancelled or costs something else now.';

create or replace trigger tg_bookings__close_payment after update on public.bookings
  for each row when (
    new.status = 'Cancelled' and old.status is distinct from new.status
    or (old.amount, old.currency) is distinct from (new.amount, new.currency)
  )
  execute function app.tg_bookings__close_payment();

-- Behind every door alike. Definer: staff deletes bookings and sees no transactions.
create or replace function app.tg_bookings__keep_paid()
returns trigger language plpgsql volatile security definer set search_path = '' as $$
begin
  if exists (
    select from public.transactions
    where booking_id = old.id and (status in ('processing', 'completed', 'refunded') or gateway = 'manual')
  ) then
    raise sqlstate 'PT409' using hint = 'booking_has_payments',
      message = 'A booking with payments cannot be deleted. Nothing was deleted; cancel it instead.';
  end if;
  return old;
end $$;
comment on function app.tg_bookings__keep_paid is
  'Refuses to delete a booking with money. What was opened for another and never paid loses its booking, and the worker '
  'cancels it. PT409.';

create or replace trigger tg_bookings__keep_paid before delete on public.bookings
  for each row execute function app.tg_bookings__keep_paid();

-- Disputes: the payer's bank asks (an inquiry), or takes the money back until it is decided (a chargeback). One payment may
-- have several, an inquiry may become a chargeback, and what was decided may be appealed.
--
-- Why the order of news does not matter: the status is the latest by (time at the gateway, place in dispute_rank); the
-- money is counted by how often it was withdrawn and reinstated, and such counts only grow.

create table if not exists public.disputes (
  id uuid primary key default gen_random_uuid(),
  transaction_id uuid not null,
  gateway text not null,
  gateway_dispute_id text not null,
  amount bigint not null constraint disputes_amount_check check (amount > 0),
  reason text,
  status text not null constraint disputes_status_check check (status in (
    'warning_needs_response', 'warning_under_review', 'warning_closed', 'needs_response', 'under_review', 'won', 'lost'
  )),
  outcome text generated always as (
    case when status in ('won', 'lost') then status when status = 'warning_closed' then 'dropped' end
  ) stored,
  status_at timestamptz not null,
  due_by timestamptz,
  amount_withdrawn bigint not null default 0,
  amount_reinstated bigint not null default 0,
  created_at timestamptz not null,
  updated_at timestamptz not null default now(),
  constraint disputes_gateway_dispute_id_key unique (gateway, gateway_dispute_id),
  constraint disputes_transaction_id_fkey foreign key (transaction_id) references public.transactions (id) on delete restrict
);
comment on table public.disputes is 'What payers dispute, as the gateway tells it; amounts in minor units.';
comment on column public.disputes.reason is 'In the gateway''s word: fraudulent, product_not_received …';
comment on column public.disputes.status is 'warning_…: an inquiry, no money has moved · else a chargeback.';
comment on column public.disputes.outcome is 'won, lost, dropped (an inquiry that came to nothing); null while it is open.';
comment on column public.disputes.due_by is 'Until when the gateway takes an answer.';
comment on column public.disputes.amount_withdrawn is 'Taken for it in all; an appeal may take it a second time.';
comment on column public.disputes.amount_reinstated is 'Given back of that.';
create index if not exists disputes_transaction_id_idx on public.disputes (transaction_id, created_at);
create index if not exists disputes_open_idx on public.disputes (due_by) where outcome is null;
create or replace trigger tg_disputes__set_updated_at before update on public.disputes
  for each row execute function app.tg_set_updated_at();

call app.close_table('public.disputes');
grant select, insert, update on public.disputes to service_role;

create or replace function app.dispute_rank(p_status text)
returns integer language sql immutable set search_path = '' as $$
  select array_position(array[
    'warning_needs_response', 'warning_under_review', 'warning_closed', 'needs_response', 'under_review', 'lost', 'won'
  ], p_status);
$$;
comment on function app.dispute_rank is 'Of two statuses told for the same second, the one of the higher rank came later.';

create or replace function app.withdrawn_amount(p_transaction_id uuid)
returns bigint language sql stable set search_path = '' as $$
  select coalesce(sum(greatest(0, amount_withdrawn - amount_reinstated)), 0)::bigint
  from public.disputes where transaction_id = p_transaction_id;
$$;
comment on function app.withdrawn_amount is 'What disputes hold back of a payment, in minor units.';

create or replace function app.tell_of_dispute(p_dispute public.disputes, p_news text)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_payment public.transactions;
begin
  select * into v_payment from public.transactions where id = p_dispute.transaction_id;
  perform app.alert_staff('bookings_edit', 'A payment is disputed', concat_ws(' ', format(
    '%s. Booking %s, payment %s, reason: %s.', p_news, v_payment.booking_id, v_payment.gateway_payment_id,
    coalesce(replace(p_dispute.reason, '_', ' '), 'none given')
  ), case
    when p_dispute.outcome = 'lost' then 'The money is gone, unless an appeal is won.'
    when p_dispute.outcome is not null then 'Nothing is left to do.'
    else 'Please answer it in the gateway''s dashboard'
      || coalesce(to_char(p_dispute.due_by at time zone 'UTC', '" until "YYYY-MM-DD HH24:MI" UTC"'), '') || '.'
  end), concat_ws(
    ':', 'dispute', p_dispute.id, p_dispute.status, p_dispute.status_at, p_dispute.amount_withdrawn, p_dispute.amount_reinstated
  ), v_payment.id);
end $$;
comment on function app.tell_of_dispute is 'Mail staff what is new about a dispute and what to do.';

create or replace function app.note_dispute(p_id uuid, p_event jsonb)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_told jsonb := p_event -> 'dispute';
  v_amount bigint := (v_told ->> 'amount')::bigint;
  v_before public.disputes;
  v_after public.disputes;
  v_news text;
begin
  select * into v_before from public.disputes
  where gateway = p_event ->> 'gateway' and gateway_dispute_id = v_told ->> 'id';
  insert into public.disputes as known (
    transaction_id, gateway, gateway_dispute_id, amount, reason, status, status_at, due_by, amount_withdrawn, amount_reinstated,
    created_at
  ) values (
    p_id, p_event ->> 'gateway', v_told ->> 'id', v_amount, v_told ->> 'reason', v_told ->> 'status', (p_event ->> 'occurred_at')::timestamptz,
    (v_told ->> 'due_by')::timestamptz, v_amount * (v_told ->> 'withdrawals')::integer,
    v_amount * (v_told ->> 'reinstatements')::integer, (v_told ->> 'created_at')::timestamptz
  )
  on conflict (gateway, gateway_dispute_id) do update
  set amount_withdrawn = greatest(known.amount_withdrawn, excluded.amount_withdrawn),
    amount_reinstated = greatest(known.amount_reinstated, excluded.amount_reinstated),
    (amount, reason, status, status_at, due_by) = (
      select told.amount, told.reason, told.status, told.status_at, told.due_by
      from (values
        (known.amount, known.reason, known.status, known.status_at, known.due_by),
        (excluded.amount, excluded.reason, excluded.status, excluded.status_at, excluded.due_by)
      ) told (amount, reason, status, status_at, due_by)
      order by told.status_at desc, app.dispute_rank(told.status) desc limit 1
    )
  returning * into v_after;
  if (v_after.status, v_after.amount, v_after.due_by, v_after.amount_withdrawn, v_after.amount_reinstated)
    is not distinct from
    (v_before.status, v_before.amount, v_before.due_by, v_before.amount_withdrawn, v_before.amount_reinstated) then
    return;
  end if;
  v_news := format('Dispute %s of %s: %s%s', v_after.gateway_dispute_id, app.money(v_after.amount, p_event ->> 'currency'),
    replace(v_after.status, '_', ' '), case
      when v_after.amount_reinstated > coalesce(v_before.amount_reinstated, 0) then ', the money was given back'
      when v_after.amount_withdrawn > coalesce(v_before.amount_withdrawn, 0) then ', the money was taken'
    end);
  perform app.act_as(app.actor() ->> 'name', v_news);
  -- Flagged until it is won; who cleared the flag meanwhile sees it again with the next news.
  update public.transactions
  set disputed_at = clock_timestamp(),
    dispute_status = (
      select status from public.disputes where transaction_id = p_id order by created_at desc, gateway_dispute_id desc limit 1
    ),
    review_reason = case
      when exists (
        select from public.disputes where transaction_id = p_id and (outcome is null or outcome = 'lost')
      ) then coalesce(review_reason, 'dispute')
      else nullif(review_reason, 'dispute')
    end
  where id = p_id;
  perform app.tell_of_dispute(v_after, v_news);
end $$;
comment on function app.note_dispute is
  'Keep what the gateway says of one dispute: flag the payment, write its audit row and tell staff of what is new.';

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

-- Payments that came another way, as staff notes them: transactions of gateway `manual`, so that the booking's
-- payment_status goes on following its transactions alone.

create or replace function app.note_payment_by_hand(
  p_booking_id public.booking_key, p_payment_status text, p_amount numeric, p_reason text
)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_booking public.bookings;
  v_amount bigint;
begin
  perform app.act_as(null, p_reason);
  if p_payment_status = 'Paid' then
    -- Staff's word settles a payment of another amount than the booking's.
    update public.transactions set review_reason = null
    where booking_id = p_booking_id and status = 'completed' and review_reason = 'amount_mismatch';
  elsif p_payment_status in ('Pending', 'Refunded') then
    if exists (
      select from public.transactions
      where booking_id = p_booking_id and gateway <> 'manual' and status = 'completed'
    ) then
      raise sqlstate 'PT409' using hint = 'paid_online',
        message = 'This booking was paid online. Refund the payment, so that the money really goes back.';
    end if;
    update public.transactions
    set status = case p_payment_status when 'Refunded' then 'refunded' else 'pending' end,
      amount_refunded = case p_payment_status when 'Refunded' then amount else 0 end, review_reason = null
    where booking_id = p_booking_id and gateway = 'manual'
      and (status = 'completed' or status = 'refunded' and p_payment_status = 'Pending');
  else
    raise sqlstate 'PT400' using message = 'payment_status must be Paid, Pending or Refunded.', hint = 'validation_failed';
  end if;
  select * into v_booking from public.bookings where id = p_booking_id;
  if v_booking.payment_status <> p_payment_status then
    v_amount := nullif(app.to_minor_units(coalesce(p_amount, v_booking.amount), app.booking_currency(v_booking.currency)), 0);
    if v_amount is null then
      raise sqlstate 'PT400' using message = 'The booking has no amount: please give one.', hint = 'amount_required';
    end if;
    if p_payment_status = 'Paid' then
      perform app.supersede_payments(v_booking.id);
    end if;
    insert into public.transactions (
      booking_id, customer_id, gateway, amount, amount_refunded, currency, status, completed_at
    ) values (
      v_booking.id, v_booking.customer_id, 'manual', v_amount, case p_payment_status when 'Refunded' then v_amount else 0 end,
      app.booking_currency(v_booking.currency),
      case p_payment_status when 'Paid' then 'completed' when 'Refunded' then 'refunded' else 'pending' end,
      case when p_payment_status <> 'Pending' then now() end
    );
    select * into v_booking from public.bookings where id = v_booking.id;
  end if;
  if v_booking.payment_status <> p_payment_status then
    raise sqlstate 'PT409' using hint = 'payments_decide',
      message = format('The payments of this booking say %s.', v_booking.payment_status);
  end if;
end $$;
comment on function app.note_payment_by_hand is
  'What staff knows of a payment made elsewhere, of a locked booking; p_amount in currency units (null: the booking''s). '
  'Raises PT400 amount_required, PT409 paid_online, payments_decide.';

-- Payments as staff and customers see them.

create or replace function app.describe_transaction(p_transaction public.transactions)
returns jsonb language sql stable set search_path = '' as $$
  select to_jsonb(p_transaction) - array[
    'attempt', 'status_at', 'checked_at', 'charge_refunded', 'charge_refunded_at', 'cancel_requested_at', 'canceled_at',
    'disputed_at', 'unconfirmed_at', 'approved_at', 'is_live'
  ];
$$;
comment on function app.describe_transaction is 'A transaction without what only the functions here need.';

create or replace function app.describe_booking(p_booking public.bookings)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', p_booking.id, 'name', p_booking.name, 'email', p_booking.email, 'package', p_booking.package
  )
  where p_booking.id is not null;
$$;
comment on function app.describe_booking is 'Of a booking, what a list of payments shows; null without one.';

create or replace function public.get_booking_payment(p_booking_id text, p_customer_id uuid default null)
returns jsonb language plpgsql stable set search_path = '' as $$
declare
  v_booking public.bookings;
  v_currency text;
begin
  select * into v_booking from public.bookings where id = app.to_booking_key(p_booking_id);
  if v_booking.id is null then
    raise sqlstate 'PT404' using message = 'Booking not found', hint = 'booking_not_found';
  end if;
  if p_customer_id is not null and v_booking.customer_id is distinct from p_customer_id then
    raise sqlstate 'PT403' using message = 'This booking belongs to somebody else.', hint = 'forbidden';
  end if;
  v_currency := app.booking_currency(v_booking.currency);
  return jsonb_build_object(
    'bookingId', v_booking.id, 'paymentStatus', v_booking.payment_status,
    'amount', app.to_minor_units(v_booking.amount, v_currency), 'currency', v_currency,
    'transaction', (
      select jsonb_build_object(
        'id', t.id, 'booking_id', t.booking_id, 'gateway', t.gateway, 'gateway_payment_id', t.gateway_payment_id,
        'amount', t.amount, 'amount_refunded', t.amount_refunded, 'amount_withdrawn', t.amount_withdrawn,
        'amount_left', t.amount_left, 'currency', t.currency, 'status', t.status,
        'payment_method', t.payment_method, 'created_at', t.created_at, 'completed_at', t.completed_at
      )
      from public.transactions t where t.booking_id = v_booking.id
      order by array_position(array['completed', 'refunded'], t.status), t.created_at desc, t.id limit 1
    )
  );
end $$;
comment on function public.get_booking_payment is
  'How a booking stands, with the transaction that decides; for its owner, or for staff (null). Raises PT404, PT403.';

create or replace function public.list_transactions(
  p_page integer, p_limit integer, p_status text default null, p_gateway text default null, p_booking_id text default null,
  p_from timestamptz default null, p_to timestamptz default null, p_q text default null,
  p_needs_review boolean default null
) returns jsonb language sql stable set search_path = '' as $$
  with found as (
    select t, b
    from public.transactions t
    left join public.bookings b on b.id = t.booking_id
    where (p_needs_review is null or t.needs_review = p_needs_review)
      and (p_status is null or t.status = p_status)
      and (p_gateway is null or t.gateway = p_gateway)
      and (p_booking_id is null or t.booking_id = app.to_booking_key(p_booking_id))
      and (p_from is null or t.created_at >= p_from)
      and (p_to is null or t.created_at < p_to)
      and (p_q is null or position(lower(p_q) in lower(
        concat_ws(' ', t.id, t.gateway_payment_id, b.id, b.name, b.email, b.package)
      )) > 0)
  )
  select jsonb_build_object(
    'total', (select count(*) from found),
    'transactions', (
      select coalesce(jsonb_agg(
        app.describe_transaction(page.t) || jsonb_build_object('bookings', app.describe_booking(page.b)) order by (page.t).created_at desc, (page.t).id desc
      ), '[]')
      from (
        select * from found order by (t).created_at desc, (t).id desc
        limit p_limit offset (p_page - 1)::bigint * p_limit
      ) page
    )
  );
$$;
comment on function public.list_transactions is
  'A page of transactions, newest first, with their bookings; and how many there are.';

create or replace function public.get_transaction(p_id uuid)
returns jsonb language sql stable set search_path = '' as $$
  select app.describe_transaction(t) || jsonb_build_object(
    'bookings', app.describe_booking(b),
    'transaction_audit_logs', (
      select coalesce(jsonb_agg(to_jsonb(a) order by a.id), '[]')
      from public.transaction_audit_logs a where a.transaction_id = t.id
    ),
    'refunds', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', r.id, 'gateway_refund_id', r.gateway_refund_id, 'amount', r.amount, 'status', r.status, 'reason', r.reason,
        'requested_by', r.requested_by, 'created_at', r.created_at
      ) order by r.created_at, r.id), '[]')
      from public.refunds r where r.transaction_id = t.id
    ),
    'disputes', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', d.id, 'gateway_dispute_id', d.gateway_dispute_id, 'amount', d.amount,
        'amount_withdrawn', d.amount_withdrawn, 'amount_reinstated', d.amount_reinstated, 'reason', d.reason,
        'status', d.status, 'outcome', d.outcome, 'due_by', d.due_by, 'created_at', d.created_at, 'updated_at', d.updated_at
      ) order by d.created_at, d.id), '[]')
      from public.disputes d where d.transaction_id = t.id
    )
  )
  from public.transactions t
  left join public.bookings b on b.id = t.booking_id
  where t.id = p_id;
$$;
comment on function public.get_transaction is
  'One transaction with its booking, audit log in order, refunds and disputes; null without it.';

create or replace function public.resolve_review(p_transaction_id uuid, p_note text)
returns jsonb language plpgsql volatile set search_path = '' as $$
begin
  perform from public.bookings
  where id = (select booking_id from public.transactions where id = p_transaction_id) for update;
  perform app.act_as(null, p_note);
  update public.transactions set review_reason = null where id = p_transaction_id and review_reason is not null;
  if not found and exists (select from public.transactions where id = p_transaction_id) then
    raise sqlstate 'PT409' using message = 'This transaction has no flag.', hint = 'review_not_needed';
  end if;
  return public.get_transaction(p_transaction_id);
end $$;
comment on function public.resolve_review is
  'A person has seen to a flagged transaction: the flag goes, the note stays in its audit log. A payment of another amount is '
  'then taken as what the booking costs. The transaction, or null without it; PT409 review_not_needed.';

-- What the worker and reconciliation have to ask the gateways, and how far behind the inbox of events is.

-- Of several workers one gets each item. What could not be done is offered again after a pause.
create or replace function public.claim_payment_work(
  p_gateways text[], p_pause_seconds integer default 60, p_limit integer default 20
)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_abandoned record;
  v_before timestamptz := now() - make_interval(secs => p_pause_seconds);
  v_verify jsonb;
  v_cancel jsonb;
  v_capture jsonb;
  v_ask jsonb;
  v_refunds jsonb;
begin
  -- Whoever opened the page did not come back for a day, or the booking is gone.
  for v_abandoned in
    select id, booking_id from public.transactions
    where is_live and status <> 'processing' and (booking_id is null or created_at < now() - interval '1 day')
    order by created_at limit p_limit
  loop
    -- The booking first, as everywhere; one that somebody is at has time.
    perform from public.bookings where id = v_abandoned.booking_id for update skip locked;
    continue when not found and v_abandoned.booking_id is not null;
    update public.transactions
    set status = 'failed', failure_code = coalesce(failure_code, 'abandoned'), cancel_requested_at = now()
    where id = v_abandoned.id and is_live and status <> 'processing';
  end loop;
  delete from public.unverified_events where received_at < now() - interval '3 days';
  -- The call that brought it is asking, too, at first.
  with claimed as (
    update public.unverified_events set tried_at = now()
    where key in (
      select key from public.unverified_events
      where gateway = any (p_gateways) and tried_at < least(v_before, now() - interval '10 seconds')
      order by tried_at limit p_limit for update skip locked
    )
    returning *
  )
  select coalesce(jsonb_agg(to_jsonb(c) - 'received_at' - 'tried_at' order by received_at), '[]') into v_verify from claimed c;
  with claimed as (
    update public.transactions set checked_at = now()
    where id in (
      select id from public.transactions
      where status = 'failed' and gateway = any (p_gateways) and cancel_requested_at > now() - interval '30 days' and canceled_at is null
        and gateway_payment_id is not null
        and (checked_at is null or checked_at < cancel_requested_at or checked_at < v_before)
      order by cancel_requested_at limit p_limit for update skip locked
    )
    returning *
  )
  select coalesce(jsonb_agg(app.payment_ref(c::public.transactions)), '[]') into v_cancel from claimed c;
  -- The page of the payer asks for it, too, unless it was closed.
  with claimed as (
    update public.transactions set checked_at = now()
    where id in (
      select id from public.transactions
      where approved_at < now() - interval '10 seconds' and status in ('pending', 'processing', 'failed')
        and is_live and canceled_at is null and gateway = any (p_gateways) and gateway_payment_id is not null
        and (checked_at is null or checked_at < approved_at or checked_at < v_before)
      order by approved_at limit p_limit for update skip locked
    )
    returning *
  )
  select coalesce(jsonb_agg(app.payment_ref(c::public.transactions)), '[]') into v_capture from claimed c;
  -- How it was paid is not in every event.
  with claimed as (
    update public.transactions set checked_at = now()
    where id in (
      select id from public.transactions
      where status in ('completed', 'refunded') and payment_method is null and gateway = any (p_gateways)
        and completed_at > now() - interval '1 day' and gateway_payment_id is not null
        and (checked_at is null or checked_at < completed_at or checked_at < now() - interval '10 minutes')
      order by completed_at limit p_limit for update skip locked
    )
    returning *
  )
  select coalesce(jsonb_agg(app.payment_ref(c::public.transactions)), '[]') into v_ask from claimed c;
  with claimed as (
    update public.refunds set lease_until = now() + interval '1 minute'
    where id in (
      select id from public.refunds
      where status = 'reserved' and gateway = any (p_gateways) and (lease_until is null or lease_until <= now())
        and (updated_at = created_at or updated_at < v_before)
      order by updated_at limit p_limit for update skip locked
    )
    returning *
  )
  select coalesce(jsonb_agg(app.refund_task(c::public.refunds)), '[]') into v_refunds from claimed c;
  return jsonb_build_object(
    'verify', v_verify, 'cancel', v_cancel, 'capture', v_capture, 'ask', v_ask, 'refunds', v_refunds
  );
end $$;
comment on function public.claim_payment_work is
  'What is to be done at these gateways now: events to verify, payments to cancel, ones whose money is to be taken, ones to ask '
  'how they were paid, refunds that nobody is at. What failed is not offered again for p_pause_seconds.';

-- Of a gateway that cannot be asked for its events, each payment is asked about, ever more rarely as it grows older: what
-- was refunded or disputed there is not known otherwise when its event is lost, nor what somebody paid all the same by a
-- page that is canceled for us alone.
create or replace function public.list_payment_work(p_gateways text[], p_unlisted text[], p_limit integer default 200)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'began_at', now(),
    -- From where to go through the gateway's events: as long as nobody was there to do so, at most as far as it keeps them.
    'since', greatest(now() - interval '30 days', least(now(), (
      select last_succeeded_at from public.scheduled_jobs where name = 'reconcile-payments'
    )) - interval '1 hour'),
    'events', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', e.id, 'gateway', e.gateway, 'payload', e.payload
      ) order by e.occurred_at), '[]')
      from (
        select * from public.gateway_events
        where gateway = any (p_gateways) and state not in ('processed', 'foreign') and received_at > now() - interval '30 days' and payload is not null
        order by attempts, received_at limit p_limit
      ) e
    ),
    -- Of the first day each time, later once a day; after a month the gateway has long ended them.
    'payments', (
      select coalesce(jsonb_agg(app.payment_ref(t::public.transactions) order by t.created_at), '[]')
      from (
        select * from public.transactions
        where status in ('pending', 'processing', 'failed') and canceled_at is null and gateway = any (p_gateways)
          and gateway_payment_id is not null and created_at > now() - interval '30 days'
          and (checked_at is null or checked_at < now() - interval '1 day' or created_at > now() - interval '1 day')
        order by checked_at nulls first, created_at limit p_limit
      ) t
    ),
    -- Payments of which more went back than the refunds that are known: there are others.
    'untold_refunds', (
      select coalesce(jsonb_agg(app.payment_ref(t::public.transactions) order by t.created_at), '[]')
      from (
        select * from public.transactions t
        where gateway = any (p_gateways) and charge_refunded > 0 and charge_refunded_at > now() - interval '30 days'
          and charge_refunded > (select coalesce(sum(amount), 0) from public.refunds r where r.transaction_id = t.id)
        order by checked_at nulls first limit p_limit
      ) t
    ),
    'unlisted', (
      select coalesce(jsonb_agg(app.payment_ref(t::public.transactions) order by t.created_at), '[]')
      from (
        select * from public.transactions
        where (status in ('completed', 'refunded') or canceled_at is not null) and gateway = any (p_unlisted)
          and coalesce(completed_at, canceled_at) > now() - interval '180 days'
          and (
            checked_at is null
            or checked_at < now() - greatest(interval '1 hour', (now() - coalesce(completed_at, canceled_at)) / 50)
          )
        order by checked_at nulls first limit p_limit
      ) t
    ),
    'refunds', (
      select coalesce(jsonb_agg(app.refund_task(r) order by r.created_at), '[]')
      from (
        select * from public.refunds
        where gateway = any (p_gateways) and status = 'pending' and created_at > now() - interval '90 days'
        order by updated_at limit p_limit
      ) r
    ),
    'customers', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'gateway', g.gateway, 'gateway_customer_id', g.gateway_customer_id
      ) order by g.deleted_at), '[]')
      from (
        select known.*, c.deleted_at
        from public.gateway_customers known join public.customers c on c.id = known.customer_id
        where c.deleted_at is not null and known.gateway = any (p_gateways) order by c.deleted_at limit p_limit
      ) g
    )
  );
$$;
comment on function public.list_payment_work is
  'What reconciliation has to ask these gateways: events to be tried again, payments that may have moved there, refunds without '
  'an end, customers whose account is deleted. p_unlisted: those that cannot be asked for their events.';

create or replace function public.forget_gateway_customer(p_gateway text, p_gateway_customer_id text)
returns void language sql volatile set search_path = '' as $$
  delete from public.gateway_customers known
  using public.customers c
  where known.gateway = p_gateway and known.gateway_customer_id = p_gateway_customer_id
    and c.id = known.customer_id and c.deleted_at is not null;
$$;
comment on function public.forget_gateway_customer is 'The gateway has deleted the customer of a deleted account.';

create or replace function public.list_unknown_events(p_gateway text, p_ids text[])
returns jsonb language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(asked.id order by asked.place), '[]')
  from unnest(p_ids) with ordinality asked (id, place)
  where not exists (
    select from public.gateway_events e
    where e.gateway = p_gateway and e.id = asked.id and e.state in ('processed', 'foreign')
  );
$$;
comment on function public.list_unknown_events is
  'Those of the ids whose events had no effect here and may have one, in the order given.';

create or replace function app.payment_backlog()
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'waiting', count(*) filter (where state <> 'unmatched'),
    'oldest_seconds', coalesce(extract(epoch from now() - min(received_at) filter (where state <> 'unmatched'))::integer, 0),
    'unmatched', count(*) filter (where state = 'unmatched'),
    'needs_review', (select count(*) from public.transactions where needs_review),
    'disputes', (select count(*) from public.disputes where outcome is null)
  )
  from public.gateway_events
  where state not in ('processed', 'foreign') and received_at > now() - interval '30 days';
$$;
comment on function app.payment_backlog is
  'What of the payments waits for somebody: events without effect yet, the age of the oldest in seconds, events that name a '
  'payment nobody knows here; flagged transactions and open disputes.';

create or replace function public.finish_reconciliation(p_began_at timestamptz, p_is_complete boolean)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_found bigint;
begin
  if p_is_complete then
    insert into public.scheduled_jobs as job (name, last_started_at, last_succeeded_at)
    values ('reconcile-payments', p_began_at, p_began_at)
    on conflict (name) do update set last_succeeded_at = greatest(job.last_succeeded_at, p_began_at);
  end if;
  perform app.alert_staff('bookings_edit', 'An event of the payment gateway waits', format(
    'Event %s (%s) of %s has had no effect for 15 minutes: %s. It is tried again every 10 minutes.',
    id, type, to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
    case state when 'unmatched' then 'nobody here knows its payment' else coalesce(last_error, state) end
  ), 'event:' || gateway || ':' || id)
  from public.gateway_events
  where state not in ('processed', 'foreign')
    and received_at between now() - interval '30 days' and now() - interval '15 minutes';
  delete from public.payment_idempotency_keys where created_at < now() - interval '24 hours';
  update public.gateway_events set payload = null
  where payload is not null and received_at < now() - interval '90 days';
  delete from public.gateway_events where state = 'foreign' and received_at < now() - interval '30 days';
  select count(*) into v_found
  from public.transaction_audit_logs a join public.transactions t on t.id = a.transaction_id
  where a.created_at >= p_began_at and a.changed_by = 'reconciliation' and a.new_status = 'completed'
    and a.old_status in ('pending', 'processing', 'failed') and t.completed_at < a.created_at - interval '10 minutes';
  return jsonb_build_object('backlog', app.payment_backlog(), 'found', v_found, 'flagged', (
    select coalesce(jsonb_agg(jsonb_build_object('transaction_id', id, 'review_reason', review_reason)), '[]')
    from (select * from public.transactions where needs_review order by created_at desc limit 100) flagged
  ));
end $$;
comment on function public.finish_reconciliation is
  'Note how far a complete run has come, tell staff of events that wait too long, forget what is outdated. The backlog, how many '
  'payments the run found of which no event had told, and the flagged transactions.';

-- What the page /staff/payments asks: what needs a person, and the transactions of a period as rows of a table.

-- A refund needs a person when the gateway failed to make it and none was made since, while there is money to give back;
-- or when for an hour nobody could find out whether it was made.
create or replace function app.troubled_refunds()
returns setof public.refunds language sql stable set search_path = '' as $$
  select r.*
  from public.refunds r
  join public.transactions t on t.id = r.transaction_id
  where r.status = 'reserved' and r.created_at < now() - interval '1 hour'
    or r.status = 'failed' and r.created_at > now() - interval '90 days' and t.status = 'completed' and not exists (
      select from public.refunds later
      where later.transaction_id = r.transaction_id and later.created_at > r.created_at and later.status <> 'canceled'
    );
$$;
comment on function app.troubled_refunds is 'The refunds that somebody has to look after.';

create or replace function public.get_payment_desk(p_limit integer default 100)
returns jsonb language sql stable set search_path = '' as $$
  with flagged as (
    select public.list_transactions(1, p_limit, p_needs_review => true) as page
  ),
  disputes as (
    select d, t, b
    from public.disputes d
    join public.transactions t on t.id = d.transaction_id
    left join public.bookings b on b.id = t.booking_id
    where d.outcome is null and d.status in ('warning_needs_response', 'needs_response')
  ),
  refunds as (
    select r, t, b
    from app.troubled_refunds() r
    join public.transactions t on t.id = r.transaction_id
    left join public.bookings b on b.id = t.booking_id
  ),
  events as (
    select e from public.gateway_events e where e.state not in ('processed', 'foreign') and e.received_at > now() - interval '90 days'
  ),
  emails as (
    select m from public.email_outbox m where m.state = 'dead' and m.finished_at > now() - interval '30 days'
  )
  select jsonb_build_object(
    'totals', jsonb_build_object(
      'transactions', (select page -> 'total' from flagged), 'disputes', (select count(*) from disputes),
      'refunds', (select count(*) from refunds), 'events', (select count(*) from events),
      'emails', (select count(*) from emails)
    ),
    'transactions', (select page -> 'transactions' from flagged),
    'disputes', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', (d).id, 'transaction_id', (t).id, 'gateway_dispute_id', (d).gateway_dispute_id, 'amount', (d).amount,
        'currency', (t).currency, 'reason', (d).reason, 'status', (d).status, 'due_by', (d).due_by,
        'created_at', (d).created_at, 'bookings', app.describe_booking(b)
      ) order by (d).due_by, (d).created_at), '[]')
      from (select * from disputes order by (d).due_by, (d).created_at limit p_limit) f
    ),
    'refunds', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', (r).id, 'transaction_id', (t).id, 'amount', (r).amount, 'currency', (t).currency, 'status', (r).status,
        'reason', (r).reason, 'requested_by', (r).requested_by, 'last_error', (r).last_error,
        'created_at', (r).created_at, 'bookings', app.describe_booking(b)
      ) order by (r).created_at desc), '[]')
      from (select * from refunds order by (r).created_at desc limit p_limit) f
    ),
    -- After 30 days reconciliation tries them no more.
    'events', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', (e).id, 'gateway', (e).gateway, 'type', (e).type, 'state', (e).state, 'attempts', (e).attempts, 'last_error', (e).last_error,
        'transaction_id', (e).transaction_id, 'received_at', (e).received_at,
        'is_given_up', (e).received_at <= now() - interval '30 days'
      ) order by (e).received_at desc), '[]')
      from (select * from events order by (e).received_at desc limit p_limit) f
    ),
    'emails', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', (m).id, 'template', (m).template, 'recipient', (m).recipient, 'booking_id', (m).booking_id,
        'last_error', (m).last_error, 'finished_at', (m).finished_at
      ) order by (m).finished_at desc), '[]')
      from (select * from emails order by (m).finished_at desc limit p_limit) f
    ),
    -- How amounts are counted: all others have two decimals.
    'exponents', (select jsonb_object_agg(code, exponent) from app.currencies where exponent <> 2)
  );
$$;
comment on function public.get_payment_desk is
  'What of the payments needs a person: flagged transactions, disputes to be answered (the most urgent first), refunds, events '
  'without effect, mails that cannot be sent; of each p_limit, with totals.';

-- Pages begin after the last row of the page before, so that they fit while others pay.
create or replace function public.export_transactions(
  p_from timestamptz, p_to timestamptz, p_after uuid default null, p_limit integer default 2000, p_max integer default 100000
) returns jsonb language plpgsql stable set search_path = '' as $$
declare
  v_after timestamptz := (select created_at from public.transactions where id = p_after);
begin
  if p_after is null and p_max < (
    select count(*) from public.transactions where created_at >= p_from and created_at < p_to
  ) then
    raise sqlstate 'PT400' using hint = 'export_too_large',
      message = format('These are more than %s transactions. Please choose a shorter period.', p_max);
  end if;
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'id', (t).id, 'status', (t).status,
      'created_at', to_char((t).created_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
      'completed_at', to_char((t).completed_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
      'currency', upper((t).currency), 'amount', app.to_units((t).amount, (t).currency)::text,
      'amount_refunded', app.to_units((t).amount_refunded, (t).currency)::text,
      'amount_withdrawn', app.to_units((t).amount_withdrawn, (t).currency)::text,
      'amount_left', case when (t).status in ('completed', 'refunded') then app.to_units((t).amount_left, (t).currency)::text end,
      'payment_method', (t).payment_method, 'gateway', (t).gateway, 'gateway_payment_id', (t).gateway_payment_id,
      'failure_code', (t).failure_code, 'review_reason', (t).review_reason, 'dispute_status', (t).dispute_status,
      'booking_id', (t).booking_id, 'name', (b).name, 'email', (b).email, 'package', (b).package
    ) order by (t).created_at, (t).id), '[]')
    from (
      select t, b
      from public.transactions t
      left join public.bookings b on b.id = t.booking_id
      where t.created_at >= p_from and t.created_at < p_to
        and (p_after is null or (t.created_at, t.id) > (v_after, p_after))
      order by t.created_at, t.id limit p_limit
    ) page
  );
end $$;
comment on function public.export_transactions is
  'The transactions of a period, oldest first, p_limit at a time after the one of p_after; amounts in currency units, times in UTC. '
  'Raises PT400 export_too_large.';

insert into app.migrations (version) values ('20251027000001') on conflict do nothing;
notify pgrst, 'reload schema';
