-- Periodic work of `flask worker`: of several workers one runs each job when it is due.

create table if not exists public.scheduled_jobs (
  name text primary key,
  last_started_at timestamptz not null,
  last_succeeded_at timestamptz
);
comment on table public.scheduled_jobs is 'When each job last began. A job is claimed by moving its time on.';
comment on column public.scheduled_jobs.last_succeeded_at is
  'When the last run began that did all there was to do; of jobs whose next run depends on it.';

call app.close_table('public.scheduled_jobs');
grant select, insert, update, delete on public.scheduled_jobs to service_role;

create or replace function public.claim_scheduled_job(p_name text, p_every_seconds integer)
returns integer language plpgsql volatile set search_path = '' as $$
declare
  v_due_at timestamptz;
begin
  insert into public.scheduled_jobs as job (name, last_started_at) values (p_name, now())
  on conflict (name) do update set last_started_at = now()
  where job.last_started_at <= now() - make_interval(secs => p_every_seconds);
  if found then
    return 0;
  end if;
  select last_started_at + make_interval(secs => p_every_seconds) into v_due_at
  from public.scheduled_jobs where name = p_name;
  return greatest(1, ceil(extract(epoch from v_due_at - now())));
end $$;
comment on function public.claim_scheduled_job is
  '0: the job is due and now the caller''s to run; else the seconds until it is due.';

create or replace function public.email_queue_status()
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'waiting', count(*),
    'oldest_due_seconds', coalesce(greatest(0, extract(epoch from now() - min(o.next_attempt_at)))::integer, 0),
    'oldest_seconds', coalesce(extract(epoch from now() - min(o.created_at))::integer, 0),
    'dead', (select count(*) from public.email_outbox where state = 'dead' and finished_at > now() - interval '1 day'),
    'paused_until', (select paused_until from public.email_queue where paused_until > now()),
    'pause_reason', (select pause_reason from public.email_queue where pauses_in_a_row > 0),
    'worker_seen_seconds', (select extract(epoch from now() - max(last_started_at))::integer from public.scheduled_jobs)
  )
  from public.email_outbox o
  where o.state in ('queued', 'sending');
$$;
comment on function public.email_queue_status is
  'How the queue stands: mails waiting, seconds the oldest is overdue and old, mails that died within a day, the pause, '
  'and how long ago a worker last showed life (null: never).';
