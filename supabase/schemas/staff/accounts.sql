-- Staff accounts: who they are, their password hashes, their sessions, what happened to them.

create table if not exists public.admin_users (id serial primary key);
alter table public.admin_users
  add column if not exists name text not null,
  add column if not exists email text not null unique,
  add column if not exists phone text,
  add column if not exists role text not null default 'Support',
  add column if not exists avatar text,
  add column if not exists status text not null default 'Active',
  add column if not exists last_login timestamptz,
  add column if not exists created_at timestamptz not null default now(),
  alter column role set default 'Support',
  alter column status set default 'Active',
  alter column created_at set default now();
comment on table public.admin_users is 'Staff accounts.';
create unique index if not exists admin_users_email_lower_idx on public.admin_users (lower(email));
call app.fill_text('public.admin_users');
call app.bound_line('public.admin_users', 'name', 1, 200);
call app.add_check('public.admin_users', 'email', 'app.is_email(email)', 'Is not a valid e-mail address.');
call app.bound_line('public.admin_users', 'phone', 0, 50);
call app.bound_choice('public.admin_users', 'role', 'Admin', 'Manager', 'Guide', 'Support');
call app.bound_line('public.admin_users', 'avatar', 0, 500000);
call app.bound_choice('public.admin_users', 'status', 'Active', 'Inactive');

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
  -- The original's code knew a second switch.
  if exists (
    select from pg_attribute
    where attrelid = 'public.admin_users'::regclass and attname = 'is_active' and not attisdropped
  ) then
    update public.admin_users set status = 'Inactive' where is_active is false;
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
  name text not null constraint staff_events_name_check check (name ~ '^[a-z_]{3,40}$'),
  actor text not null,
  ip_address text,
  user_agent text,
  request_id text,
  details jsonb not null default '{}',
  created_at timestamptz not null default now()
);
comment on table public.staff_events is 'Audit log of staff accounts: append-only, never a secret; kept as core/retention.sql says.';
comment on column public.staff_events.staff_id is
  'The account it is about; null: an attempt on an address that no account has. No foreign key: the log outlives the account.';
comment on column public.staff_events.name is
  'created, changed, deleted, logged_in, login_failed, session_ended, password_changed, wrong_password.';
comment on column public.staff_events.actor is 'E-mail address of who did it, or the database role.';
create index if not exists staff_events_staff_id_idx on public.staff_events (staff_id, created_at);
create index if not exists staff_events_nobodys_idx on public.staff_events (id) where staff_id is null;
create index if not exists staff_events_created_at_idx on public.staff_events using brin (created_at);
create or replace trigger tg_staff_events__append_only before update or delete or truncate on public.staff_events
  for each statement execute function app.tg_append_only();

call app.close_table('public.admin_users');
call app.close_table('public.staff_credentials');
call app.close_table('public.staff_sessions');
call app.close_table('public.staff_events');
grant select, insert, update, delete on public.admin_users, public.staff_credentials, public.staff_sessions to service_role;
grant select, insert on public.staff_events to service_role;

create or replace function app.record_staff_event(p_staff_id integer, p_name text, p_details jsonb default '{}')
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_actor jsonb := app.actor();
begin
  insert into public.staff_events (staff_id, name, actor, ip_address, user_agent, request_id, details)
  values (
    p_staff_id, p_name, v_actor ->> 'name', left(v_actor ->> 'ip', 64), left(v_actor ->> 'user_agent', 400),
    left(v_actor ->> 'request_id', 128), p_details
  );
end $$;
comment on function app.record_staff_event is 'Write one audit row within the caller''s transaction.';

-- A site without an Admin could not be given one again. Two Admins who remove each other at once wait for each other at
-- the lock, and the second one sees what the first one did.
-- Definer: role staff sees other accounts by policy alone.
create or replace function app.tg_admin_users__keep_an_admin()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if (tg_op = 'DELETE' or old.status is distinct from new.status)
    and app.actor() ->> 'id' = old.id::text
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
comment on function app.tg_admin_users__keep_an_admin is
  'Refuses to remove, demote or deactivate the last active Admin, or to delete or deactivate one''s own account.';

create or replace trigger tg_admin_users__keep_an_admin before update or delete on public.admin_users
  for each row execute function app.tg_admin_users__keep_an_admin();

-- Definer: role staff neither sees sessions nor writes the audit log.
create or replace function app.tg_admin_users__record()
returns trigger language plpgsql security definer set search_path = '' as $$
declare
  v_changed jsonb;
begin
  if tg_op = 'INSERT' then
    perform app.record_staff_event(new.id, 'created', jsonb_build_object('role', new.role));
  elsif tg_op = 'DELETE' then
    perform app.record_staff_event(old.id, 'deleted', jsonb_build_object('email', old.email));
  else
    select jsonb_object_agg(n.key, n.value) into v_changed
    from jsonb_each(to_jsonb(new)) n
    where n.key in ('email', 'role', 'status') and n.value is distinct from to_jsonb(old) -> n.key;
    if v_changed is not null then
      perform app.record_staff_event(new.id, 'changed', v_changed);
    end if;
    -- Who was signed in with other rights, or none any more, signs in anew.
    if new.status is distinct from old.status or new.role is distinct from old.role then
      delete from public.staff_sessions where staff_id = new.id;
    end if;
  end if;
  return null;
end $$;
comment on function app.tg_admin_users__record is
  'Writes staff_events, and ends the sessions of an account whose role or status changed.';

create or replace trigger tg_admin_users__record after insert or update or delete on public.admin_users
  for each row execute function app.tg_admin_users__record();
