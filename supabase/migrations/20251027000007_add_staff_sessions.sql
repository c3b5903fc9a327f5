-- Purpose: staff signs in, is recognised by its session, signs out and changes the own password.
-- Tables: staff_sessions, staff_credentials. Functions: begin_staff_login, start_staff_session, authenticate_staff,
--   end_staff_session, change_staff_password.
-- SECURITY DEFINER functions: none.
-- Roll back: supabase/rollbacks/20251027000007_add_staff_sessions.sql

-- The first half of a login: the guess is counted here, compared in Python (bcrypt takes long and holds no row), and
-- start_staff_session() is the other half.
create or replace function public.begin_staff_login(p_email text, p_limits jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform public.take_rate_limit('staff_login', p_email, p_limits);
  return (
    select jsonb_build_object('id', a.id, 'password_hash', c.password_hash)
    from public.admin_users a
    join public.staff_credentials c on c.staff_id = a.id
    where lower(a.email) = lower(btrim(p_email)) and a.status = 'Active'
  );
end $$;
comment on function public.begin_staff_login is
  'Count a guess at the password of this address; {id, password_hash} of its active account, else null. PT429.';
revoke all on function public.begin_staff_login from public, anon, authenticated;
grant execute on function public.begin_staff_login to service_role;

create or replace function public.start_staff_session(
  p_staff_id integer, p_checked_hash text, p_ttl_seconds integer, p_request jsonb, p_new_hash text default null
) returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_staff record;
  v_session_id uuid;
begin
  update public.admin_users a set last_login = now()
  from public.staff_credentials c
  where a.id = p_staff_id and c.staff_id = a.id and a.status = 'Active' and c.password_hash = p_checked_hash
  returning a.id, a.email, a.name, a.role into v_staff;
  if not found then
    return null;  -- the password or the status changed while the guess was compared
  end if;
  if p_new_hash is not null then
    update public.staff_credentials set password_hash = p_new_hash where staff_id = p_staff_id;
  end if;
  delete from public.staff_sessions where staff_id = p_staff_id and expires_at <= now();
  insert into public.staff_sessions (staff_id, ip_address, user_agent, expires_at)
  values (
    p_staff_id, left(p_request ->> 'ip', 64), left(p_request ->> 'user_agent', 400),
    now() + make_interval(secs => p_ttl_seconds)
  )
  returning id into v_session_id;
  perform public.clear_rate_limit('staff_login', v_staff.email);
  perform public.record_staff_event(
    p_staff_id, 'logged_in', coalesce(p_request, '{}') || jsonb_build_object('email', v_staff.email)
  );
  return to_jsonb(v_staff) || jsonb_build_object('session_id', v_session_id);
end $$;
comment on function public.start_staff_session is
  'Sign in the account whose password was compared with p_checked_hash: {id, email, name, role, session_id}, or null. '
  'p_new_hash replaces the hash by one of the current cost.';
revoke all on function public.start_staff_session from public, anon, authenticated;
grant execute on function public.start_staff_session to service_role;

create or replace function public.authenticate_staff(p_staff_id integer, p_session_id uuid)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_staff jsonb;
  v_seen_at timestamptz;
begin
  select jsonb_build_object('id', a.id, 'email', a.email, 'name', a.name, 'role', a.role, 'session_id', s.id),
    s.last_seen_at
  into v_staff, v_seen_at
  from public.staff_sessions s
  join public.admin_users a on a.id = s.staff_id
  where s.id = p_session_id and s.staff_id = p_staff_id and s.expires_at > now() and a.status = 'Active';
  if v_seen_at < now() - interval '1 minute' then
    update public.staff_sessions set last_seen_at = now() where id = p_session_id;
  end if;
  return v_staff;
end $$;
comment on function public.authenticate_staff is
  'Whose session this is: {id, email, name, role, session_id}; null when it ended or the account is not Active.';
revoke all on function public.authenticate_staff from public, anon, authenticated;
grant execute on function public.authenticate_staff to service_role;

create or replace function public.end_staff_session(p_session_id uuid, p_actor jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_staff_id integer;
begin
  delete from public.staff_sessions where id = p_session_id returning staff_id into v_staff_id;
  if found then
    perform public.record_staff_event(v_staff_id, 'logged_out', p_actor);
  end if;
end $$;
comment on function public.end_staff_session is 'End this session.';
revoke all on function public.end_staff_session from public, anon, authenticated;
grant execute on function public.end_staff_session to service_role;

create or replace function public.change_staff_password(
  p_staff_id integer, p_session_id uuid, p_checked_hash text, p_new_hash text, p_actor jsonb
) returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update public.staff_credentials set password_hash = p_new_hash, changed_at = now()
  where staff_id = p_staff_id and password_hash = p_checked_hash;
  if not found then
    return false;
  end if;
  delete from public.staff_sessions where staff_id = p_staff_id and id <> p_session_id;
  perform public.record_staff_event(p_staff_id, 'password_changed', p_actor);
  perform public.queue_email('password-changed', a.email, jsonb_build_object('name', a.name, 'occurred_at', now()))
  from public.admin_users a where a.id = p_staff_id;
  return true;
end $$;
comment on function public.change_staff_password is
  'Replace the hash that the current password was compared with; the other sessions end, a notice is mailed. False when '
  'the hash is another by now.';
revoke all on function public.change_staff_password from public, anon, authenticated;
grant execute on function public.change_staff_password to service_role;

notify pgrst, 'reload schema';
