-- Put together by `make migration` from these files of supabase/schemas, where the text is edited:
--   staff/users.sql staff/sessions.sql staff/invitations.sql core/retention.sql
-- Roll back: supabase/rollbacks/20251027000003_add_staff_functions.sql

-- Staff accounts as the users page of the site manages them.

create or replace function app.staff_json(p_staff public.admin_users)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', p_staff.id, 'name', p_staff.name, 'email', p_staff.email, 'phone', p_staff.phone, 'role', p_staff.role,
    'avatar', p_staff.avatar, 'status', p_staff.status, 'last_login', p_staff.last_login::timestamptz,
    'created_at', p_staff.created_at
  );
$$;
comment on function app.staff_json is 'A staff account as the API answers it.';

create or replace function public.list_users(p_role text default null, p_status text default null, p_search text default null)
returns jsonb language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(app.staff_json(a) order by a.created_at desc, a.id desc), '[]')
  from public.admin_users a
  where (p_role is null or a.role = p_role)
    and (p_status is null or a.status = p_status)
    and (
      p_search is null
      or position(lower(p_search) in lower(concat_ws(' ', a.name, a.email, a.phone))) > 0
    );
$$;
comment on function public.list_users is
  'Staff accounts, newest first, of that role and status, with the text in name, address or phone.';

create or replace function public.create_user(p_values jsonb, p_password_hash text)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_staff public.admin_users;
begin
  insert into public.admin_users (name, email, phone, role, avatar, status)
  values (
    p_values ->> 'name', p_values ->> 'email', p_values ->> 'phone', p_values ->> 'role', p_values ->> 'avatar',
    coalesce(p_values ->> 'status', 'Active')
  )
  returning * into v_staff;
  if p_password_hash is not null then
    insert into public.staff_credentials (staff_id, password_hash) values (v_staff.id, p_password_hash);
  end if;
  return app.staff_json(v_staff);
exception when unique_violation then
  raise sqlstate 'PT409' using message = 'A user with this email already exists', hint = 'email_taken';
end $$;
comment on function public.create_user is
  'Make a staff account of {name, email, phone, role, avatar, status}; without a hash it cannot sign in yet. PT409.';

create or replace function app.set_staff_password(p_staff_id integer, p_password_hash text)
returns void language plpgsql volatile set search_path = '' as $$
begin
  insert into public.staff_credentials (staff_id, password_hash) values (p_staff_id, p_password_hash)
  on conflict (staff_id) do update set password_hash = excluded.password_hash, changed_at = now();
  delete from public.staff_sessions where staff_id = p_staff_id;
  perform app.clear_logins('staff', email) from public.admin_users where id = p_staff_id;
  perform app.record_staff_event(p_staff_id, 'password_changed');
end $$;
comment on function app.set_staff_password is 'Give an account another password: its sessions end, attempts to guess the old one are forgotten.';

create or replace function public.update_user(p_id integer, p_changes jsonb, p_password_hash text)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_staff public.admin_users;
begin
  select * into v_staff from public.admin_users where id = p_id for update;
  if not found then
    raise sqlstate 'PT404' using message = 'User not found', hint = 'user_not_found';
  end if;
  v_staff := jsonb_populate_record(v_staff, p_changes);
  update public.admin_users
  set (name, email, phone, role, avatar, status) = (
    v_staff.name, v_staff.email, v_staff.phone, v_staff.role, v_staff.avatar, v_staff.status
  )
  where id = p_id
  returning * into v_staff;
  if p_password_hash is not null then
    perform app.set_staff_password(p_id, p_password_hash);
  end if;
  return app.staff_json(v_staff);
exception when unique_violation then
  raise sqlstate 'PT409' using message = 'A user with this email already exists', hint = 'email_taken';
end $$;
comment on function public.update_user is
  'Change what p_changes holds of an account, and its password where a hash is given. PT400, PT404, PT409.';

create or replace function public.delete_user(p_id integer)
returns void language plpgsql volatile set search_path = '' as $$
begin
  delete from public.admin_users where id = p_id;
  if not found then
    raise sqlstate 'PT404' using message = 'User not found', hint = 'user_not_found';
  end if;
end $$;
comment on function public.delete_user is
  'Delete a staff account. PT400 for one''s own and the last active Admin, PT404.';

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

-- A member of staff chooses the first password by a mailed link, so that nobody else ever knows it.

