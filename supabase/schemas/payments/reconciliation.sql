-- What reconciliation has to ask the gateway, and how far behind the inbox of events is.

create or replace function public.list_payment_work(p_limit integer default 200)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'events', (
      select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'payload', e.payload) order by e.occurred_at), '[]')
      from (
        select * from public.stripe_events
        where state <> 'processed' and received_at > now() - interval '30 days' order by attempts, received_at limit p_limit
      ) e
    ),
    -- Of the first day each time, later once a day; after a month the gateway has long ended them.
    'payments', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'transaction_id', t.id, 'payment_id', t.gateway_payment_id, 'is_unwanted', t.cancel_requested_at is not null
      ) order by t.created_at), '[]')
      from (
        select * from public.transactions
        where status in ('pending', 'processing', 'failed') and canceled_at is null and gateway <> 'manual'
          and gateway_payment_id is not null and created_at > now() - interval '30 days'
          and (checked_at is null or checked_at < now() - interval '1 day' or created_at > now() - interval '1 day')
        order by checked_at nulls first, created_at limit p_limit
      ) t
    ),
    'refunds', (
      select coalesce(jsonb_agg(
        app.refund_task(r) || jsonb_build_object('gateway_refund_id', r.gateway_refund_id) order by r.created_at
      ), '[]')
      from (
        select * from public.refunds
        where status = 'reserved' and (lease_until is null or lease_until <= now())
          or status = 'pending' and created_at > now() - interval '90 days'
        order by updated_at limit p_limit
      ) r
    )
  );
$$;
comment on function public.list_payment_work is
  'Events to be tried again; payments that may have moved at the gateway, or are to be canceled there; refunds without an end.';

create or replace function public.list_unknown_events(p_ids text[])
returns jsonb language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(asked.id order by asked.place), '[]')
  from unnest(p_ids) with ordinality asked (id, place)
  where not exists (select from public.stripe_events e where e.gateway = 'stripe' and e.id = asked.id and e.state = 'processed');
$$;
comment on function public.list_unknown_events is
  'Those of the ids whose events were not processed here, in the order given.';

create or replace function app.payment_backlog()
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'waiting', count(*) filter (where state <> 'unmatched'),
    'oldest_seconds', coalesce(extract(epoch from now() - min(received_at) filter (where state <> 'unmatched'))::integer, 0),
    'unmatched', count(*) filter (where state = 'unmatched')
  )
  from public.stripe_events
  where state <> 'processed' and received_at > now() - interval '30 days';
$$;
comment on function app.payment_backlog is
  'Events of the gateway without effect yet: how many, the age of the oldest, and how many of payments nobody knows here.';

create or replace function public.finish_reconciliation()
returns jsonb language plpgsql volatile set search_path = '' as $$
begin
  perform app.alert_staff('An event of the payment gateway waits', format(
    'Event %s (%s) of %s has had no effect for 15 minutes: %s. It is tried again every 10 minutes.',
    id, type, to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
    case state when 'unmatched' then 'no booking here belongs to its payment' else coalesce(last_error, state) end
  ), 'event:' || id)
  from public.stripe_events
  where state <> 'processed' and received_at between now() - interval '30 days' and now() - interval '15 minutes';
  delete from public.payment_idempotency_keys where created_at < now() - interval '24 hours';
  update public.stripe_events set payload = null
  where payload is not null and received_at < now() - interval '90 days';
  return app.payment_backlog();
end $$;
comment on function public.finish_reconciliation is
  'Tell staff of events that wait too long, forget what is outdated; the backlog.';
