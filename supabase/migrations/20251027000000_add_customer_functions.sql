-- Put together by `make migration` from these files of supabase/schemas, where the text is edited:
--   customers/events.sql core/logins.sql customers/sessions.sql customers/registration.sql customers/recovery.sql
--   customers/records.sql
-- Roll back: supabase/rollbacks/20251027000000_add_customer_functions.sql

-- What happened to customer accounts, and how an account reads from outside.

-- Written in the transaction of what it tells about. A failed sign-in to an address that nobody has leaves a row too:
-- it is worth knowing, and the answer takes as long as for one that somebody has.
create table if not exists public.customer_events (
  id bigint generated always as identity primary key,
  customer_id uuid references public.customers (id) on delete restrict,
  name text not null constraint customer_events_name_check check (name ~ '^[a-z_]{3,40}$'),
  actor text not null,
  ip_address text,
  user_agent text,
  request_id text,
  details jsonb not null default '{}',
  created_at timestamptz not null default now()
);
comment on table public.customer_events is 'Audit log of customer accounts: append-only, never a secret; kept as core/retention.sql says.';
comment on column public.customer_events.customer_id is 'Null: an attempt on an address that no account has.';
comment on column public.customer_events.name is
  'registered, logged_in, login_failed, verified, password_reset, deleted, …';
comment on column public.customer_events.actor is 'customer, worker, or the e-mail address or name of the staff.';
create index if not exists customer_events_customer_id_idx on public.customer_events (customer_id, created_at);
create index if not exists customer_events_nobodys_idx on public.customer_events (id) where customer_id is null;
create index if not exists customer_events_created_at_idx on public.customer_events using brin (created_at);
create or replace trigger tg_customer_events__append_only before update or delete or truncate on public.customer_events
  for each statement execute function app.tg_append_only();

call app.close_table('public.customer_events');
create policy customer_events_insert_customer on public.customer_events for insert to customer
  with check (customer_id = (select auth.uid()) and actor = 'customer');
grant select, insert on public.customer_events to service_role;
grant insert (customer_id, name, actor, ip_address, user_agent, request_id, details) on public.customer_events to customer;

create or replace function app.record_customer_event(p_customer_id uuid, p_name text, p_details jsonb default '{}')
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_actor jsonb := app.actor();
begin
  insert into public.customer_events (customer_id, name, actor, ip_address, user_agent, request_id, details)
  values (
    p_customer_id, p_name, v_actor ->> 'name', left(v_actor ->> 'ip', 64), left(v_actor ->> 'user_agent', 400),
    left(v_actor ->> 'request_id', 128), p_details
  );
end $$;
comment on function app.record_customer_event is 'Write one audit row within the caller''s transaction.';
grant execute on function app.record_customer_event to customer;

create or replace function public.note_wrong_password(p_customer_id uuid)
returns void language plpgsql volatile set search_path = '' as $$
begin
  perform app.record_customer_event(p_customer_id, 'wrong_password');
end $$;
comment on function public.note_wrong_password is 'Leave an audit row: a signed-in person did not know the password.';

-- Takes the columns, not the row: role customer may not read a whole row.
create or replace function app.customer_json(p_customer_id uuid)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', c.id, 'email', c.email, 'name', c.name, 'phone', c.phone, 'avatar', c.avatar, 'address', c.address,
    'verified_at', c.verified_at, 'status', c.status, 'loyalty_points', c.loyalty_points,
    'total_bookings', c.total_bookings, 'total_spent', c.total_spent, 'created_at', c.created_at
  )
  from public.customers c
  where c.id = p_customer_id;
$$;
comment on function app.customer_json is 'A customer as the API answers it.';
grant execute on function app.customer_json to customer;

-- How often a password may be guessed: one rule, for customers and for staff.

