-- Limits that hold for an account or an address, over all processes of the service alike. The limits per IP address
-- stand in the service (Flask-Limiter).

-- The times of the attempts themselves, not a counter of a window: any stretch of time is then counted exactly, and one
-- row serves all limits of the name. The largest limit bounds the array.
create table if not exists public.rate_limits (
  name text not null,
  subject_hash text not null,
  attempts timestamptz[] not null default '{}',
  expires_at timestamptz not null default now(),
  primary key (name, subject_hash)
);
comment on table public.rate_limits is 'Recent attempts per limit and subject; rows past expires_at count for nothing.';
comment on column public.rate_limits.subject_hash is 'Hex SHA-256, so that this table lists no addresses.';
create index if not exists rate_limits_expires_at_idx on public.rate_limits (expires_at);

call app.close_table('public.rate_limits');
grant select, insert, update, delete on public.rate_limits to service_role;

create or replace function app.take_rate_limit(p_name text, p_subject text, p_limits jsonb)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_hash text := encode(sha256(convert_to(lower(btrim(p_subject)), 'UTF8')), 'hex');
  v_attempts timestamptz[];
  v_now timestamptz;
  v_wait integer;
begin
  insert into public.rate_limits as r (name, subject_hash) values (p_name, v_hash)
  on conflict (name, subject_hash) do update set expires_at = r.expires_at  -- only to lock the row
  returning attempts into v_attempts;
  v_now := clock_timestamp();  -- now() is from before the wait for the lock

  -- Where `count` attempts lie within the last `seconds`, the oldest of them has to leave first.
  select max(ceil(extract(epoch from nth.at + make_interval(secs => l.seconds) - v_now)))::integer into v_wait
  from jsonb_to_recordset(p_limits) as l (count integer, seconds integer),
    lateral (select a.at from unnest(v_attempts) as a (at) order by a.at desc offset l.count - 1 limit 1) nth
  where nth.at > v_now - make_interval(secs => l.seconds);
  if v_wait is not null then
    raise sqlstate 'PT429' using message = 'Too many attempts. Please try again later.', hint = 'too_many_attempts',
      detail = jsonb_build_object('retry_after', greatest(v_wait, 1))::text;
  end if;

  update public.rate_limits r
  set expires_at = v_now + make_interval(secs => kept.seconds),
    attempts = array(
      select a.at from unnest(v_attempts) as a (at) where a.at > v_now - make_interval(secs => kept.seconds) order by a.at
    ) || v_now
  from (select max(l.seconds) as seconds from jsonb_to_recordset(p_limits) as l (seconds integer)) kept
  where r.name = p_name and r.subject_hash = v_hash and kept.seconds is not null;
end $$;
comment on function app.take_rate_limit is
  'Count one attempt of the subject against all p_limits, [{"count": 10, "seconds": 300}, …]; PT429 with retry_after when '
  'one of them is used up, and then the attempt counts for nothing.';

create or replace function app.is_within_rate_limit(p_name text, p_subject text, p_limits jsonb)
returns boolean language plpgsql volatile set search_path = '' as $$
begin
  perform app.take_rate_limit(p_name, p_subject, p_limits);
  return true;
exception when sqlstate 'PT429' then
  return false;
end $$;
comment on function app.is_within_rate_limit is 'The same for what is left out rather than refused: whether it may happen.';

create or replace function app.clear_rate_limit(p_name text, p_subject text)
returns void language sql volatile set search_path = '' as $$
  delete from public.rate_limits
  where name = p_name and subject_hash = encode(sha256(convert_to(lower(btrim(p_subject)), 'UTF8')), 'hex');
$$;
comment on function app.clear_rate_limit is 'Forget the attempts of the subject: it proved to be the right person.';
