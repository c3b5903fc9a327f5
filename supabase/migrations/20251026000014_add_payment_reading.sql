-- Purpose: payments as staff and customers see them, and what staff may note by hand.
-- Functions: set_booking_payment_status, get_booking_payment, list_transactions, get_transaction (rpc) ·
--   describe_transaction, raise_card_decides.
-- Policies: customers see their own transactions.
-- SECURITY DEFINER functions: none.
-- Roll back: supabase/rollbacks/20251026000014_add_payment_reading.sql

drop policy if exists transactions_select_customer on public.transactions;
create policy transactions_select_customer on public.transactions for select to customer
  using (customer_id = (select auth.uid()));
grant select (
  id, booking_id, customer_id, gateway, amount, amount_refunded, currency, status, payment_method, created_at, completed_at
) on public.transactions to customer;

create or replace function public.raise_card_decides(p_booking_id public.booking_key)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if exists (
    select from public.transactions
    where booking_id = p_booking_id and gateway <> 'manual' and status = 'completed' and amount_refunded < amount
  ) then
    raise sqlstate 'PT409' using hint = 'paid_online',
      message = 'This booking was paid online. Refund the payment, so that the money really goes back.';
  end if;
end
$$;
comment on function public.raise_card_decides is 'PT409 paid_online while money taken online stands: no note by hand undoes it.';
revoke all on function public.raise_card_decides from public, anon, authenticated;
grant execute on function public.raise_card_decides to service_role;

-- By transactions of gateway `manual`, so that the booking's payment_status goes on following its transactions alone.
create or replace function public.set_booking_payment_status(
  p_booking_id text, p_payment_status text, p_amount bigint, p_changed_by text, p_reason text default null
) returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_booking public.bookings;
  v_amount bigint;
begin
  perform set_config('app.actor', p_changed_by, true),
    set_config('app.reason', coalesce(p_reason, 'noted as ' || p_payment_status), true);
  select * into v_booking from public.bookings where id = public.to_booking_key(p_booking_id) for update;
  if v_booking.id is null then
    raise sqlstate 'PT404' using message = 'Booking not found', hint = 'booking_not_found';
  end if;
  if p_payment_status = 'Paid' then
    -- Staff's word settles a payment of another amount than the booking's.
    update public.transactions set review_reason = null
    where booking_id = v_booking.id and status = 'completed' and review_reason = 'amount_mismatch';
  elsif p_payment_status in ('Pending', 'Refunded') then
    perform public.raise_card_decides(v_booking.id);
    update public.transactions
    set status = case p_payment_status when 'Refunded' then 'refunded' else 'pending' end,
      amount_refunded = case p_payment_status when 'Refunded' then amount else 0 end
    where booking_id = v_booking.id and gateway = 'manual'
      and (status = 'completed' or status = 'refunded' and p_payment_status = 'Pending');
  else
    raise sqlstate 'PT400' using message = 'payment_status must be Paid, Pending or Refunded.', hint = 'validation_failed';
  end if;
  select * into v_booking from public.bookings where id = v_booking.id;
  if v_booking.payment_status <> p_payment_status then
    v_amount := coalesce(p_amount, nullif(public.booking_amount(v_booking.amount, v_booking.currency), 0));
    if v_amount is null then
      raise sqlstate 'PT400' using message = 'The booking has no amount: please give one.', hint = 'amount_required';
    end if;
    if p_payment_status = 'Paid' then
      perform public.supersede_payments(v_booking.id);
    end if;
    insert into public.transactions (
      booking_id, customer_id, gateway, amount, amount_refunded, currency, status, completed_at
    ) values (
      v_booking.id, v_booking.customer_id, 'manual', v_amount, case p_payment_status when 'Refunded' then v_amount else 0 end,
      lower(coalesce(v_booking.currency, 'usd')),
      case p_payment_status when 'Paid' then 'completed' when 'Refunded' then 'refunded' else 'pending' end,
      case when p_payment_status <> 'Pending' then now() end
    );
    select * into v_booking from public.bookings where id = v_booking.id;
  end if;
  if v_booking.payment_status <> p_payment_status then
    raise sqlstate 'PT409' using hint = 'payments_decide',
      message = format('The payments of this booking say %s.', v_booking.payment_status);
  end if;
  return to_jsonb(v_booking);
end
$$;
comment on function public.set_booking_payment_status is
  'What staff knows of a payment made elsewhere; p_amount in minor units (null: the booking''s). The booking''s row. Raises '
  'PT404 booking_not_found, PT400 amount_required, PT409 paid_online, payments_decide.';