-- Each account has one allowance for the world, and one for each address (IP) from which it logged in or set its password
-- within 30 days: so guesses from everywhere end, and whoever makes them does not lock out whom they guess at. A new
-- password counts, as by its link somebody who is locked out gets in from a place where they never were.
create or replace function app.login_subject(p_kind text, p_email text)
returns text language sql stable set search_path = '' as $$
  select p_email || case when exists (
    select 1 from public.customers c
    join public.customer_events e on e.customer_id = c.id
    where p_kind = 'customer' and lower(c.email) = lower(p_email) and c.deleted_at is null
      and e.name in ('logged_in', 'password_reset', 'password_changed')
      and e.ip_address = app.actor() ->> 'ip' and e.created_at > now() - interval '30 days'
    union all
    select 1 from public.admin_users a
    join public.staff_events e on e.staff_id = a.id
    where p_kind = 'staff' and lower(a.email) = lower(p_email)
      and e.name in ('logged_in', 'password_changed')
      and e.ip_address = app.actor() ->> 'ip' and e.created_at > now() - interval '30 days'
  ) then ' from ' || (app.actor() ->> 'ip') else '' end;
$$;
comment on function app.login_subject is 'Whose attempts a login of that kind of account (customer, staff) counts among.';

create or replace function app.take_login(p_kind text, p_email text, p_limits jsonb)
returns void language sql volatile set search_path = '' as $$
  select app.take_rate_limit(p_kind || '_login', app.login_subject(p_kind, p_email), p_limits);
$$;
comment on function app.take_login is 'Count an attempt to log in to an account, known or not; PT429 when there were too many.';

create or replace function app.clear_logins(p_kind text, p_email text)
returns void language sql volatile set search_path = '' as $$
  select app.clear_rate_limit(p_kind || '_login', app.login_subject(p_kind, p_email));
$$;
comment on function app.clear_logins is 'Forget the attempts that this one counts among: it proved to be the right person.';

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

-- Making an account and proving its address.

