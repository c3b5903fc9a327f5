-- Signing in and out, and the look at the session on every request.

create or replace function app.start_customer_session(p_customer_id uuid, p_session_seconds integer)
returns uuid language plpgsql volatile set search_path = '' as $$
declare
  v_session_id uuid;
begin
  delete from public.customer_sessions where id in (
    select id from public.customer_sessions where customer_id = p_customer_id order by created_at desc, id offset 19
  );
  insert into public.customer_sessions (customer_id, ip_address, user_agent, expires_at)
  values (
    p_customer_id, left(app.actor() ->> 'ip', 64), left(app.actor() ->> 'user_agent', 400),
    now() + make_interval(secs => p_session_seconds)
  )
  returning id into v_session_id;
  return v_session_id;
end $$;
comment on function app.start_customer_session is
  'A new session, as the 20th at most: the oldest go. The caller holds the lock on the customer.';

-- First half of a login, before the service compares the password. An address that nobody has is counted alike.
create or replace function public.begin_login(p_email text, p_limits jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
begin
  perform app.take_login('customer', p_email, p_limits);
  return (
    select jsonb_build_object('customer_id', max(c.id::text), 'password_hash', max(c.password_hash))
    from public.customers c
    where lower(c.email) = lower(p_email) and c.deleted_at is null
  );
end $$;
comment on function public.begin_login is
  'Count an attempt (PT429 when there were too many) and find the account: {customer_id, password_hash}, both null when '
  'nobody has the address.';

-- Second half. It returns its verdict and never raises, because the audit row of a failure must stay. p_password_hash is
-- the hash that was compared: when the password changed meanwhile, the comparison is worth nothing.
create or replace function public.finish_login(
  p_customer_id uuid,
  p_password_hash text,
  p_is_right boolean,
  p_new_hash text,
  p_session_seconds integer,
  p_replaced uuid default null
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_customer public.customers;
  v_verdict text;
begin
  select * into v_customer from public.customers where id = p_customer_id and deleted_at is null for no key update;
  v_verdict := case
    when p_is_right is not true or v_customer.password_hash is distinct from p_password_hash then 'invalid_credentials'
    when v_customer.status in ('suspended', 'inactive') then 'account_inactive'
    when v_customer.status = 'pending' then 'email_not_verified'
    else 'logged_in'
  end;
  if v_verdict <> 'logged_in' then
    perform app.record_customer_event(
      p_customer_id, 'login_failed', p_details => jsonb_build_object('reason', v_verdict)
    );
    return jsonb_build_object('verdict', v_verdict);
  end if;
  update public.customers set password_hash = p_new_hash where id = p_customer_id and p_new_hash is not null;
  perform app.clear_logins('customer', v_customer.email);
  delete from public.customer_sessions where id = p_replaced and customer_id = p_customer_id;
  perform app.record_customer_event(p_customer_id, 'logged_in');
  return jsonb_build_object(
    'verdict', v_verdict,
    'session_id', app.start_customer_session(p_customer_id, p_session_seconds),
    'customer', app.customer_json(p_customer_id)
  );
end $$;
comment on function public.finish_login is
  '{verdict: invalid_credentials | account_inactive | email_not_verified} or {verdict: logged_in, session_id, customer}. '
  'p_new_hash replaces a hash of too low a cost, the new session the customer''s p_replaced.';

create or replace function public.authenticate_customer(
  p_customer_id uuid,
  p_session_id uuid,
  p_with_password boolean default false,
  p_limits jsonb default null
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_password_hash text;
begin
  select c.password_hash into v_password_hash
  from public.customer_sessions s
  join public.customers c on c.id = s.customer_id
  where s.id = p_session_id and s.customer_id = p_customer_id and s.expires_at > now()
    and c.deleted_at is null and c.status in ('pending', 'active');
  if not found then
    return null;
  end if;
  update public.customer_sessions set last_seen_at = now()
  where id = p_session_id and last_seen_at < now() - interval '1 minute';
  if p_with_password then
    perform app.take_rate_limit('password_account', p_customer_id::text, coalesce(p_limits, '[]'));
    return app.customer_json(p_customer_id)
      || jsonb_build_object('session_id', p_session_id, 'password_hash', v_password_hash);
  end if;
  return app.customer_json(p_customer_id) || jsonb_build_object('session_id', p_session_id);
end $$;
comment on function public.authenticate_customer is
  'The customer of a live session + session_id, null when it is not live. With the password hash, to which p_limits apply, '
  'where the password is asked for once more.';

create or replace function public.end_session(p_customer_id uuid, p_session_id uuid)
returns void language plpgsql volatile set search_path = '' as $$
begin
  delete from public.customer_sessions where id = p_session_id and customer_id = p_customer_id;
  if not found then
    raise sqlstate 'PT404' using message = 'Session not found', hint = 'session_not_found';
  end if;
  perform app.record_customer_event(
    p_customer_id, 'session_ended', p_details => jsonb_build_object('session_id', p_session_id)
  );
end $$;
comment on function public.end_session is 'End one session; PT404 when the customer has no such.';

create or replace function public.end_sessions(p_customer_id uuid, p_keep uuid)
returns integer language plpgsql volatile set search_path = '' as $$
declare
  v_ended integer;
begin
  delete from public.customer_sessions where customer_id = p_customer_id and id is distinct from p_keep;
  get diagnostics v_ended = row_count;
  perform app.record_customer_event(
    p_customer_id, 'sessions_ended', p_details => jsonb_build_object('count', v_ended)
  );
  return v_ended;
end $$;
comment on function public.end_sessions is 'End all sessions of the customer but p_keep (null: all); how many.';