-- One row is one invitation, from when it is made. What ends it takes the row away: a password that is set, a changed
-- address, a deactivated account; a newer one takes its place. A mail whose row is gone is not sent, a link of it not taken.
create table if not exists public.staff_invitations (
  staff_id integer primary key references public.admin_users (id) on delete cascade,
  email_id uuid not null,
  token_hashes text[] not null default '{}',
  expires_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table public.staff_invitations is 'Staff who may choose a first password by a mailed link.';
comment on column public.staff_invitations.email_id is 'The mail that carries it; no foreign key, mails are purged.';
comment on column public.staff_invitations.token_hashes is
  'SHA-256 of the links'' tokens: none before the mail is sent, two where it was sent twice.';
comment on column public.staff_invitations.expires_at is 'Null before the mail is sent.';

call app.close_table('public.staff_invitations');
grant select, insert, update, delete on public.staff_invitations to service_role;

-- Definer: role staff, which changes accounts, sees no invitations.
create or replace function app.tg_end_invitation()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  delete from public.staff_invitations where staff_id = (to_jsonb(new) ->> tg_argv[0])::integer;
  return null;
end $$;
comment on function app.tg_end_invitation is 'Ends the invitation of the account whose id is in the column of the argument.';

create or replace trigger tg_admin_users__end_invitation after update on public.admin_users
  for each row when (old.email is distinct from new.email or old.status is distinct from new.status)
  execute function app.tg_end_invitation('id');
create or replace trigger tg_staff_credentials__end_invitation after insert or update on public.staff_credentials
  for each row execute function app.tg_end_invitation('staff_id');

create or replace function public.invite_staff(p_values jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_staff public.admin_users;
begin
  select * into v_staff from public.admin_users where lower(email) = lower(p_values ->> 'email') for no key update;
  if not found then
    perform public.create_user(p_values, null);
    select * into v_staff from public.admin_users where lower(email) = lower(p_values ->> 'email');
  elsif v_staff.status <> 'Active' then
    raise sqlstate 'PT409' using message = 'This account is deactivated.', hint = 'account_deactivated';
  elsif exists (select from public.staff_credentials where staff_id = v_staff.id) then
    raise sqlstate 'PT409' using message = 'A user with this email already exists', hint = 'email_taken';
  end if;
  insert into public.staff_invitations as i (staff_id, email_id)
  values (v_staff.id, app.queue_email(
    'staff-invitation', v_staff.email, jsonb_build_object('name', v_staff.name, 'role', v_staff.role)
  ))
  on conflict (staff_id) do update
  set email_id = excluded.email_id, token_hashes = '{}', expires_at = null, created_at = now();
  return app.staff_json(v_staff);
end $$;
comment on function public.invite_staff is
  'Make a staff account without a password, where it is missing, and queue the mail with its link; earlier links end. PT409 '
  'when it has a password or is deactivated.';

create or replace function public.issue_staff_invitation(p_email_id uuid, p_token_hash text, p_ttl_seconds integer)
returns jsonb language sql volatile set search_path = '' as $$
  update public.staff_invitations
  set token_hashes = token_hashes || p_token_hash, expires_at = now() + make_interval(secs => p_ttl_seconds)
  where email_id = p_email_id
  returning jsonb_build_object('staff_id', staff_id);
$$;
comment on function public.issue_staff_invitation is
  'Keep the hash of a link''s token as its mail is sent: {staff_id}, or null when the invitation ended meanwhile. The links of '
  'a mail that was sent twice all work until one is used.';

create or replace function public.accept_staff_invitation(p_staff_id integer, p_token_hash text, p_password_hash text)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_email text := (select email from public.admin_users where id = p_staff_id for no key update);
begin
  perform app.check_link((
    select expires_at from public.staff_invitations where staff_id = p_staff_id and p_token_hash = any (token_hashes)
  ), null, null);
  perform app.act_as(v_email);
  perform app.set_staff_password(p_staff_id, p_password_hash);
end $$;
comment on function public.accept_staff_invitation is
  'Spend a link: the account gets its password. PT400 token_invalid, token_expired.';

-- How long is kept what nobody asks for any more. The worker sweeps once an hour (service/scheduled_jobs.py); mails have a
-- sweep of their own, in mail/queue.sql, payment events theirs in payments/reconciliation.sql.

-- Nobody's are attempts on an address that no account has, and what is left of a deleted account. An attempt takes no
-- account to make, so of those there is also a greatest number.
-- Definer: the service itself may not delete what is noted.
create or replace function app.purge_events(p_nobodys_at_most integer)
returns integer language plpgsql volatile security definer set search_path = '' as $$
declare
  v_kept constant interval := interval '2 years';
  v_nobodys_kept constant interval := interval '30 days';
  v_purged integer;
  v_sum integer := 0;
begin
  perform set_config('app.purges', 'customer_events', true);
  delete from public.customer_events where created_at < now() - v_kept;
  get diagnostics v_purged = row_count;
  v_sum := v_sum + v_purged;
  delete from public.customer_events e using public.customers c
  where c.deleted_at is not null and e.customer_id = c.id and e.created_at < now() - v_nobodys_kept;
  get diagnostics v_purged = row_count;
  v_sum := v_sum + v_purged;
  delete from public.customer_events
  where customer_id is null and (created_at < now() - v_nobodys_kept or id <= (
    select id from public.customer_events where customer_id is null order by id desc offset p_nobodys_at_most limit 1
  ));
  get diagnostics v_purged = row_count;
  v_sum := v_sum + v_purged;
  perform set_config('app.purges', 'staff_events', true);
  delete from public.staff_events where created_at < now() - v_kept;
  get diagnostics v_purged = row_count;
  v_sum := v_sum + v_purged;
  delete from public.staff_events
  where staff_id is null and (created_at < now() - v_nobodys_kept or id <= (
    select id from public.staff_events where staff_id is null order by id desc offset p_nobodys_at_most limit 1
  ));
  get diagnostics v_purged = row_count;
  perform set_config('app.purges', '', true);
  return v_sum + v_purged;
end $$;
comment on function app.purge_events is
  'Delete what was noted of accounts two years ago, of nobody 30 days ago or before its latest p_nobodys_at_most; how many.';

-- Registering takes no account either. One whose address nobody proved within 30 days goes, unless it is signed in, has a
-- link that still works, or has booked. A deleted account's emptied row stays for as long as something refers to it.
create or replace function app.purge_accounts()
returns integer language plpgsql volatile set search_path = '' as $$
declare
  v_customer record;
  v_purged integer;
begin
  for v_customer in
    select c.id, c.email from public.customers c
    where c.deleted_at is null and c.verified_at is null and c.status = 'pending'
      and c.created_at < now() - interval '30 days'
      and not exists (select from public.customer_sessions s where s.customer_id = c.id and s.expires_at > now())
      and not exists (select from public.email_verification_tokens t where t.customer_id = c.id and t.expires_at > now())
      and not exists (select from public.bookings b where b.customer_id = c.id)
    order by c.created_at
    limit 500
  loop
    perform app.act_as('worker', 'never verified');
    perform app.lock_address(v_customer.email);
    perform public.delete_customer(c.id, c.password_hash) from (
      select id, password_hash from public.customers
      where id = v_customer.id and deleted_at is null and verified_at is null for no key update
    ) c;
  end loop;
  delete from public.customers c
  where c.deleted_at < now() - interval '30 days'
    and not exists (select from public.customer_events e where e.customer_id = c.id)
    and not exists (select from public.bookings b where b.customer_id = c.id)
    and not exists (select from public.transactions t where t.customer_id = c.id);
  get diagnostics v_purged = row_count;
  return v_purged;
end $$;
comment on function app.purge_accounts is
  'Delete accounts that were never verified, and the rows of deleted ones to which nothing refers; how many rows went.';

create or replace function public.clean_expired()
returns integer language plpgsql volatile set search_path = '' as $$
declare
  v_sessions integer;
  v_staff_sessions integer;
  v_verifications integer;
  v_resets integer;
  v_invitations integer;
  v_limits integer;
begin
  delete from public.customer_sessions where expires_at <= now();
  get diagnostics v_sessions = row_count;
  delete from public.staff_sessions where expires_at <= now();
  get diagnostics v_staff_sessions = row_count;
  -- Kept for a while, so that an old link is told from a wrong one.
  delete from public.email_verification_tokens where expires_at < now() - interval '30 days';
  get diagnostics v_verifications = row_count;
  delete from public.password_reset_tokens where expires_at < now() - interval '30 days';
  get diagnostics v_resets = row_count;
  delete from public.staff_invitations where expires_at < now() - interval '30 days';
  get diagnostics v_invitations = row_count;
  delete from public.rate_limits where expires_at <= now();
  get diagnostics v_limits = row_count;
  return v_sessions + v_staff_sessions + v_verifications + v_resets + v_invitations + v_limits
    + app.purge_events(100000) + app.purge_accounts();
end $$;
comment on function public.clean_expired is
  'The worker''s sweep of customers and staff: sessions, links, limits, events and accounts past their time; how many rows.';

insert into app.migrations (version) values ('20251027000003') on conflict do nothing;
notify pgrst, 'reload schema';