create or replace function public.register_customer(
  p_email text,
  p_password_hash text,
  p_name text,
  p_phone text,
  p_session_seconds integer
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_id uuid;
begin
  insert into public.customers (email, password_hash, name, phone)
  values (p_email, p_password_hash, p_name, p_phone)
  on conflict (lower(email)) where deleted_at is null do nothing
  returning id into v_id;
  if v_id is null then
    raise sqlstate 'PT409' using message = 'Email already registered', hint = 'email_taken';
  end if;
  insert into public.customer_preferences (customer_id) values (v_id);
  perform app.queue_email('email-verification', p_email, '{}', p_customer_id => v_id);
  perform app.record_customer_event(v_id, 'registered');
  return jsonb_build_object(
    'customer_id', v_id, 'session_id', app.start_customer_session(v_id, p_session_seconds)
  );
end $$;
comment on function public.register_customer is
  'A new account with its verification mail, audit row and first session: {customer_id, session_id}. PT409 email_taken.';

-- A mail to nobody is written like one to somebody and taken back before anybody can see it. It counts for no address that
-- there is, as none gets it.
create or replace function app.queue_requested_mail(p_template text, p_email text, p_customer public.customers)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_email_id uuid := app.queue_email(
    p_template, coalesce(p_customer.email, overlay(p_email placing '*' from 1 for 1)), jsonb_build_object('name', p_customer.name),
    p_customer_id => p_customer.id
  );
begin
  if p_customer.id is null then
    delete from public.email_outbox where id = v_email_id;
  end if;
end $$;
comment on function app.queue_requested_mail is
  'Queue a mail that somebody asked for by an address, where a customer has it; the work is the same where nobody has.';

-- Says nothing about whether the address is known, by its time neither: the limit counts for any.
create or replace function public.request_verification_mail(p_email text, p_limits jsonb)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_customer public.customers;
begin
  perform app.take_rate_limit('verification_mail', p_email, p_limits);
  select * into v_customer from public.customers
  where lower(email) = lower(p_email) and deleted_at is null and verified_at is null and status = 'pending';
  perform app.queue_requested_mail('email-verification', p_email, v_customer);
  perform app.record_customer_event(v_customer.id, 'verification_resent');
end $$;
comment on function public.request_verification_mail is
  'Queue another verification mail where the address waits for one. PT429.';

-- Called by the worker right before it sends, so that no link is ever at rest. A mail that is tried twice carries two
-- links, and both work until one is used, as nobody knows which of them arrived.
create or replace function public.issue_email_token(p_email_id uuid, p_token_hash text, p_ttl_seconds integer)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_email public.email_outbox;
  v_customer public.customers;
  v_expires_at timestamptz := now() + make_interval(secs => p_ttl_seconds);
begin
  select * into v_email from public.email_outbox where id = p_email_id;
  select * into v_customer from public.customers
  where id = v_email.customer_id and deleted_at is null for no key update;
  if v_customer.id is null or exists (
    select from public.email_outbox newer
    where newer.customer_id = v_customer.id and newer.template = v_email.template
      and newer.created_at > v_email.created_at and newer.state <> 'dead'
  ) then
    return null;
  end if;
  if v_email.template = 'email-verification' and v_customer.verified_at is null then
    update public.email_verification_tokens set superseded_at = now()
    where customer_id = v_customer.id and email_id <> p_email_id and superseded_at is null and used_at is null;
    insert into public.email_verification_tokens (customer_id, email_id, token_hash, expires_at)
    values (v_customer.id, p_email_id, p_token_hash, v_expires_at);
  elsif v_email.template = 'password-reset' and v_email.created_at >= v_customer.password_changed_at then
    update public.password_reset_tokens set superseded_at = now()
    where customer_id = v_customer.id and email_id <> p_email_id and superseded_at is null and used_at is null;
    insert into public.password_reset_tokens (customer_id, email_id, token_hash, expires_at)
    values (v_customer.id, p_email_id, p_token_hash, v_expires_at);
  else
    return null;
  end if;
  return jsonb_build_object('customer_id', v_customer.id);
end $$;
comment on function public.issue_email_token is
  'Store the hash of a link that is about to be mailed; older mails'' links of the kind end. {customer_id}, or null when the '
  'mail has lost its purpose: verified, deleted, password changed, a newer mail is there.';

create or replace function app.check_link(
  p_expires_at timestamptz, p_used_at timestamptz, p_superseded_at timestamptz
) returns void language plpgsql stable set search_path = '' as $$
begin
  if p_expires_at is null or p_used_at is not null then
    raise sqlstate 'PT400' using message = 'This link is not valid.', hint = 'token_invalid';
  elsif p_superseded_at is not null then
    raise sqlstate 'PT400' using message = 'A newer link was sent to you. Please use that one.', hint = 'token_superseded';
  elsif p_expires_at <= now() then
    raise sqlstate 'PT400' using message = 'This link has expired. Please ask for a new one.', hint = 'token_expired';
  end if;
end $$;
comment on function app.check_link is 'PT400 unless the link of a mail may be used; p_expires_at is null for none.';

-- The address is proven. Whether also its owner is: then what was booked as guest with it becomes theirs, never earlier.
create or replace function app.mark_customer_verified(p_customer_id uuid, p_is_owner boolean)
returns void language plpgsql volatile set search_path = '' as $$
begin
  update public.customers
  set verified_at = now(), status = case when status = 'pending' then 'active' else status end
  where id = p_customer_id and verified_at is null;
  perform app.prove_owner(id) from public.customers
  where id = p_customer_id and (p_is_owner or owner_proven_at is not null);
end $$;
comment on function app.mark_customer_verified is
  'Note that the address is proven; with p_is_owner, or after a password by a mailed link, its owner is as well.';

-- An account that waits for its link has no other session than that of the browser which registered. Who comes with it has
-- chosen the password; who comes without may have got the link for an account that somebody else made.
create or replace function public.verify_email(p_customer_id uuid, p_token_hash text, p_session_id uuid default null)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_verified_at timestamptz;
  v_token public.email_verification_tokens;
  v_is_registrant boolean := exists (
    select from public.customer_sessions
    where id = p_session_id and customer_id = p_customer_id and expires_at > now()
  );
begin
  perform app.lock_address((select email from public.customers where id = p_customer_id));
  select verified_at into v_verified_at from public.customers
  where id = p_customer_id and deleted_at is null for no key update;
  select * into v_token from public.email_verification_tokens
  where token_hash = p_token_hash and customer_id = p_customer_id;
  if v_verified_at is not null and v_token.used_at is not null then
    return jsonb_build_object('is_first', false);
  end if;
  perform app.check_link(v_token.expires_at, v_token.used_at, v_token.superseded_at);
  update public.email_verification_tokens set used_at = now()
  where customer_id = p_customer_id and used_at is null and superseded_at is null;
  perform app.mark_customer_verified(p_customer_id, v_is_registrant);
  delete from public.customer_sessions where customer_id = p_customer_id and id is distinct from p_session_id;
  perform app.record_customer_event(
    p_customer_id, 'verified', p_details => jsonb_build_object('by_registrant', v_is_registrant)
  );
  return jsonb_build_object('is_first', true, 'customer', app.customer_json(p_customer_id));
end $$;
comment on function public.verify_email is
  'Spend a verification link: {is_first: true, customer}; {is_first: false} for the link that verified already. All sessions '
  'end but p_session_id; where that is the one that registered, earlier guest bookings are handed over. PT400.';

create or replace function public.verify_customer_by_hand(p_email text)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_id uuid;
begin
  perform app.lock_address(p_email);
  select id into v_id from public.customers
  where lower(email) = lower(p_email) and deleted_at is null for no key update;
  if v_id is null then
    raise sqlstate 'PT404' using message = 'Customer not found', hint = 'customer_not_found';
  end if;
  perform app.mark_customer_verified(v_id, true);
  perform app.record_customer_event(v_id, 'verified');
  return app.customer_json(v_id);
end $$;
comment on function public.verify_customer_by_hand is
  'Staff mark an address as proven, where no mail can be sent. PT404.';

-- Passwords that are forgotten or changed, accounts that are closed by staff or deleted by their owner.

-- Says nothing about whether the address is known, like request_verification_mail.
create or replace function public.request_password_reset(p_email text, p_limits jsonb)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_customer public.customers;
begin
  perform app.take_rate_limit('reset_mail', p_email, p_limits);
  select * into v_customer from public.customers where lower(email) = lower(p_email) and deleted_at is null;
  perform app.queue_requested_mail('password-reset', p_email, v_customer);
  perform app.record_customer_event(v_customer.id, 'password_reset_requested');
end $$;
comment on function public.request_password_reset is
  'Queue a mail with a link to set a new password, for an account''s address. PT429.';

-- What a new password brings about, whichever way it came: all links die, the owner is told.
create or replace function app.set_customer_password(p_customer_id uuid, p_password_hash text)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_customer public.customers;
begin
  update public.customers set password_hash = p_password_hash, password_changed_at = now()
  where id = p_customer_id
  returning * into v_customer;
  update public.password_reset_tokens set used_at = now() where customer_id = p_customer_id and used_at is null;
  perform app.clear_logins('customer', v_customer.email);
  perform app.queue_email(
    'password-changed', v_customer.email, jsonb_build_object('name', v_customer.name, 'occurred_at', now()),
    p_customer_id => p_customer_id
  );
end $$;
comment on function app.set_customer_password is
  'Store a new hash, end all reset links, queue the notice. Callers end sessions.';

create or replace function public.reset_password(
  p_customer_id uuid, p_token_hash text, p_password_hash text
) returns void language plpgsql volatile set search_path = '' as $$
declare
  v_token public.password_reset_tokens;
begin
  perform app.lock_address((select email from public.customers where id = p_customer_id));
  perform from public.customers where id = p_customer_id and deleted_at is null for no key update;
  select * into v_token from public.password_reset_tokens
  where token_hash = p_token_hash and customer_id = p_customer_id;
  perform app.check_link(v_token.expires_at, v_token.used_at, v_token.superseded_at);
  perform app.set_customer_password(p_customer_id, p_password_hash);
  delete from public.customer_sessions where customer_id = p_customer_id;
  perform app.prove_owner(p_customer_id);
  perform app.record_customer_event(p_customer_id, 'password_reset');
end $$;
comment on function public.reset_password is
  'Spend a reset link: the new hash is set, all sessions and links end, the notice is queued; who reads the mail has the '
  'password now, so that earlier guest bookings are theirs. PT400.';

-- p_old_hash is the one that the service compared: of two changes at once one finds that it is no longer the current. It hands
-- no earlier bookings over: whoever registered with somebody's address knows the old password.
create or replace function public.change_password(
  p_customer_id uuid, p_session_id uuid, p_old_hash text, p_new_hash text
) returns void language plpgsql volatile set search_path = '' as $$
begin
  perform from public.customers
  where id = p_customer_id and deleted_at is null and password_hash = p_old_hash for no key update;
  if not found then
    raise sqlstate 'PT401' using message = 'Current password is incorrect', hint = 'invalid_password';
  end if;
  perform app.set_customer_password(p_customer_id, p_new_hash);
  delete from public.customer_sessions where customer_id = p_customer_id and id <> p_session_id;
  perform app.record_customer_event(p_customer_id, 'password_changed');
end $$;
comment on function public.change_password is
  'Set a new hash, keep this session and end the others, queue the notice. PT401 when p_old_hash is not the current one.';

create or replace function public.set_customer_status(p_email text, p_is_suspended boolean)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_id uuid;
begin
  update public.customers
  set status = case when p_is_suspended then 'suspended' when verified_at is null then 'pending' else 'active' end
  where lower(email) = lower(p_email) and deleted_at is null
  returning id into v_id;
  if v_id is null then
    raise sqlstate 'PT404' using message = 'Customer not found', hint = 'customer_not_found';
  end if;
  if p_is_suspended then
    delete from public.customer_sessions where customer_id = v_id;
  end if;
  perform app.record_customer_event(v_id, case when p_is_suspended then 'suspended' else 'reactivated' end);
  return app.customer_json(v_id);
end $$;
comment on function public.set_customer_status is
  'Staff suspend an account, which ends its sessions, or open it again. PT404.';

-- The person goes, the money stays. What an unproven address merely claims to be its own is left alone. Bookings are
-- locked first because payments lock a booking before its customer.
create or replace function public.delete_customer(p_customer_id uuid, p_password_hash text)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_proven text;
  v_bookings text[];
begin
  perform app.lock_address((select email from public.customers where id = p_customer_id));
  v_proven := app.proven_address(p_customer_id);
  v_bookings := array(
    select id::text from public.bookings
    where customer_id = p_customer_id or (customer_id is null and lower(email) = v_proven) for update
  );
  update public.customers
  set email = null, password_hash = null, name = null, phone = null, avatar = null, address = null,
    status = 'inactive', deleted_at = now()
  where id = p_customer_id and deleted_at is null and password_hash = p_password_hash;
  if not found then
    raise sqlstate 'PT401' using message = 'Invalid password', hint = 'invalid_password';
  end if;
  update public.bookings
  set name = 'Deleted customer', email = 'deleted@example.invalid', phone = '', message = '', special_requests = '',
    notes = ''
  where id::text = any (v_bookings);
  update public.transactions set metadata = metadata - 'contact'
  where metadata ? 'contact' and (customer_id = p_customer_id or lower(metadata #>> '{contact,email}') = v_proven);
  update public.ticket_messages m set name = 'Deleted customer'
  from public.support_tickets t
  where t.id = m.ticket_id and m.from_type = 'customer' and lower(t.email) = v_proven;
  update public.email_history
  set recipient_email = 'deleted@example.invalid', recipient_name = 'Deleted customer', subject = '', body = ''
  where lower(recipient_email) = v_proven or related_to = 'booking' and related_id::text = any (v_bookings);
  update public.support_tickets set customer = 'Deleted customer', email = 'deleted@example.invalid'
  where lower(email) = v_proven;
  delete from public.email_outbox
  where customer_id = p_customer_id or lower(recipient) = v_proven or booking_id::text = any (v_bookings);
  delete from public.customer_sessions where customer_id = p_customer_id;
  delete from public.email_verification_tokens where customer_id = p_customer_id;
  delete from public.password_reset_tokens where customer_id = p_customer_id;
  delete from public.customer_addresses where customer_id = p_customer_id;
  delete from public.customer_preferences where customer_id = p_customer_id;
  perform app.record_customer_event(p_customer_id, 'deleted');
end $$;
comment on function public.delete_customer is
  'Erase the person from the account, its bookings, tickets and mails; payments and audit rows stay, the address is free again. '
  'PT401 when p_password_hash, which the service compared, is not the current one.';

-- An older link does it as well, and one past its time: whoever got the mail may say so for as long as nobody confirmed.
create or replace function public.disown_account(p_customer_id uuid, p_token_hash text)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_customer public.customers;
begin
  perform app.lock_address((select email from public.customers where id = p_customer_id));
  select c.* into v_customer from public.customers c
  join public.email_verification_tokens t on t.customer_id = c.id
  where c.id = p_customer_id and t.token_hash = p_token_hash;
  if v_customer.id is null then
    raise sqlstate 'PT400' using message = 'This link is not valid.', hint = 'token_invalid';
  elsif v_customer.verified_at is not null then
    raise sqlstate 'PT409' using hint = 'already_verified',
      message = 'This address is confirmed already. Ask for a new password, which keeps everybody else out.';
  end if;
  perform app.record_customer_event(p_customer_id, 'disowned');
  perform public.delete_customer(p_customer_id, v_customer.password_hash);
end $$;
comment on function public.disown_account is
  'Who got a verification mail never registered: the account goes, while it is unproven. PT400, PT409 already_verified.';

-- What customers keep with us: profile, address book, preferences; and all of it in one document. The writers run as role
-- customer, so row-level security holds behind their own conditions.

create or replace function public.update_profile(p_customer_id uuid, p_changes jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_customer record;
begin
  perform app.lock_customer(p_customer_id);
  select name, phone, avatar, address into v_customer from public.customers where id = p_customer_id;
  v_customer := jsonb_populate_record(v_customer, p_changes);
  update public.customers
  set (name, phone, avatar, address) = (v_customer.name, v_customer.phone, v_customer.avatar, v_customer.address)
  where id = p_customer_id;
  perform app.record_customer_event(
    p_customer_id, 'profile_updated',
    p_details => jsonb_build_object('fields', (select jsonb_agg(field) from jsonb_object_keys(p_changes) as field))
  );
  return app.customer_json(p_customer_id);
end $$;
comment on function public.update_profile is
  'Set those of name, phone, avatar and address that p_changes has; the customer.';

-- The newest journey first; those without a date come last. A page past the end is empty.
create or replace function public.list_customer_bookings(p_customer_id uuid, p_page integer, p_limit integer)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'total', (select count(*) from public.bookings where customer_id = p_customer_id),
    'bookings', coalesce((
      select jsonb_agg(to_jsonb(s) - 'customer_id' order by s.travel_date desc nulls last, s.created_at desc, s.id)
      from (
        select * from public.booking_summaries
        where customer_id = p_customer_id
        order by travel_date desc nulls last, created_at desc, id
        limit p_limit offset (p_page - 1)::bigint * p_limit
      ) s
    ), '[]')
  );
$$;
comment on function public.list_customer_bookings is
  'One page of a customer''s bookings, as the site reads them: {total, bookings}.';

-- One that waits for its owner to be proven is known by what only who booked it was told. It alone is handed over, as
-- anybody can book with anybody's address and then knows that booking. Null is the verdict for a wrong one, so that the
-- attempt counts.
create or replace function public.claim_booking(
  p_customer_id uuid, p_booking_id text, p_travel_date date, p_limits jsonb
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_id public.booking_key;
begin
  perform app.take_rate_limit('booking_claim', p_customer_id::text, p_limits);
  select b.id into v_id
  from public.bookings b
  join public.customers c on lower(c.email) = lower(b.email)
  where b.id = app.to_booking_key(p_booking_id) and b.travel_date = p_travel_date and c.id = p_customer_id
    and c.verified_at is not null and coalesce(b.customer_id, c.id) = c.id
  for update of b;
  perform app.lock_customer(p_customer_id);
  perform app.record_customer_event(p_customer_id, case when v_id is not null then 'booking_claimed' else 'claim_refused' end);
  update public.bookings set customer_id = p_customer_id where id = v_id and customer_id is null;
  return (select to_jsonb(s) - 'customer_id' from public.booking_summaries s where s.id = v_id);
end $$;
comment on function public.claim_booking is
  'A booking made as guest with the customer''s verified address, handed over to who knows its id and its travel date; null '
  'where there is none such. PT429, PT401.';

create or replace function app.address_json(p_address public.customer_addresses)
returns jsonb language sql immutable set search_path = '' as $$
  select to_jsonb(p_address) - 'customer_id';
$$;
comment on function app.address_json is 'An address as the API answers it.';

-- The customer's row is the lock: of many changes at once each sees how many addresses there are and which is default.
create or replace function public.save_address(
  p_customer_id uuid, p_address_id uuid, p_fields jsonb
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_address public.customer_addresses;
begin
  perform app.lock_customer(p_customer_id);
  if p_address_id is not null then
    select * into v_address from public.customer_addresses where id = p_address_id and customer_id = p_customer_id;
    if not found then
      raise sqlstate 'PT404' using message = 'Address not found', hint = 'address_not_found';
    end if;
  elsif (select count(*) from public.customer_addresses where customer_id = p_customer_id) >= 20 then
    raise sqlstate 'PT409' using message = 'You can keep at most 20 addresses', hint = 'address_limit';
  end if;
  v_address := jsonb_populate_record(v_address, p_fields - array['id', 'customer_id', 'created_at', 'updated_at']);
  if v_address.is_default then
    update public.customer_addresses set is_default = false
    where customer_id = p_customer_id and is_default and id is distinct from p_address_id;
  end if;
  if p_address_id is null then
    insert into public.customer_addresses
      (customer_id, label, name, phone, street, city, state, postal_code, country, is_default)
    values (
      p_customer_id, v_address.label, v_address.name, v_address.phone, v_address.street, v_address.city, v_address.state,
      v_address.postal_code, v_address.country, coalesce(v_address.is_default, false)
    )
    returning * into v_address;
  else
    update public.customer_addresses
    set (label, name, phone, street, city, state, postal_code, country, is_default) = (
      v_address.label, v_address.name, v_address.phone, v_address.street, v_address.city, v_address.state,
      v_address.postal_code, v_address.country, v_address.is_default
    )
    where id = p_address_id and customer_id = p_customer_id
    returning * into v_address;
  end if;
  perform app.record_customer_event(
    p_customer_id, case when p_address_id is null then 'address_added' else 'address_updated' end,
    p_details => jsonb_build_object('address_id', v_address.id)
  );
  return app.address_json(v_address);
end $$;
comment on function public.save_address is
  'Add an address (p_address_id null) or set those fields of it that p_fields has; the address. A new default takes the '
  'place of the old one. PT404, PT409 beyond 20.';

create or replace function public.delete_address(p_customer_id uuid, p_address_id uuid)
returns void language plpgsql volatile set search_path = '' as $$
begin
  delete from public.customer_addresses where id = p_address_id and customer_id = p_customer_id;
  if not found then
    raise sqlstate 'PT404' using message = 'Address not found', hint = 'address_not_found';
  end if;
  perform app.record_customer_event(
    p_customer_id, 'address_deleted', p_details => jsonb_build_object('address_id', p_address_id)
  );
end $$;
comment on function public.delete_address is 'Delete one address of the customer. PT404.';

create or replace function public.update_preferences(p_customer_id uuid, p_changes jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_preferences public.customer_preferences;
begin
  perform app.lock_customer(p_customer_id);
  select * into v_preferences from public.customer_preferences where customer_id = p_customer_id;
  v_preferences := jsonb_populate_record(v_preferences, p_changes - array['customer_id', 'updated_at']);
  update public.customer_preferences
  set (language, currency, timezone, newsletter, sms, email_notifications) = (
    v_preferences.language, v_preferences.currency, v_preferences.timezone, v_preferences.newsletter, v_preferences.sms,
    v_preferences.email_notifications
  )
  where customer_id = p_customer_id;
  perform app.record_customer_event(p_customer_id, 'preferences_updated');
  return to_jsonb(v_preferences) - array['customer_id', 'updated_at'];
end $$;
comment on function public.update_preferences is 'Set those preferences that p_changes has; all preferences.';

-- What the service calls on behalf of one customer, and what those functions call.
grant execute on function app.address_json to customer;
grant execute on function
  public.update_profile, public.list_customer_bookings, public.save_address, public.delete_address,
  public.update_preferences
  to customer;

create or replace function public.export_customer(p_customer_id uuid)
returns jsonb language sql volatile set search_path = '' as $$
  select app.record_customer_event(p_customer_id, 'exported');
  select jsonb_build_object(
    'exported_at', now(),
    'customer', app.customer_json(p_customer_id),
    'preferences', (
      select to_jsonb(p) - 'customer_id' from public.customer_preferences p where customer_id = p_customer_id
    ),
    'addresses', (
      select coalesce(jsonb_agg(app.address_json(a) order by a.created_at), '[]')
      from public.customer_addresses a where customer_id = p_customer_id
    ),
    'sessions', (
      select coalesce(jsonb_agg(to_jsonb(s) - 'customer_id' order by s.created_at), '[]')
      from public.customer_sessions s where customer_id = p_customer_id
    ),
    'bookings', (
      select coalesce(jsonb_agg(to_jsonb(b) - array['customer_id', 'assigned_to', 'notes'] order by b.created_at), '[]')
      from public.bookings b where customer_id = p_customer_id
    ),
    'payments', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', t.id, 'booking_id', t.booking_id, 'amount', t.amount, 'amount_refunded', t.amount_refunded,
        'amount_withdrawn', t.amount_withdrawn, 'currency', t.currency, 'status', t.status, 'created_at', t.created_at
      ) order by t.created_at), '[]')
      from public.transactions t where customer_id = p_customer_id
    ),
    'emails', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'template', m.template, 'recipient', m.recipient, 'state', m.state, 'created_at', m.created_at,
        'finished_at', m.finished_at
      ) order by m.created_at), '[]')
      from public.email_outbox m
      where m.customer_id = p_customer_id or lower(m.recipient) = app.proven_address(p_customer_id)
    ),
    'tickets', (
      select coalesce(jsonb_agg((to_jsonb(t) - 'assigned_to') || jsonb_build_object('messages', (
        select coalesce(jsonb_agg(to_jsonb(m) - 'ticket_id' order by m.id), '[]')
        from public.ticket_messages m where m.ticket_id = t.id
      )) order by t.id), '[]')
      from public.support_tickets t
      where lower(t.email) = app.proven_address(p_customer_id)
    ),
    'events', (
      select coalesce(jsonb_agg(to_jsonb(e) - array['id', 'customer_id'] order by e.id), '[]')
      from public.customer_events e where customer_id = p_customer_id
    )
  );
$$;
comment on function public.export_customer is
  'Everything held about a customer, for the customer; amounts of payments in minor units.';

insert into app.migrations (version) values ('20251027000000') on conflict do nothing;
notify pgrst, 'reload schema';