revoke all on function public.set_booking_payment_status from public, anon, authenticated;
grant execute on function public.set_booking_payment_status to service_role;

create or replace function public.describe_transaction(p_transaction public.transactions)
returns jsonb
language sql stable security invoker set search_path = ''
as $$
  select to_jsonb(p_transaction) - array[
    'attempt', 'status_at', 'checked_at', 'charge_refunded', 'charge_refunded_at', 'cancel_requested_at', 'canceled_at'
  ];
$$;
comment on function public.describe_transaction is 'A transaction without what only the functions here need.';
revoke all on function public.describe_transaction from public, anon, authenticated;
grant execute on function public.describe_transaction to service_role;

create or replace function public.get_booking_payment(p_booking_id text, p_customer_id uuid default null)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_booking public.bookings;
  v_currency text;
begin
  select * into v_booking from public.bookings where id = public.to_booking_key(p_booking_id);
  if v_booking.id is null then
    raise sqlstate 'PT404' using message = 'Booking not found', hint = 'booking_not_found';
  end if;
  if p_customer_id is not null and v_booking.customer_id is distinct from p_customer_id then
    raise sqlstate 'PT403' using message = 'This booking belongs to somebody else.', hint = 'forbidden';
  end if;
  v_currency := coalesce(nullif(lower(btrim(v_booking.currency)), ''), 'usd');
  return jsonb_build_object(
    'bookingId', v_booking.id, 'paymentStatus', v_booking.payment_status,
    'amount', public.booking_amount(v_booking.amount, v_currency), 'currency', v_currency,
    'transaction', (
      select jsonb_build_object(
        'id', t.id, 'booking_id', t.booking_id, 'gateway', t.gateway, 'gateway_payment_id', t.gateway_payment_id,
        'amount', t.amount, 'amount_refunded', t.amount_refunded, 'currency', t.currency, 'status', t.status,
        'payment_method', t.payment_method, 'created_at', t.created_at, 'completed_at', t.completed_at
      )
      from public.transactions t where t.booking_id = v_booking.id
      order by array_position(array['completed', 'refunded'], t.status), t.created_at desc, t.id limit 1
    )
  );
end
$$;
comment on function public.get_booking_payment is
  'How a booking stands, with the transaction that decides; for its owner, or for staff (null). Raises PT404, PT403.';
revoke all on function public.get_booking_payment from public, anon, authenticated;
grant execute on function public.get_booking_payment to service_role;

create or replace function public.list_transactions(
  p_page integer, p_limit integer, p_status text default null, p_gateway text default null, p_booking_id text default null,
  p_from timestamptz default null, p_to timestamptz default null, p_q text default null
) returns jsonb
language sql stable security invoker set search_path = ''
as $$
  with found as (
    select t, b.id, b.name, b.email, b.package
    from public.transactions t
    join public.bookings b on b.id = t.booking_id
    where (p_status is null or t.status = p_status)
      and (p_gateway is null or t.gateway = p_gateway)
      and (p_booking_id is null or t.booking_id = public.to_booking_key(p_booking_id))
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
        public.describe_transaction(page.t) || jsonb_build_object('bookings', jsonb_build_object(
          'id', page.id, 'name', page.name, 'email', page.email, 'package', page.package
        )) order by (page.t).created_at desc, (page.t).id desc
      ), '[]')
      from (
        select * from found order by (t).created_at desc, (t).id desc
        limit p_limit offset (p_page - 1)::bigint * p_limit
      ) page
    )
  );
$$;
comment on function public.list_transactions is 'A page of transactions, newest first, with their bookings; and how many there are.';
revoke all on function public.list_transactions from public, anon, authenticated;
grant execute on function public.list_transactions to service_role;

create or replace function public.get_transaction(p_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
as $$
  select public.describe_transaction(t) || jsonb_build_object(
    'bookings', jsonb_build_object('id', b.id, 'name', b.name, 'email', b.email, 'package', b.package),
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
    )
  )
  from public.transactions t
  join public.bookings b on b.id = t.booking_id
  where t.id = p_id;
$$;
comment on function public.get_transaction is 'One transaction with its booking, audit log in order and refunds; null without it.';
revoke all on function public.get_transaction from public, anon, authenticated;
grant execute on function public.get_transaction to service_role;

notify pgrst, 'reload schema';
