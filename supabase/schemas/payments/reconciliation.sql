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
