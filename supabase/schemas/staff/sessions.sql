-- Staff signs in, is recognised by its session, signs out and changes the own password.

-- First half of a login, before the service compares the password. An address that nobody has is counted alike.
create or replace function public.begin_staff_login(p_email text, p_limits jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
begin
  perform app.take_login('staff', p_email, p_limits);
  return (
    select jsonb_build_object(
      'staff_id', max(a.id), 'password_hash', max(c.password_hash) filter (where a.status = 'Active')
    )
    from public.admin_users a
    left join public.staff_credentials c on c.staff_id = a.id
    where lower(a.email) = lower(p_email)
  );
end $$;
comment on function public.begin_staff_login is
  'Count an attempt (PT429 when there were too many) and find the account: {staff_id, password_hash}, both null when nobody '
  'has the address, the hash alone where the account is not Active or has no password.';

-- Second half. It returns its verdict and never raises, because the audit row of a failure must stay. p_password_hash is
-- the hash that was compared: when the password changed meanwhile, the comparison is worth nothing.
create or replace function public.finish_staff_login(
  p_staff_id integer, p_password_hash text, p_is_right boolean, p_new_hash text, p_session_seconds integer,
  p_replaced uuid default null
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_staff public.admin_users;
  v_session_id uuid;
begin
  update public.admin_users a set last_login = now()
  from public.staff_credentials c
  where a.id = p_staff_id and c.staff_id = a.id and a.status = 'Active' and c.password_hash = p_password_hash and p_is_right
  returning a.* into v_staff;
  if not found then
    perform app.act_as('visitor');
    perform app.record_staff_event(p_staff_id, 'login_failed', jsonb_build_object('reason', case
      when exists (select from public.admin_users where id = p_staff_id and status <> 'Active') then 'account_inactive'
      when p_staff_id is not null and p_password_hash is null then 'no_password'
      else 'invalid_credentials'
    end));
    return jsonb_build_object('verdict', 'invalid_credentials');
  end if;
  update public.staff_credentials set password_hash = p_new_hash where staff_id = p_staff_id and p_new_hash is not null;
  delete from public.staff_sessions where id = p_replaced and staff_id = p_staff_id;
  delete from public.staff_sessions where id in (
    select id from public.staff_sessions where staff_id = p_staff_id order by created_at desc, id offset 19
  );
  insert into public.staff_sessions (staff_id, ip_address, user_agent, expires_at)
  values (
    p_staff_id, left(app.actor() ->> 'ip', 64), left(app.actor() ->> 'user_agent', 400),
    now() + make_interval(secs => p_session_seconds)
  )
  returning id into v_session_id;
  perform app.clear_logins('staff', v_staff.email);
  perform app.act_as(v_staff.email);
  perform app.record_staff_event(p_staff_id, 'logged_in');
  return jsonb_build_object('verdict', 'logged_in', 'session_id', v_session_id, 'staff', app.staff_json(v_staff));
end $$;
comment on function public.finish_staff_login is
  '{verdict: invalid_credentials} or {verdict: logged_in, session_id, staff}: a new session, as the 20th at most, the oldest '
  'go. p_new_hash replaces a hash of too low a cost, the new session their p_replaced.';

create or replace function public.authenticate_staff(p_staff_id integer, p_session_id uuid)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_staff jsonb;
  v_seen_at timestamptz;
begin
  select jsonb_build_object(
      'id', a.id, 'email', a.email, 'name', a.name, 'role', a.role, 'session_id', s.id,
      'permissions', array(select p.permission from app.role_permissions p where p.role = a.role)
    ), s.last_seen_at
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
  'Whose session this is: {id, email, name, role, session_id, permissions}; null when it ended or the account is not Active.';

create or replace function public.end_staff_session(p_session_id uuid, p_staff_id integer default null)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_staff_id integer;
begin
  delete from public.staff_sessions
  where id = p_session_id and staff_id = coalesce(p_staff_id, staff_id)
  returning staff_id into v_staff_id;
  if not found then
    raise sqlstate 'PT404' using message = 'Session not found', hint = 'session_not_found';
  end if;
  perform app.record_staff_event(v_staff_id, 'session_ended', jsonb_build_object('session_id', p_session_id));
end $$;
comment on function public.end_staff_session is
  'End one session of p_staff_id, or of whomever where that is null; PT404 when there is no such.';

create or replace function public.note_wrong_staff_password(p_staff_id integer)
returns void language plpgsql volatile set search_path = '' as $$
begin
  perform app.record_staff_event(p_staff_id, 'wrong_password');
end $$;
comment on function public.note_wrong_staff_password is
  'Leave an audit row: a signed-in member of staff did not know the password.';

create or replace function public.change_staff_password(
  p_staff_id integer, p_session_id uuid, p_old_hash text, p_new_hash text
) returns void language plpgsql volatile set search_path = '' as $$
begin
  update public.staff_credentials set password_hash = p_new_hash, changed_at = now()
  where staff_id = p_staff_id and password_hash = p_old_hash;
  if not found then
    raise sqlstate 'PT401' using message = 'Current password is incorrect', hint = 'invalid_password';
  end if;
  delete from public.staff_sessions where staff_id = p_staff_id and id <> p_session_id;
  perform
    app.clear_logins('staff', a.email),
    app.queue_email('password-changed', a.email, jsonb_build_object('name', a.name, 'occurred_at', now()))
  from public.admin_users a where a.id = p_staff_id;
  perform app.record_staff_event(p_staff_id, 'password_changed');
end $$;
comment on function public.change_staff_password is
  'Set a new hash, keep this session and end the others, queue the notice. PT401 when p_old_hash is not the current one.';
