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
