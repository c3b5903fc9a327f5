-- Purpose: staff sign in to this service. Their password hashes, their sessions, what happened to their accounts.
-- Tables: staff_credentials, staff_sessions, staff_events (append-only).
-- Functions: act_as_staff, current_actor, record_staff_event (for other SQL functions); what signs staff in and out
--   stands in 20251027000007_add_staff_sessions.sql.
-- SECURITY DEFINER functions: tg_admin_users__keep_an_admin and tg_admin_users__record, because staff may also edit
--   accounts through PostgREST as role staff, which neither sees all accounts' sessions nor writes the audit log.
-- Roll back: supabase/rollbacks/20251027000000_add_staff.sql (passwords and sessions of staff are lost).

-- A table of its own, not a column of admin_users: the site's pages ask for all columns of admin_users, which PostgREST
-- refuses to a role that may not read one of them.
create table if not exists public.staff_credentials (
  staff_id integer primary key references public.admin_users (id) on delete cascade,
  password_hash text not null,
  changed_at timestamptz not null default now()
);
comment on table public.staff_credentials is 'Password hashes (bcrypt) of staff; no row until a first password is set.';
do $$
begin
  -- A project that keeps hashes in admin_users itself: its staff goes on with the same passwords.
  if exists (
    select from pg_attribute
    where attrelid = 'public.admin_users'::regclass and attname = 'password_hash' and not attisdropped
  ) then
    insert into public.staff_credentials (staff_id, password_hash)
    select id, password_hash from public.admin_users where password_hash is not null
    on conflict (staff_id) do nothing;
    alter table public.admin_users drop column password_hash;
  end if;
end $$;

create table if not exists public.staff_sessions (
  id uuid primary key default gen_random_uuid(),
  staff_id integer not null references public.admin_users (id) on delete cascade,
  ip_address text,
  user_agent text,
  created_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  expires_at timestamptz not null
);
comment on table public.staff_sessions is 'Where staff is signed in. A session that ends is deleted.';
create index if not exists staff_sessions_staff_id_idx on public.staff_sessions (staff_id);

create table if not exists public.staff_events (
  id bigint generated always as identity primary key,
  staff_id integer,
  name text not null constraint staff_events_name_is_a_name check (name ~ '^[a-z_]{3,40}$'),
  actor text not null,
  ip_address text,
  user_agent text,
  request_id text,
  details jsonb not null default '{}',
  created_at timestamptz not null default now()
);
comment on table public.staff_events is 'Audit log of staff accounts: append-only, never a secret.';
comment on column public.staff_events.staff_id is 'The account it is about. No foreign key: the log outlives the account.';
comment on column public.staff_events.name is 'created, changed, deleted, logged_in, logged_out, password_changed.';
comment on column public.staff_events.actor is 'E-mail address of who did it, or the database role.';
create index if not exists staff_events_staff_id_idx on public.staff_events (staff_id, created_at);

drop trigger if exists staff_events_append_only on public.staff_events;
create trigger staff_events_append_only before update or delete on public.staff_events
  for each row execute function public.tg_append_only();
drop trigger if exists staff_events_no_truncate on public.staff_events;
create trigger staff_events_no_truncate before truncate on public.staff_events
  for each statement execute function public.tg_append_only();

alter table public.staff_credentials enable row level security;
alter table public.staff_sessions enable row level security;
alter table public.staff_events enable row level security;
revoke all on public.staff_credentials, public.staff_sessions, public.staff_events from anon, authenticated;
grant select, insert, update, delete on public.staff_credentials, public.staff_sessions to service_role;
grant select, insert on public.staff_events to service_role;

-- Who acts: what the service said for this transaction, else the token of role staff. Triggers ask for it, so that an
-- account edited through the API and one edited through PostgREST leave the same trace.
create or replace function public.act_as_staff(p_actor jsonb)
returns void
language sql volatile security invoker set search_path = ''
as $$
  select set_config('jklg.actor', coalesce(p_actor, '{}')::text, true);
$$;
comment on function public.act_as_staff is
  'Say who acts in this transaction: {"id", "email", "ip", "user_agent", "request_id"}, all optional.';
revoke all on function public.act_as_staff from public, anon, authenticated;
grant execute on function public.act_as_staff to service_role;

