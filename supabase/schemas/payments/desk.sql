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
