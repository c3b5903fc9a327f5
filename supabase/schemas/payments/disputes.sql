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
