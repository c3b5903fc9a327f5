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