create or replace function public.current_actor()
returns jsonb
language sql stable security invoker set search_path = ''
as $$
  select coalesce(
    nullif(nullif(current_setting('jklg.actor', true), ''), '{}')::jsonb,
    (
      select jsonb_build_object('id', claims -> 'sub', 'email', claims -> 'email')
      from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb as claims) token
      where claims ->> 'role' = 'staff'
    ),
    jsonb_build_object('email', session_user)
  );
$$;
comment on function public.current_actor is 'Who acts in this transaction, as act_as_staff() or the token says.';
revoke all on function public.current_actor from public, anon, authenticated;
grant execute on function public.current_actor to service_role;

create or replace function public.record_staff_event(p_staff_id integer, p_name text, p_actor jsonb, p_details jsonb default '{}')
returns void
language sql volatile security invoker set search_path = ''
as $$
  insert into public.staff_events (staff_id, name, actor, ip_address, user_agent, request_id, details)
  values (
    p_staff_id, p_name, coalesce(p_actor ->> 'email', 'unknown'), left(p_actor ->> 'ip', 64),
    left(p_actor ->> 'user_agent', 400), left(p_actor ->> 'request_id', 128), p_details
  );
$$;
comment on function public.record_staff_event is 'Write one audit row within the caller''s transaction.';
revoke all on function public.record_staff_event from public, anon, authenticated;
grant execute on function public.record_staff_event to service_role;

-- A site without an Admin could not be given one again. Two Admins who remove each other at once wait for each other at
-- the lock, and the second one sees what the first one did.
create or replace function public.tg_admin_users__keep_an_admin() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if (tg_op = 'DELETE' or old.status is distinct from new.status)
    and public.current_actor() ->> 'id' = old.id::text
  then
    raise sqlstate 'PT400' using message = 'You cannot delete or deactivate your own account.', hint = 'own_account';
  end if;
  if old.role = 'Admin' and old.status = 'Active'
    and (tg_op = 'DELETE' or new.role is distinct from 'Admin' or new.status is distinct from 'Active')
  then
    perform pg_advisory_xact_lock(hashtext('admin_users__keep_an_admin'));
    if not exists (
      select from public.admin_users where role = 'Admin' and status = 'Active' and id <> old.id
    ) then
      raise sqlstate 'PT400' using message = 'The last active Admin must stay.', hint = 'last_admin';
    end if;
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end $$;
comment on function public.tg_admin_users__keep_an_admin is
  'Refuses to remove, demote or deactivate the last active Admin, or to delete or deactivate one''s own account.';
revoke all on function public.tg_admin_users__keep_an_admin from public, anon, authenticated;

drop trigger if exists admin_users_keep_an_admin on public.admin_users;
create trigger admin_users_keep_an_admin before update or delete on public.admin_users
  for each row execute function public.tg_admin_users__keep_an_admin();

create or replace function public.tg_admin_users__record() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_changed jsonb;
begin
  if tg_op = 'INSERT' then
    perform public.record_staff_event(new.id, 'created', public.current_actor(), jsonb_build_object('role', new.role));
  elsif tg_op = 'DELETE' then
    perform public.record_staff_event(old.id, 'deleted', public.current_actor(), jsonb_build_object('email', old.email));
  else
    select jsonb_object_agg(n.key, n.value) into v_changed
    from jsonb_each(to_jsonb(new)) n
    where n.key in ('email', 'role', 'status') and n.value is distinct from to_jsonb(old) -> n.key;
    if v_changed is not null then
      perform public.record_staff_event(new.id, 'changed', public.current_actor(), v_changed);
    end if;
    -- Who was signed in with other rights, or none any more, signs in anew.
    if new.status is distinct from old.status or new.role is distinct from old.role then
      delete from public.staff_sessions where staff_id = new.id;
    end if;
  end if;
  return null;
end $$;
comment on function public.tg_admin_users__record is
  'Writes staff_events, and ends the sessions of an account whose role or status changed.';
revoke all on function public.tg_admin_users__record from public, anon, authenticated;

drop trigger if exists admin_users_record on public.admin_users;
create trigger admin_users_record after insert or update or delete on public.admin_users
  for each row execute function public.tg_admin_users__record();

notify pgrst, 'reload schema';
