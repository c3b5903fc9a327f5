-- How workers share the outbox, pause and clean up.

-- Why one row for the whole queue: a server that is down or refuses the credentials fails every mail alike. Then
-- sending stops for all workers, and no mail loses an attempt over it.
create table if not exists public.email_queue (
  is_only_row boolean primary key default true constraint email_queue_is_only_row_check check (is_only_row),
  paused_until timestamptz,
  pause_reason text,
  pauses_in_a_row integer not null default 0
);
comment on table public.email_queue is 'One row: whether sending is paused, until when and why.';
comment on column public.email_queue.pauses_in_a_row is 'Pauses since a mail last went out; each one lasts longer.';
insert into public.email_queue default values on conflict do nothing;

call app.close_table('public.email_queue');
grant select, update on public.email_queue to service_role;

create or replace function app.max_email_attempts()
returns integer language sql immutable set search_path = '' as $$ select 15 $$;
comment on function app.max_email_attempts is
  'How often one mail is tried; with the waits of finish_email some four days.';

-- The worker asks this about once a second. While nothing is due it reads one index page and writes nothing.
create or replace function public.claim_email(p_lease_seconds integer default 180, p_hold_seconds integer default 60)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_email public.email_outbox;
begin
  if exists (select 1 from public.email_queue where paused_until > now()) then
    return null;
  end if;
  update public.email_outbox
  set state = 'sending', attempts = attempts + 1, claimed_by = gen_random_uuid(),
    next_attempt_at = now() + make_interval(secs => p_lease_seconds)
  where id = (
    select id from public.email_outbox
    where state in ('queued', 'sending') and next_attempt_at <= now() and attempts < app.max_email_attempts()
      and (booking_id is null or attempts > 0 or created_at <= now() - make_interval(secs => p_hold_seconds))
    order by next_attempt_at
    for update skip locked
    limit 1
  )
  returning * into v_email;
  if v_email.id is null then
    return null;
  end if;
  return jsonb_build_object(
    'id', v_email.id, 'template', v_email.template, 'recipient', v_email.recipient, 'data', v_email.data,
    'customer_id', v_email.customer_id, 'attempts', v_email.attempts, 'claim', v_email.claimed_by,
    'created_at', v_email.created_at
  );
end $$;
comment on function public.claim_email is
  'Take the mail that is due longest, for p_lease_seconds; null when none is due or sending is paused. A mail about '
  'a booking waits p_hold_seconds, so that what follows at once can be told in it. One whose '
  'worker died is due again when its lease ends.';

-- The waits: 30 s after the first attempt, then twice as long each time, never over 24 hours; a random quarter is
-- taken off so that mails which failed together do not come back together. The last attempt is some four days later, as
-- RFC 5321 4.5.4.1 asks.
create or replace function public.finish_email(p_id uuid, p_claim uuid, p_outcome text, p_error text default null)
returns text language plpgsql volatile set search_path = '' as $$
declare
  v_state text;
begin
  update public.email_outbox
  set state = case
        when p_outcome in ('sent', 'dropped', 'dead') then p_outcome
        when p_outcome = 'retry' and attempts >= app.max_email_attempts() then 'dead'
        else 'queued'
      end,
      finished_at = case
        when p_outcome in ('sent', 'dropped', 'dead') then now()
        when p_outcome = 'retry' and attempts >= app.max_email_attempts() then now()
      end,
      next_attempt_at = case
        when p_outcome = 'retry'
          then now() + make_interval(secs => least(30 * 2 ^ (attempts - 1), 86400) * (1 - random() / 4))
        else created_at -- due since then, and so the first to be tried again
      end,
      attempts = case when p_outcome = 'released' then attempts - 1 else attempts end,
      data = case when p_outcome in ('sent', 'dropped') then '{}' else data end,
      last_error = case when p_outcome = 'sent' then null else left(coalesce(p_error, last_error), 500) end,
      claimed_by = null
  where id = p_id and claimed_by = p_claim
  returning state into v_state;
  if v_state = 'sent' then
    perform public.resume_email_queue();
  end if;
  return v_state;
end $$;
comment on function public.finish_email is
  'Say how a claimed mail went: sent, dropped (purpose gone), dead (refused for good), retry (refused for now), '
  'released (not tried). The state it has now, or null when the claim was lost to another worker.';

-- 15 s, 30 s, … 5 minutes: the fault is the server's and one connection tells when it is over.
create or replace function public.pause_email_queue(p_reason text)
returns timestamptz language sql volatile set search_path = '' as $$
  update public.email_queue
  set paused_until = now() + make_interval(secs => least(15 * 2 ^ least(pauses_in_a_row, 10), 300)),
    pause_reason = left(p_reason, 500), pauses_in_a_row = pauses_in_a_row + 1
  where paused_until is null or paused_until <= now()
  returning paused_until;
$$;
comment on function public.pause_email_queue is
  'Stop all sending for a while: the mail server is out of reach or refuses the credentials. Null when paused already.';

create or replace function public.resume_email_queue()
returns void language sql volatile set search_path = '' as $$
  update public.email_queue set paused_until = null, pause_reason = null, pauses_in_a_row = 0 where pauses_in_a_row > 0;
$$;
comment on function public.resume_email_queue is 'End a pause at once: a mail went out, or a worker starts, perhaps with better settings.';

create or replace function public.list_unsent_links()
returns table (id uuid, template text, recipient text) language sql stable set search_path = '' as $$
  select id, template, recipient from public.email_outbox
  where state = 'queued' and template in ('email-verification', 'password-reset', 'staff-invitation')
  order by created_at desc
  limit 20;
$$;
comment on function public.list_unsent_links is
  'The latest waiting mails that carry a link, for a development machine without SMTP, where the worker logs the link.';

create or replace function public.retry_dead_emails(p_id uuid default null)
returns integer language sql volatile set search_path = '' as $$
  with revived as (
    update public.email_outbox
    set state = 'queued', attempts = 0, next_attempt_at = now(), finished_at = null
    where state = 'dead' and (p_id is null or id = p_id)
    returning 1
  )
  select count(*)::integer from revived;
$$;
comment on function public.retry_dead_emails is 'Queue the dead mail p_id again, or all of them; how many.';

create or replace function public.purge_emails()
returns integer language plpgsql volatile set search_path = '' as $$
declare
  v_purged integer;
begin
  -- A mail at whose last attempt the worker died is claimed by nobody any more.
  update public.email_outbox
  set state = 'dead', finished_at = now(), claimed_by = null,
    last_error = coalesce(last_error, 'The worker died each time it sent this mail.')
  where state = 'sending' and next_attempt_at <= now() and attempts >= app.max_email_attempts();
  delete from public.email_outbox where finished_at < now() - interval '30 days';
  get diagnostics v_purged = row_count;
  return v_purged;
end $$;
comment on function public.purge_emails is 'Delete mails that were over 30 days ago; how many.';
