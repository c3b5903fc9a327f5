-- Put together by `make migration` from these files of supabase/schemas, where the text is edited:
--   core/previous.sql core/privileges.sql core/migrations.sql core/actor.sql core/checks.sql core/keys.sql
--   core/rows.sql core/rate_limits.sql core/currencies.sql mail/outbox.sql mail/queue.sql mail/scheduled_jobs.sql
--   staff/accounts.sql staff/permissions.sql mail/history.sql site/visitors.sql site/content.sql site/tickets.sql
--   site/settings.sql bookings/bookings.sql bookings/summaries.sql core/added.sql
-- Roll back: supabase/rollbacks/20250605000000_baseline.sql

-- What was in `public` before the first migration: kept, so that the baseline's rollback gives back just that. On a
-- fresh project there is nothing to note.
--
-- Schema app holds what only other SQL uses. PostgREST serves `public` alone, so nothing in app is called from outside.

create schema if not exists app;
comment on schema app is 'Internals of the schema public: functions and reference tables that no API serves.';

do $$
begin
  if to_regclass('app.previous') is not null then
    return;
  end if;
  create table app.previous (
    kind text not null,
    name text not null,
    definition text,
    primary key (kind, name)
  );
  insert into app.previous
  select 'table', c.relname, null
  from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
  union all
  select 'column', c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod)
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
  union all
  select 'default', c.relname || '.' || a.attname, format(
    'alter table public.%I alter column %I %s', c.relname, a.attname,
    coalesce('set default ' || pg_get_expr(d.adbin, d.adrelid), 'drop default')
  )
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attidentity = '' and a.attgenerated = ''
  union all
  select 'type', c.relname || '.' || a.attname, format(
    'alter table public.%I alter column %I type integer using round(%2$I)', c.relname, a.attname
  )
  from pg_class c join pg_attribute a on a.attrelid = c.oid
  where c.relnamespace = 'public'::regnamespace and a.atttypid = 'integer'::regtype
    and (c.relname, a.attname) in (('packages', 'price'), ('bookings', 'amount'))
  union all
  select 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
  from pg_proc p
  where p.pronamespace = 'public'::regnamespace and p.proname in ('calculate_loyalty_points', 'update_customer_stats')
  union all
  select 'index', i.relname, null
  from pg_class i where i.relnamespace = 'public'::regnamespace and i.relkind = 'i'
  union all
  select 'constraint', c.conrelid::regclass || '.' || c.conname, format(
    'alter table %s add constraint %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid)
  )
  from pg_constraint c where c.connamespace = 'public'::regnamespace and c.contype in ('c', 'f') and c.conrelid <> 0
  union all
  select 'comment', concat_ws('.', c.relname, a.attname), case when a.attnum is null
    then format('comment on table public.%I is %L', c.relname, d.description)
    else format('comment on column public.%I.%I is %L', c.relname, a.attname, d.description) end
  from pg_class c
  join pg_description d on d.objoid = c.oid and d.classoid = 'pg_class'::regclass
  left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.objsubid and a.attnum > 0
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
  union all
  select 'policy', p.tablename || '.' || p.policyname, format(
    'create policy %I on %I.%I as %s for %s to %s%s%s', p.policyname, p.schemaname, p.tablename, p.permissive, p.cmd,
    (select string_agg(quote_ident(r), ', ') from unnest(p.roles) r), ' using (' || p.qual || ')',
    ' with check (' || p.with_check || ')'
  )
  from pg_policies p where p.schemaname = 'public'
  union all
  select 'row security', c.relname, format('alter table public.%I disable row level security', c.relname)
  from pg_class c
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relrowsecurity
  union all
  select 'grant', format('%s %s to %s', g.privilege_type, c.relname, r.rolname), format(
    'grant %s on %s public.%I to %I', g.privilege_type, case c.relkind when 'S' then 'sequence' else 'table' end,
    c.relname, r.rolname
  )
  from pg_class c, aclexplode(c.relacl) g join pg_roles r on r.oid = g.grantee
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'S')
    and r.rolname in ('anon', 'authenticated', 'service_role')
  union all
  select 'default privilege', format('%s %s to %s', g.privilege_type, d.defaclobjtype, r.rolname), format(
    'alter default privileges in schema public grant %s on %s to %I', g.privilege_type,
    case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' else 'functions' end, r.rolname
  )
  from pg_default_acl d, aclexplode(d.defaclacl) g join pg_roles r on r.oid = g.grantee
  where d.defaclnamespace = 'public'::regnamespace and d.defaclrole = current_user::regrole
    and d.defaclobjtype in ('r', 'S', 'f') and r.rolname in ('anon', 'authenticated', 'service_role')
  union all
  select 'role setting', r.rolname || '.' || s.name, format('alter role %I %s', r.rolname, coalesce(
    (
      select format('set %I = %L', s.name, split_part(c, '=', 2))
      from pg_db_role_setting d, unnest(d.setconfig) c
      where d.setrole = r.oid and d.setdatabase = 0 and split_part(c, '=', 1) = s.name
    ),
    format('reset %I', s.name)
  ))
  from pg_roles r, pg_settings s
  where r.rolname in ('anon', 'authenticated', 'service_role', 'authenticator')
    and s.name in ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout');
end $$;
comment on table app.previous is 'What `public` held before the first migration, and how to make it again.';

-- Who may do anything at all: nobody but the service, unless a grant says so where the thing stands.
--
-- Postgres lets everybody call a new function, and Supabase's defaults give new tables and functions of `public` to
-- visitors. Both end here, once, for all that is made afterwards by whoever applies the migrations.

alter default privileges revoke execute on functions from public;
alter default privileges in schema public revoke execute on functions from anon, authenticated;
alter default privileges in schema public revoke all on tables from anon, authenticated;
alter default privileges in schema public revoke all on sequences from anon, authenticated;
alter default privileges in schema public, app grant execute on functions to service_role;

-- Roles that no Supabase project has. Both act on few rows of many, by row-level security:
--   customer  the service on behalf of one customer. Not `authenticated`: anybody may sign up at Supabase itself.
--   staff     a member of staff whose request for /rest/v1 the service passes on.
do $$
declare
  v_role text;
begin
  foreach v_role in array array['customer', 'staff'] loop
    if to_regrole(v_role) is null then
      execute format('create role %I nologin noinherit', v_role);
    end if;
    execute format('grant %I to authenticator', v_role);
  end loop;
end $$;
-- How long a statement of each role may take: PostgREST sets it for the role that it acts as. The two of authenticator end
-- a connection that a fault of PostgREST left inside a transaction, with which other requests would fail.
do $$
declare
  v_setting record;
begin
  for v_setting in
    select t.role_name, t.name, t.value
    from (values
      ('anon', 'statement_timeout', '3s'), ('authenticated', 'statement_timeout', '8s'),
      ('customer', 'statement_timeout', '8s'), ('staff', 'statement_timeout', '8s'),
      ('service_role', 'statement_timeout', '8s'), ('authenticator', 'statement_timeout', '8s'),
      ('authenticator', 'idle_in_transaction_session_timeout', '5s'), ('authenticator', 'transaction_timeout', '20s')
    ) t (role_name, name, value)
    join pg_catalog.pg_settings s using (name)  -- the last one is there from Postgres 17 on
  loop
    execute format('alter role %I set %I = %L', v_setting.role_name, v_setting.name, v_setting.value);
  end loop;
end $$;
notify pgrst, 'reload config';
grant usage on schema public to customer, staff;
grant usage on schema app to anon, service_role, customer, staff;

-- Each table of `public` begins closed, whatever an existing project opened; what may be done follows as policies and
-- grants, each readable where the table is made.
create or replace procedure app.close_table(p_table regclass)
language plpgsql set search_path = '' as $$
declare
  v_policy name;
begin
  for v_policy in select polname from pg_catalog.pg_policy where polrelid = p_table loop
    execute format('drop policy %I on %s', v_policy, p_table);
  end loop;
  execute format('alter table %s enable row level security', p_table);
  execute format('revoke all on %s from public, anon, authenticated, service_role, customer, staff', p_table);
  call app.grant_sequence(p_table, 'service_role');
end $$;
comment on procedure app.close_table is
  'Drop all policies of a table, enable row-level security, take back every grant.';

-- Keys of an existing project may be integers with a sequence, under whatever name.
create or replace procedure app.grant_sequence(p_table regclass, variadic p_roles text[])
language plpgsql set search_path = '' as $$
declare
  v_sequence text;
begin
  if exists (
    select from pg_catalog.pg_attribute where attrelid = p_table and attname = 'id' and not attisdropped
  ) then
    v_sequence := pg_get_serial_sequence(p_table::text, 'id');
  end if;
  if v_sequence is not null then
    execute format('revoke all on sequence %s from anon, authenticated, service_role', v_sequence);
    execute format('grant usage on sequence %s to %s', v_sequence, array_to_string(p_roles, ', '));
    -- Rows that came with ids of their own may be ahead of it.
    execute format('select setval(%L, m.id) from (select max(id) as id from %s) m, %s s where m.id > s.last_value',
      v_sequence, p_table, v_sequence);
  end if;
end $$;
comment on procedure app.grant_sequence is 'Let roles make ids of a table whose ids are numbers.';

-- Which migrations this database has: each ends by noting itself, whoever applies it by whatever means.

create table if not exists app.migrations (
  version text primary key,
  applied_at timestamptz not null default now()
);
comment on table app.migrations is 'Migrations that were applied; the newest is the version of the schema.';
grant select on app.migrations to service_role;

create or replace function public.applied_migrations()
returns text[] language sql stable set search_path = '' as $$
  select coalesce(array_agg(version order by version), '{}') from app.migrations;
$$;
comment on function public.applied_migrations is
  'The versions of the migrations that were applied, the oldest first. The first of all makes it: a database of any age answers.';

-- Who acts. The service says so with every request, in the header X-Actor:
--   {"name": what audit rows say, "id": of a member of staff, "ip", "user_agent", "request_id"}, each optional.
-- Supabase hands headers of anybody on, so only roles whose tokens the service alone makes are believed.

create or replace function app.actor()
returns jsonb language plpgsql stable set search_path = '' as $$
declare
  v_role text := coalesce(nullif(current_setting('role', true), 'none'), session_user);
  v_actor jsonb := jsonb_build_object('name', v_role);
  v_claims jsonb;
begin
  if v_role in ('service_role', 'customer', 'staff') then
    v_actor := v_actor || jsonb_strip_nulls(coalesce(
      (nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-actor')::jsonb, '{}'
    ));
  end if;
  if v_role = 'staff' then
    v_claims := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
    v_actor := v_actor || jsonb_build_object('id', v_claims -> 'sub', 'name', v_claims -> 'email');
  end if;
  if current_setting('app.actor', true) <> '' then
    v_actor := v_actor || jsonb_build_object('name', current_setting('app.actor', true));
  end if;
  return v_actor;
end $$;
comment on function app.actor is
  'Who acts in this transaction: {name, id, ip, user_agent, request_id}; name is always there.';
grant execute on function app.actor to customer;

create or replace function app.act_as(p_name text, p_reason text default null)
returns void language sql volatile set search_path = '' as $$
  select set_config('app.actor', coalesce(p_name, ''), true), set_config('app.reason', coalesce(p_reason, ''), true);
$$;
comment on function app.act_as is
  'From here to the end of the transaction audit rows name this actor (null: who asked) and reason.';

-- Bounds on what a column may hold. They stand at the tables, so that they hold behind every door, in the same figures
-- and sentences as service/fields.py; the comment of each check is what a person is told.

create or replace function app.is_line(p_text text, p_min integer, p_max integer)
returns boolean language sql immutable set search_path = '' as $$
  select length(btrim(p_text)) >= p_min and length(p_text) <= p_max and p_text !~ '[[:cntrl:]]';
$$;
comment on function app.is_line is 'One line of text of so many characters.';

create or replace function app.is_text(p_text text, p_max integer)
returns boolean language sql immutable set search_path = '' as $$
  select length(p_text) <= p_max and translate(p_text, E'\n\r\t', '') !~ '[[:cntrl:]]';
$$;
comment on function app.is_text is 'Text of at most so many characters, line breaks among them.';

create or replace function app.is_email(p_text text)
returns boolean language sql immutable set search_path = '' as $$
  select octet_length(p_text) between 3 and 254
    and p_text ~ '^[^[:space:][:cntrl:]<>(),;:"@]+@[^[:space:][:cntrl:]<>(),;:"@]+$';
$$;
comment on function app.is_email is 'An address that mail can be sent to.';

-- A name like Dr.Li is none, a host name without a path is told by its ending: one of two letters, or one that many have.
create or replace function app.holds_web_address(p_text text)
returns boolean language sql immutable set search_path = '' as $$
  select text ~* '://|\mhttps?:|\mwww\.|\m[0-9]{1,3}(\.[0-9]{1,3}){3}\M'
    or text ~ '\m[[:alnum:]-]{2,}\.[a-z]{2,}(:[0-9]+)?[/?#]'
    or text ~* ('\m(?!(mr|mrs|ms|dr|drs|md|mohd|st|ste|smt|shri|sri|sh|prof|ing|mag|capt|col|maj|gen|lt|sgt|adv|er|fr|br|sr|jr|rev'
      || '|hon)\.)[[:alnum:]-]{2,}\.((com|net|org|info|biz|edu|gov|mil|int|app|dev|xyz|online|site|shop|store|club|live|link|click'
      || '|top|icu|vip|fun|pro|tech|space|website|world|today|agency|travel|email|cloud|page|blog|news|buzz|mobi|asia|example)'
      || '|(?!(jr|sr)\M)[a-z]{2})\M')
    or text ~* '\m[[:alnum:]]\.[a-z]{2}/'
  from translate(p_text, '。．｡', '...') as text;
$$;
comment on function app.holds_web_address is 'Whether a mail client might make a link of a part of the text.';

create or replace function app.are_lines(p_texts text[], p_max integer)
returns boolean language sql immutable set search_path = '' as $$
  select cardinality(p_texts) <= 100 and (select coalesce(bool_and(app.is_line(t, 0, p_max)), true) from unnest(p_texts) t);
$$;
comment on function app.are_lines is 'At most 100 lines of text.';
-- A check runs with the rights of whoever writes the row.
grant execute on function
  app.is_line, app.is_text, app.is_email, app.holds_web_address, app.are_lines to anon, customer, staff;

-- Rows of an existing project may be older than the bound: then it holds for what is written from now on.
create or replace procedure app.add_check(p_table regclass, p_column text, p_check text, p_sentence text)
language plpgsql set search_path = '' as $$
declare
  v_name text := format('%s_%s_check', (select relname from pg_catalog.pg_class where oid = p_table), p_column);
  v_old name;
begin
  -- What an existing project asks of the column, under whatever name, gives way.
  for v_old in
    select c.conname from pg_catalog.pg_constraint c
    join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and c.conkey = array[a.attnum]
    where c.conrelid = p_table and c.contype = 'c' and a.attname = p_column
  loop
    execute format('alter table %s drop constraint %I', p_table, v_old);
  end loop;
  execute format('alter table %s add constraint %I check (%s) not valid', p_table, v_name, p_check);
  execute format('comment on constraint %I on %s is %L', v_name, p_table, p_column || ': ' || p_sentence);
  begin
    execute format('alter table %s validate constraint %I', p_table, v_name);
  exception when check_violation then
    null;
  end;
end $$;
comment on procedure app.add_check is 'Bound a column, and say in a sentence what it asks for.';

create or replace procedure app.bound_line(p_table regclass, p_column text, p_min integer, p_max integer)
language plpgsql set search_path = '' as $$
begin
  call app.add_check(p_table, p_column, format('app.is_line(%I, %s, %s)', p_column, p_min, p_max), format(
    case p_min when 0 then 'Must be one line of at most %s characters.'
      else 'May not be empty or have more than %s characters.' end, p_max
  ));
end $$;
comment on procedure app.bound_line is 'Let a column hold one line of text.';

create or replace procedure app.bound_name(p_table regclass, p_column text, p_min integer, p_max integer)
language plpgsql set search_path = '' as $$
begin
  call app.add_check(
    p_table, p_column, format('app.is_line(%1$I, %2$s, %3$s) and not app.holds_web_address(%1$I)', p_column, p_min, p_max),
    format(case p_min when 0 then 'Must be one line of at most %s characters, without a web address.'
      else 'May not be empty, have more than %s characters or hold a web address.' end, p_max)
  );
end $$;
comment on procedure app.bound_name is 'Let a column hold what somebody is called.';

create or replace procedure app.bound_text(p_table regclass, p_column text, p_max integer)
language plpgsql set search_path = '' as $$
begin
  call app.add_check(p_table, p_column, format('app.is_text(%I, %s)', p_column, p_max),
    format('Must have at most %s characters.', p_max));
end $$;
comment on procedure app.bound_text is 'Let a column hold text.';

create or replace procedure app.bound_lines(p_table regclass, p_column text, p_max integer)
language plpgsql set search_path = '' as $$
begin
  call app.add_check(p_table, p_column, format('app.are_lines(%I, %s)', p_column, p_max),
    format('Must be a list of at most 100 lines, each of at most %s characters.', p_max));
end $$;
comment on procedure app.bound_lines is 'Let a column hold a list of lines.';

create or replace procedure app.bound_number(p_table regclass, p_column text, p_min numeric, p_max numeric)
language plpgsql set search_path = '' as $$
begin
  -- Some projects keep a measure as text.
  if exists (
    select from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
    where a.attrelid = p_table and a.attname = p_column and t.typcategory = 'N'
  ) then
    call app.add_check(p_table, p_column, format('%I between %s and %s', p_column, p_min, p_max),
      format('Must be between %s and %s.', p_min, p_max));
  end if;
end $$;
comment on procedure app.bound_number is 'Let a column hold numbers of a range.';

create or replace procedure app.bound_choice(p_table regclass, p_column text, variadic p_choices text[])
language plpgsql set search_path = '' as $$
declare
  v_list text := (select string_agg(quote_literal(c), ', ') from unnest(p_choices) c);
begin
  call app.add_check(p_table, p_column, format('%I in (%s)', p_column, v_list),
    format('Must be one of %s.', array_to_string(p_choices, ', ')));
end $$;
comment on procedure app.bound_choice is 'Let a column hold one of some words.';

create or replace procedure app.bound_email(p_table regclass, p_column text)
language plpgsql set search_path = '' as $$
begin
  call app.add_check(p_table, p_column, format('%1$I = '''' or app.is_email(%1$I)', p_column), 'Is not a valid e-mail address.');
end $$;
comment on procedure app.bound_email is 'Let a column hold an address of mail, or none.';

create or replace function public.check_sentence(p_name text)
returns text language sql stable set search_path = '' as $$
  select obj_description(c.oid, 'pg_constraint') from pg_catalog.pg_constraint c
  where c.connamespace = 'public'::regnamespace and c.contype = 'c' and c.conname = p_name limit 1;
$$;
comment on function public.check_sentence is
  '"column: sentence" for a person whose values broke the check of that name; null when unknown.';

-- booking_key is the type of bookings.id: uuid on a fresh database, and on an existing one whatever is found there
-- (integer, as a rule). All that refers to a booking uses the domain, so that one text serves both.

do $$
declare
  v_found text := (
    select format_type(a.atttypid, a.atttypmod)
    from pg_attribute a
    where a.attrelid = to_regclass('public.bookings') and a.attname = 'id' and not a.attisdropped
  );
begin
  if to_regtype('public.booking_key') is null then
    execute format('create domain public.booking_key as %s', coalesce(v_found, 'uuid'));
  end if;
end $$;
comment on domain public.booking_key is
  'Type of bookings.id: uuid on a fresh database, the type found on an existing one.';

-- Ids arrive as text or number: what cannot be one must answer "no such booking" and not break the query.
create or replace function app.to_booking_key(p_text text)
returns public.booking_key language plpgsql immutable set search_path = '' as $$
begin
  return p_text::public.booking_key;
exception when invalid_text_representation or numeric_value_out_of_range then
  return null;
end $$;
comment on function app.to_booking_key is 'The booking id that a text stands for; null when it cannot be one.';

create or replace function app.uuid_v7()
returns uuid language sql volatile set search_path = '' as $$
  select (
    lpad(to_hex(micros / 1000), 12, '0') || '7' || lpad(to_hex(micros % 1000 * 4096 / 1000), 3, '0')
    || right(replace(gen_random_uuid()::text, '-', ''), 16)
  )::uuid
  from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as micros) now;
$$;
comment on function app.uuid_v7 is 'An id that sorts by the time it was made (RFC 9562, 5.7): the newest is the greatest.';
grant execute on function app.uuid_v7 to anon, staff;

-- Triggers that any table may have.

create or replace function app.tg_set_updated_at()
returns trigger language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end $$;
comment on function app.tg_set_updated_at is 'Keeps updated_at current; for "before update" triggers.';

-- Audit tables tell what happened: nobody may change that afterwards, the service and the owner included. What is past its
-- time goes by the sweep alone, which names the table for as long as it sweeps: see core/retention.sql.
create or replace function app.tg_append_only()
returns trigger language plpgsql set search_path = '' as $$
begin
  if tg_op = 'DELETE' and current_setting('app.purges', true) = tg_table_name then
    return null;
  end if;
  raise exception 'rows of % are never changed or deleted', tg_table_name using errcode = '42501';
end $$;
comment on function app.tg_append_only is 'Refuses update, truncate, and delete but by the sweep; for audit tables.';

-- The site's pages call functions of texts and numbers on what they read and stop at a null: text that nobody gave is empty
-- instead, and a number is its column's default. Said by a trigger and not by a default alone, because the pages also send
-- nulls, and old tables refuse those.
create or replace function app.columns_to_fill(p_table oid)
returns table (attname text, empty jsonb) language sql stable set search_path = '' as $$
  select a.attname::text, case
    when a.atttypid = 'text[]'::regtype then jsonb '[]'
    when a.atttypid in ('text'::regtype, 'varchar'::regtype) then jsonb '""'
    else pg_get_expr(d.adbin, d.adrelid)::jsonb
  end
  from pg_catalog.pg_attribute a
  left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and (
    a.atttypid in ('text'::regtype, 'varchar'::regtype, 'text[]'::regtype) or pg_get_expr(d.adbin, d.adrelid) ~ '^[0-9.]+$'
  );
$$;
comment on function app.columns_to_fill is 'Columns of text, lists of text, and numbers with a default; and what stands for nothing there.';
grant execute on function app.columns_to_fill to anon, customer, staff;

create or replace function app.tg_fill_text()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_given jsonb := to_jsonb(new);
  v_empty jsonb := (
    select jsonb_object_agg(a.attname, a.empty)
    from app.columns_to_fill(tg_relid) a
    where v_given -> a.attname = 'null' and not a.attname = any (coalesce(tg_argv, '{}'))
  );
begin
  if v_empty is not null then
    new := jsonb_populate_record(new, v_empty);
  end if;
  return new;
end $$;
comment on function app.tg_fill_text is 'Makes missing text empty and missing numbers their defaults, but for the columns of the arguments.';

create or replace procedure app.fill_text(p_table regclass, variadic p_but text[] default '{}')
language plpgsql set search_path = '' as $$
declare
  v_name name := (select relname from pg_catalog.pg_class where oid = p_table);
  v_columns text[] := array(
    select quote_ident(a.attname) from app.columns_to_fill(p_table) a where not a.attname = any (p_but)
  );
begin
  execute format(
    'create or replace trigger %I before insert or update on %s for each row execute function app.tg_fill_text(%s)',
    'tg_' || v_name || '__fill_text', p_table, (select string_agg(quote_literal(c), ', ') from unnest(p_but) c)
  );
  execute format('update %s set %s = %2$s where %s', p_table, v_columns[1], array_to_string(v_columns, ' is null or ') || ' is null');
end $$;
comment on procedure app.fill_text is 'From here on a table has no null text, but in the columns named; old rows are mended, so it comes before the checks of '
  'the table: they refuse every change of an old row outside of them.';

-- Some pages of the site read one column and write another of the same meaning.
create or replace function app.tg_keep_in_step()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_one text := coalesce(to_jsonb(new) ->> tg_argv[0], '');
  v_other text := coalesce(to_jsonb(new) ->> tg_argv[1], '');
  v_value text := case
    when tg_op = 'UPDATE' and v_other is distinct from to_jsonb(old) ->> tg_argv[1] then v_other
    else coalesce(nullif(v_one, ''), v_other)
  end;
begin
  return jsonb_populate_record(new, jsonb_build_object(tg_argv[0], v_value, tg_argv[1], v_value));
end $$;
comment on function app.tg_keep_in_step is 'Gives two columns, the arguments, one value: the one that was changed.';

-- Money of an existing project may be kept in whole units; prices have cents.
create or replace procedure app.keep_cents(p_table regclass, p_column text)
language plpgsql set search_path = '' as $$
begin
  if exists (
    select from pg_catalog.pg_attribute
    where attrelid = p_table and attname = p_column and atttypid = 'integer'::regtype
  ) then
    execute format('alter table %s alter column %I type numeric(12, 2)', p_table, p_column);
  end if;
end $$;
comment on procedure app.keep_cents is 'Widen a column of whole currency units to hundredths.';

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

-- Currencies and how their amounts are counted, once for SQL, mails and the local Stripe.
-- Source: docs.stripe.com/currencies, "Zero-decimal currencies", "Three-decimal currencies", "Special cases" (ISK and
-- UGX have no decimals and are written with two), "Minimum and maximum charge amounts".

create table if not exists app.currencies (
  code text primary key constraint currencies_code_check check (code ~ '^[a-z]{3}$'),
  exponent smallint not null,
  step smallint not null
);
comment on table app.currencies is 'Currencies that can be charged, ISO 4217 in lower case.';
comment on column app.currencies.exponent is 'Decimal digits of the minor unit.';
comment on column app.currencies.step is 'Amounts are multiples of it, in minor units.';
grant select on app.currencies to service_role, customer, staff;

insert into app.currencies (code, exponent, step) values
  ('aed', 2, 1), ('afn', 2, 1), ('all', 2, 1), ('amd', 2, 1), ('ang', 2, 1), ('aoa', 2, 1), ('ars', 2, 1), ('aud', 2, 1),
  ('awg', 2, 1), ('azn', 2, 1), ('bam', 2, 1), ('bbd', 2, 1), ('bdt', 2, 1), ('bgn', 2, 1), ('bhd', 3, 10), ('bif', 0, 1),
  ('bmd', 2, 1), ('bnd', 2, 1), ('bob', 2, 1), ('brl', 2, 1), ('bsd', 2, 1), ('bwp', 2, 1), ('byn', 2, 1), ('bzd', 2, 1),
  ('cad', 2, 1), ('cdf', 2, 1), ('chf', 2, 1), ('clp', 0, 1), ('cny', 2, 1), ('cop', 2, 1), ('crc', 2, 1), ('cve', 2, 1),
  ('czk', 2, 1), ('djf', 0, 1), ('dkk', 2, 1), ('dop', 2, 1), ('dzd', 2, 1), ('egp', 2, 1), ('etb', 2, 1), ('eur', 2, 1),
  ('fjd', 2, 1), ('fkp', 2, 1), ('gbp', 2, 1), ('gel', 2, 1), ('gip', 2, 1), ('gmd', 2, 1), ('gnf', 0, 1), ('gtq', 2, 1),
  ('gyd', 2, 1), ('hkd', 2, 1), ('hnl', 2, 1), ('htg', 2, 1), ('huf', 2, 1), ('idr', 2, 1), ('ils', 2, 1), ('inr', 2, 1),
  ('isk', 2, 100), ('jmd', 2, 1), ('jod', 3, 10), ('jpy', 0, 1), ('kes', 2, 1), ('kgs', 2, 1), ('khr', 2, 1), ('kmf', 0, 1),
  ('krw', 0, 1), ('kwd', 3, 10), ('kyd', 2, 1), ('kzt', 2, 1), ('lak', 2, 1), ('lbp', 2, 1), ('lkr', 2, 1), ('lrd', 2, 1),
  ('lsl', 2, 1), ('mad', 2, 1), ('mdl', 2, 1), ('mga', 0, 1), ('mkd', 2, 1), ('mmk', 2, 1), ('mnt', 2, 1), ('mop', 2, 1),
  ('mur', 2, 1), ('mvr', 2, 1), ('mwk', 2, 1), ('mxn', 2, 1), ('myr', 2, 1), ('mzn', 2, 1), ('nad', 2, 1), ('ngn', 2, 1),
  ('nio', 2, 1), ('nok', 2, 1), ('npr', 2, 1), ('nzd', 2, 1), ('omr', 3, 10), ('pab', 2, 1), ('pen', 2, 1), ('pgk', 2, 1),
  ('php', 2, 1), ('pkr', 2, 1), ('pln', 2, 1), ('pyg', 0, 1), ('qar', 2, 1), ('ron', 2, 1), ('rsd', 2, 1), ('rub', 2, 1),
  ('rwf', 0, 1), ('sar', 2, 1), ('sbd', 2, 1), ('scr', 2, 1), ('sek', 2, 1), ('sgd', 2, 1), ('shp', 2, 1), ('sle', 2, 1),
  ('sos', 2, 1), ('srd', 2, 1), ('std', 2, 1), ('szl', 2, 1), ('thb', 2, 1), ('tjs', 2, 1), ('tnd', 3, 10), ('top', 2, 1),
  ('try', 2, 1), ('ttd', 2, 1), ('twd', 2, 1), ('tzs', 2, 1), ('uah', 2, 1), ('ugx', 2, 100), ('usd', 2, 1), ('uyu', 2, 1),
  ('uzs', 2, 1), ('vnd', 0, 1), ('vuv', 0, 1), ('wst', 2, 1), ('xaf', 0, 1), ('xcd', 2, 1), ('xof', 0, 1), ('xpf', 0, 1),
  ('yer', 2, 1), ('zar', 2, 1), ('zmw', 2, 1)
on conflict (code) do update set exponent = excluded.exponent, step = excluded.step;

-- What a gateway takes. Of one without rows here every currency is asked for, and it decides itself.
-- Sources: docs.stripe.com/currencies; developer.paypal.com/api/rest/reference/currency-codes (HUF, JPY and TWD without
-- decimals); razorpay.com/docs/payments/international-payments (supported currencies; INR from 1.00).
create table if not exists app.gateway_currencies (
  gateway text not null,
  currency text not null references app.currencies (code),
  step smallint not null default 1,
  minimum bigint,
  constraint gateway_currencies_pkey primary key (gateway, currency)
);
comment on table app.gateway_currencies is 'Currencies that a gateway takes; one that names none takes all.';
comment on column app.gateway_currencies.step is 'Charged amounts are multiples of it, in minor units.';
comment on column app.gateway_currencies.minimum is 'Least charge in minor units; null: the gateway decides by conversion.';
create index if not exists gateway_currencies_currency_idx on app.gateway_currencies (currency);
grant select on app.gateway_currencies to service_role;

insert into app.gateway_currencies (gateway, currency, step, minimum)
select 'stripe', code, step, minimums.minimum
from app.currencies
left join (values
  ('aed', 200), ('aud', 50), ('bgn', 100), ('brl', 50), ('cad', 50), ('chf', 50), ('czk', 1500), ('dkk', 250),
  ('eur', 50), ('gbp', 30), ('hkd', 400), ('huf', 17500), ('inr', 50), ('jpy', 50), ('mxn', 1000), ('myr', 200),
  ('nok', 300), ('nzd', 50), ('pln', 200), ('ron', 200), ('sek', 300), ('sgd', 50), ('thb', 1000), ('usd', 50)
) minimums (currency, minimum) on minimums.currency = code
on conflict (gateway, currency) do update set step = excluded.step, minimum = excluded.minimum;

insert into app.gateway_currencies (gateway, currency, step, minimum)
select 'paypal', currency, case when currency in ('huf', 'twd') then 100 else 1 end, null
from unnest(array[
  'aud', 'brl', 'cad', 'cny', 'czk', 'dkk', 'eur', 'hkd', 'huf', 'ils', 'jpy', 'myr', 'mxn', 'twd', 'nzd', 'nok', 'php',
  'pln', 'gbp', 'sgd', 'sek', 'chf', 'thb', 'usd'
]) currency
on conflict (gateway, currency) do update set step = excluded.step, minimum = excluded.minimum;

insert into app.gateway_currencies (gateway, currency, minimum)
select 'razorpay', currency, case currency when 'inr' then 100 end
from unnest(array[
  'aed', 'aud', 'cad', 'chf', 'cny', 'dkk', 'eur', 'gbp', 'hkd', 'inr', 'jpy', 'kes', 'lkr', 'mxn', 'myr', 'nok', 'npr',
  'nzd', 'php', 'qar', 'sar', 'sek', 'sgd', 'thb', 'usd', 'zar'
]) currency
on conflict (gateway, currency) do update set minimum = excluded.minimum;

-- In plpgsql, as an SQL function with settings of its own is planned anew at each call.
create or replace function app.currency(p_code text)
returns app.currencies language plpgsql stable set search_path = '' as $$
declare
  v_currency app.currencies;
begin
  select * into v_currency from app.currencies where code = lower(btrim(p_code));
  if not found then
    v_currency := row (lower(btrim(p_code)), 2, 1);
  end if;
  return v_currency;
end $$;
comment on function app.currency is
  'How amounts of a currency are counted; one that is not in the table counts in hundredths.';

create or replace function app.to_minor_units(p_amount numeric, p_currency text)
returns bigint language plpgsql stable set search_path = '' as $$
declare
  v_currency app.currencies := app.currency(p_currency);
begin
  return round(coalesce(p_amount, 0) * 10 ^ v_currency.exponent::numeric / v_currency.step) * v_currency.step;
end $$;
comment on function app.to_minor_units is 'Currency units (299.99) as minor units (29999); null is 0.';

create or replace function app.to_units(p_amount bigint, p_currency text)
returns numeric language plpgsql stable set search_path = '' as $$
declare
  v_exponent integer := (app.currency(p_currency)).exponent;
begin
  return round(p_amount / 10 ^ v_exponent::numeric, v_exponent);
end $$;
comment on function app.to_units is 'Minor units (29999) as currency units (299.99).';

create or replace function app.money(p_amount bigint, p_currency text)
returns text language sql stable set search_path = '' as $$
  select app.to_units(p_amount, p_currency) || ' ' || upper(p_currency);
$$;
comment on function app.money is 'Minor units as a person reads them: 299.99 USD.';

-- The agency has one currency: its prices, its bookings, its reports. Amounts of different currencies are never added up.
create table if not exists app.agency (
  is_only_row boolean primary key default true constraint agency_is_only_row_check check (is_only_row),
  currency text not null references app.currencies (code)
);
comment on table app.agency is 'One row, once `flask check` has set it: what holds for the agency as a whole.';
grant select, insert, update on app.agency to service_role;
grant select on app.agency to customer;

create or replace function app.booking_currency(p_currency text)
returns text language plpgsql stable set search_path = '' as $$
begin
  return coalesce(nullif(lower(btrim(p_currency)), ''), (select currency from app.agency), 'usd');
end $$;
comment on function app.booking_currency is 'ISO 4217, lower case: what a booking says, else the agency''s, which is usd until it is set.';
grant execute on function app.booking_currency to customer;

-- Mail leaves the service through a table. What causes a mail writes its row in the same transaction; `flask worker`
-- claims the rows, sends them and says how it went. No web request speaks SMTP.

-- Why a row per mail: a mail that was accepted with the commit of its cause is sent at least once,
-- whatever dies afterwards. `data` holds what the template prints and never a secret: links are made as the
-- mail is sent, so that this table, read by whomever, verifies and resets nothing.
create table if not exists public.email_outbox (
  id uuid primary key default gen_random_uuid(),
  template text not null constraint email_outbox_template_check check (template ~ '^[a-z][a-z-]{1,40}$'),
  recipient text not null,
  data jsonb not null default '{}' constraint email_outbox_data_check check (jsonb_typeof(data) = 'object'),
  dedupe_key text constraint email_outbox_dedupe_key_key unique,
  customer_id uuid,
  booking_id public.booking_key,
  state text not null default 'queued'
    constraint email_outbox_state_check check (state in ('queued', 'sending', 'sent', 'dropped', 'dead')),
  attempts integer not null default 0 constraint email_outbox_attempts_check check (attempts >= 0),
  next_attempt_at timestamptz not null default now(),
  claimed_by uuid,
  last_error text,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint email_outbox_finished_at_check check ((finished_at is not null) = (state in ('sent', 'dropped', 'dead')))
);
comment on table public.email_outbox is
  'Mails to be sent, one row each, written in the transaction of what causes them. Rows that are over go after 30 days.';
comment on column public.email_outbox.template is 'Folder in email_templates/.';
comment on column public.email_outbox.data is
  'What the template prints. Never a secret; emptied when the mail is sent or dropped.';
comment on column public.email_outbox.dedupe_key is 'Same key, same mail: a second one is not queued.';
comment on column public.email_outbox.customer_id is
  'The customer whose account this mail is about. No foreign key: this table is older.';
comment on column public.email_outbox.booking_id is
  'The booking that it is about: what happens to one within a minute is told in one mail.';
comment on column public.email_outbox.state is
  'queued: waits for next_attempt_at · sending: a worker holds it until next_attempt_at · sent · dropped: its purpose '
  'was gone before it went · dead: refused for good or too often.';
comment on column public.email_outbox.attempts is 'Claims so far; one that a pause of the queue ended is not counted.';
comment on column public.email_outbox.next_attempt_at is
  'When the mail may be claimed: the end of its wait while queued, the end of the lease while sending.';
comment on column public.email_outbox.claimed_by is
  'Made anew by each claim; only its holder may say how the mail went.';
comment on column public.email_outbox.last_error is 'Why it did not go the last time, in the mail server''s words.';
create index if not exists email_outbox_next_attempt_at_idx
  on public.email_outbox (next_attempt_at) where state in ('queued', 'sending');
create index if not exists email_outbox_finished_at_idx on public.email_outbox (finished_at) where finished_at is not null;
create index if not exists email_outbox_booking_id_idx
  on public.email_outbox (booking_id, created_at) where booking_id is not null;
create index if not exists email_outbox_customer_id_idx on public.email_outbox (customer_id) where customer_id is not null;

call app.close_table('public.email_outbox');
grant select, insert, update, delete on public.email_outbox to service_role;

-- For the SQL functions that cause mails. An address that no mail can reach must not undo what it is told about (a
-- payment, say), so such a row is kept as dead instead of raising.
create or replace function app.queue_email(
  p_template text,
  p_recipient text,
  p_data jsonb,
  p_dedupe_key text default null,
  p_customer_id uuid default null,
  p_booking_id public.booking_key default null
) returns uuid language plpgsql volatile set search_path = '' as $$
declare
  v_recipient text := btrim(coalesce(p_recipient, ''));
  v_deliverable boolean := app.is_email(v_recipient);
  v_id uuid;
begin
  insert into public.email_outbox (
    template, recipient, data, dedupe_key, customer_id, booking_id, state, last_error, finished_at
  )
  values (
    p_template, v_recipient, coalesce(p_data, '{}'), p_dedupe_key, p_customer_id, p_booking_id,
    case when v_deliverable then 'queued' else 'dead' end,
    case when not v_deliverable then 'This is not an address that mail can be sent to.' end,
    case when not v_deliverable then now() end
  )
  on conflict (dedupe_key) do nothing
  returning id into v_id;
  return v_id;
end $$;
comment on function app.queue_email is
  'Queue one mail within the caller''s transaction; its id, or null when a mail with this dedupe key exists.';

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

-- Which role may do what, as in the original's table, and what of it the database asks by itself. The service reads the
-- same rows with the session, at each request.

create table if not exists app.role_permissions (
  role text not null,
  permission text not null,
  primary key (role, permission)
);
comment on table app.role_permissions is 'What each role of staff may do.';
grant select on app.role_permissions to service_role;

delete from app.role_permissions;
insert into app.role_permissions (role, permission)
select 'Admin', resource || '_' || verb
from unnest(array['users', 'bookings', 'destinations', 'packages', 'gallery', 'blog', 'faq', 'testimonials', 'tickets']) resource,
  unnest(array['view', 'create', 'edit', 'delete']) verb
union all
select 'Admin', unnest(array[
  'users_change_role', 'bookings_reassign', 'bookings_update_payment', 'bookings_send_reminder', 'bookings_export',
  'bookings_bulk_actions', 'testimonials_approve', 'tickets_assign', 'settings_view', 'settings_edit', 'reports_view',
  'dashboard_view'
]);
insert into app.role_permissions (role, permission)
select 'Manager', permission from app.role_permissions
where role = 'Admin' and permission not in (
  'users_create', 'users_edit', 'users_delete', 'users_change_role', 'bookings_delete', 'testimonials_create',
  'testimonials_edit', 'testimonials_delete', 'tickets_delete', 'settings_view', 'settings_edit'
);
insert into app.role_permissions (role, permission)
select role, permission
from unnest(array['Guide', 'Support']) role, unnest(array[
  'bookings_view', 'bookings_send_reminder', 'destinations_view', 'packages_view', 'gallery_view', 'blog_view',
  'testimonials_view', 'faq_view', 'dashboard_view'
]) permission
union all
select 'Support', unnest(array['bookings_create', 'bookings_edit', 'tickets_view', 'tickets_create', 'tickets_edit']);

-- Row-level security says who may change a row; these columns of it take more than that.
create table if not exists app.column_permissions (
  table_name text not null,
  column_name text not null,
  permission text,
  unset text,
  primary key (table_name, column_name)
);
comment on table app.column_permissions is
  'Columns that take a permission of their own; * stands for all others of an update.';
comment on column app.column_permissions.permission is 'Null: nobody''s to write by hand.';
comment on column app.column_permissions.unset is 'The value that a new row has when nobody wrote the column.';
grant select on app.column_permissions to service_role;

delete from app.column_permissions;
insert into app.column_permissions (table_name, column_name, permission, unset) values
  ('bookings', 'payment_status', 'bookings_update_payment', 'Pending'),
  ('bookings', 'assigned_to', 'bookings_reassign', ''),
  ('bookings', 'customer_id', null, null),
  ('bookings', 'payment_id', null, null),
  ('bookings', 'payment_method', null, null),
  ('bookings', 'payment_date', null, null),
  ('bookings', 'invoice_id', null, null),
  ('bookings', 'invoice_url', null, null),
  ('support_tickets', 'assigned_to', 'tickets_assign', ''),
  ('testimonials', 'status', 'testimonials_approve', 'pending'),
  ('testimonials', '*', 'testimonials_edit', null);

-- For the policies: stable, so that `(select app.staff_can('…'))` is asked once per statement. Definer: role staff sees
-- no sessions.
create or replace function app.staff_can(p_permission text)
returns boolean language plpgsql stable security definer set search_path = '' as $$
declare
  v_claims jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
  v_role text;
begin
  if v_claims ->> 'role' is distinct from 'staff' then
    return false;
  end if;
  select a.role into v_role
  from public.staff_sessions s
  join public.admin_users a on a.id = s.staff_id
  where s.id = (v_claims ->> 'sid')::uuid and s.staff_id::text = v_claims ->> 'sub'
    and s.expires_at > now() and a.status = 'Active';
  if not found then
    raise sqlstate 'PT401' using message = 'Your session has ended. Please log in again.', hint = 'session_ended';
  end if;
  return exists (select from app.role_permissions p where p.role = v_role and p.permission = p_permission);
end $$;
comment on function app.staff_can is
  'Whether the token of this request is one of staff whose role has the permission. PT401 when its session has ended.';
grant execute on function app.staff_can to staff;

create or replace function app.refuse_staff(p_permission text)
returns void language plpgsql immutable set search_path = '' as $$
begin
  raise sqlstate 'PT403' using hint = 'insufficient_permissions',
    message = coalesce('Insufficient permissions. Required: ' || p_permission, 'This cannot be changed by hand.');
end $$;
comment on function app.refuse_staff is 'PT403 that names the permission; null: no permission is enough.';
grant execute on function app.refuse_staff to staff;

-- Definer: role staff does not read the rules.
create or replace function app.column_rules(p_table text)
returns setof app.column_permissions language sql stable security definer set search_path = '' as $$
  select * from app.column_permissions where table_name = p_table;
$$;
comment on function app.column_rules is 'The columns of a table that take a permission of their own.';
grant execute on function app.column_rules to staff;

create or replace function app.tg_guard_columns()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_rule record;
begin
  for v_rule in
    select distinct coalesce(r.permission, o.permission) as permission
    from jsonb_each(to_jsonb(new)) c
    left join app.column_rules(tg_table_name::text) r on r.column_name = c.key
    left join app.column_rules(tg_table_name::text) o
      on o.column_name = '*' and r.column_name is null and tg_op = 'UPDATE'
    where coalesce(r.column_name, o.column_name) is not null
      and c.value is distinct from
        coalesce(case when tg_op = 'UPDATE' then to_jsonb(old) -> c.key else to_jsonb(r.unset) end, 'null')
  loop
    if v_rule.permission is null or not app.staff_can(v_rule.permission) then
      perform app.refuse_staff(v_rule.permission);
    end if;
  end loop;
  return new;
end $$;
comment on function app.tg_guard_columns is
  'Refuses staff a write of columns that take a permission which theirs is not.';

-- The same for staff who come through the service, which acts with all rights.
create or replace function app.check_columns(p_table text, p_changes jsonb)
returns void language plpgsql stable set search_path = '' as $$
declare
  v_permission text;
begin
  for v_permission in
    select r.permission from app.column_permissions r where r.table_name = p_table and p_changes ? r.column_name
  loop
    if not exists (
      select from app.role_permissions p
      join public.admin_users a on a.role = p.role
      where a.id::text = app.actor() ->> 'id' and p.permission = v_permission
    ) then
      perform app.refuse_staff(v_permission);
    end if;
  end loop;
end $$;
comment on function app.check_columns is
  'PT403 unless the acting member of staff may write the columns that p_changes names.';

-- A policy hides what one may not change, and a change of nothing looks like success: here the statement is refused with
-- the permission that the policy asks for, also where no row would have matched.
create or replace function app.tg_refuse_staff()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_policy text := (
    select coalesce(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    from pg_catalog.pg_policy p
    where p.polrelid = tg_relid and p.polroles @> array['staff'::regrole::oid]
      and p.polcmd::text = case tg_op when 'INSERT' then 'a' when 'UPDATE' then 'w' else 'd' end
  );
  v_needed text[] := array(select m[1] from regexp_matches(v_policy, $r$app\.staff_can\('(\w+)'$r$, 'g') m);
  v_missing text[] := array(select needed from unnest(v_needed) needed where not app.staff_can(needed));
begin
  if v_policy is null or v_missing = v_needed or v_missing <> '{}' and v_policy not like '% OR %' then
    perform app.refuse_staff(v_missing[1]);
  end if;
  return null;
end $$;
comment on function app.tg_refuse_staff is
  'Refuses a statement of staff whose role lacks what the policy of table and verb asks for.';

-- Accounts as the users page of the site reads and writes them.
create policy admin_users_select_staff on public.admin_users for select to staff
  using ((select app.staff_can('users_view')));
create policy admin_users_insert_staff on public.admin_users for insert to staff
  with check ((select app.staff_can('users_create')) and (select app.staff_can('users_change_role')));
create policy admin_users_update_staff on public.admin_users for update to staff
  using ((select app.staff_can('users_edit')) and (select app.staff_can('users_change_role')));
create policy admin_users_delete_staff on public.admin_users for delete to staff
  using ((select app.staff_can('users_delete')));
grant select, insert, update, delete on public.admin_users to staff;
call app.grant_sequence('public.admin_users', 'service_role', 'staff');
create or replace trigger tg_admin_users__refuse_staff before insert or update or delete on public.admin_users
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();

create or replace function app.alert_staff(
  p_permission text, p_subject text, p_message text, p_dedupe_key text, p_transaction_id uuid default null
) returns void language sql volatile set search_path = '' as $$
  select app.queue_email(
    'staff-alert', a.email,
    jsonb_build_object('subject', p_subject, 'message', p_message, 'transaction_id', p_transaction_id),
    p_dedupe_key || ':' || a.id
  )
  from public.admin_users a
  join app.role_permissions p on p.role = a.role and p.permission = p_permission
  where a.status = 'Active';
$$;
comment on function app.alert_staff is
  'Queue a staff-alert mail to everybody active who has the permission, once per dedupe key; with a link to the transaction.';

-- Mails as the site's staff pages note them: a row asks for the mail of that occasion, and tells how it went. Which mail, and
-- to whom, is not the browser's to say: see bookings/mails.sql.

create table if not exists public.email_history (id serial primary key);
alter table public.email_history
  add column if not exists recipient_email text not null,
  add column if not exists recipient_name text,
  add column if not exists subject text,
  add column if not exists body text,
  add column if not exists email_type text,
  add column if not exists related_to text,
  add column if not exists related_id text,
  add column if not exists status text not null default 'pending',
  add column if not exists sent_at timestamptz,
  add column if not exists error_message text,
  add column if not exists outbox_id uuid,
  add column if not exists created_at timestamptz not null default now(),
  alter column status set default 'pending',
  alter column created_at set default now();
comment on table public.email_history is 'Mails that staff''s pages asked for. What is really sent is in email_outbox.';
comment on column public.email_history.outbox_id is 'The mail of ours that it asked for; no foreign key, old mails are purged.';
create index if not exists email_history_outbox_id_idx on public.email_history (outbox_id);

call app.bound_line('public.email_history', 'recipient_email', 0, 300);
call app.bound_line('public.email_history', 'recipient_name', 0, 300);
call app.bound_line('public.email_history', 'subject', 0, 500);
call app.bound_text('public.email_history', 'body', 200000);
call app.bound_line('public.email_history', 'email_type', 0, 100);
call app.bound_line('public.email_history', 'related_to', 0, 100);
-- The id of a booking: a number on some projects.
call app.add_check('public.email_history', 'related_id', 'length(related_id::text) <= 100', 'Must have at most 100 characters.');
call app.bound_choice('public.email_history', 'status', 'pending', 'processing', 'sent', 'failed');

create or replace function app.history_status(p_state text)
returns text language sql immutable set search_path = '' as $$
  select case p_state when 'queued' then 'pending' when 'sending' then 'pending' when 'sent' then 'sent' else 'failed' end;
$$;
comment on function app.history_status is 'What staff reads of a mail that is in p_state.';

create or replace function app.tg_email_outbox__tell_history()
returns trigger language plpgsql set search_path = '' as $$
begin
  update public.email_history
  set status = app.history_status(new.state), sent_at = case when new.state = 'sent' then new.finished_at end,
    error_message = case when new.state in ('dropped', 'dead') then coalesce(new.last_error, new.state) end
  where outbox_id = new.id;
  return null;
end $$;
comment on function app.tg_email_outbox__tell_history is 'Tells the rows that asked for a mail how it went, and that it is tried anew.';

create or replace trigger tg_email_outbox__tell_history after update on public.email_outbox
  for each row when (old.state <> new.state and new.state <> 'sending') execute function app.tg_email_outbox__tell_history();

call app.close_table('public.email_history');
create policy email_history_select_staff on public.email_history for select to staff
  using ((select app.staff_can('bookings_view')));
create policy email_history_insert_staff on public.email_history for insert to staff
  with check ((select app.staff_can('bookings_send_reminder')));
grant select, insert, update, delete on public.email_history to service_role;
grant select, insert (recipient_email, recipient_name, subject, body, email_type, related_to, related_id, status)
  on public.email_history to staff;
call app.grant_sequence('public.email_history', 'service_role', 'staff');
create or replace trigger tg_email_history__refuse_staff before insert on public.email_history
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();

-- Visitors write straight through PostgREST with the anon key: who they are, and how much one may send in.

-- The address is the visitor's as the service or Supabase's own edge tells it. What a visitor can write himself, like
-- the first entries of X-Forwarded-For, would be a limit of his own choosing.
create or replace function app.visitor_address()
returns text language sql stable set search_path = '' as $$
  select coalesce(
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'visitor',
    headers ->> 'cf-connecting-ip',
    btrim(reverse(split_part(reverse(headers ->> 'x-forwarded-for'), ',', 1))),
    'unknown'
  )
  from (select nullif(current_setting('request.headers', true), '')::jsonb as headers) request;
$$;
comment on function app.visitor_address is
  'IP address of the visitor of this request: as the service says in its token, else as the last proxy saw it.';

-- Definer: visitors do not see the table of rate limits.
create or replace function app.tg_limit_visitor()
returns trigger language plpgsql security definer set search_path = '' as $$
declare
  v_message text;
  v_hint text;
  v_detail text;
begin
  perform app.take_rate_limit(
    'site_' || tg_table_name, app.visitor_address(), '[{"count": 20, "seconds": 60}, {"count": 200, "seconds": 3600}]'
  );
  return new;
exception when sqlstate 'PT429' then
  -- The same once more, in the form by which PostgREST sends headers along: visitors get its answer as it is.
  get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint, v_detail = pg_exception_detail;
  raise sqlstate 'PGRST' using
    message = jsonb_build_object('code', 'PT429', 'message', v_message, 'details', v_detail, 'hint', v_hint)::text,
    detail = jsonb_build_object(
      'status', 429, 'headers', jsonb_build_object('Retry-After', v_detail::jsonb ->> 'retry_after')
    )::text;
end $$;
comment on function app.tg_limit_visitor is
  'Limits what one address may send in straight through PostgREST: 20 rows a minute and 200 an hour per table, else PT429.';

create or replace function public.visitor_columns()
returns text[] language sql stable set search_path = '' as $$
  select coalesce(array_agg(distinct a.attname::text), '{}')
  from pg_catalog.pg_class c
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and has_column_privilege('anon', c.oid, a.attnum, 'select');
$$;
comment on function public.visitor_columns is 'The names of all columns that visitors may read.';

-- What the site's pages show: packages and their days, destinations, pictures, what travellers say, questions, articles.
-- Everybody reads what is published; staff writes, each verb with a permission of its own.

create table if not exists public.packages (id serial primary key);
alter table public.packages
  add column if not exists title text not null,
  add column if not exists description text,
  add column if not exists price numeric(12, 2) not null default 0,
  add column if not exists duration integer default 1,
  add column if not exists image text,
  add column if not exists destinations text[] not null default '{}',
  add column if not exists featured boolean not null default false,
  add column if not exists rating numeric(3, 1),
  add column if not exists accommodations text,
  add column if not exists included text[] not null default '{}',
  add column if not exists excluded text[] not null default '{}',
  add column if not exists created_at timestamptz not null default now(),
  alter column price set default 0,
  alter column duration set default 1,
  alter column destinations set default '{}',
  alter column featured set default false,
  alter column included set default '{}',
  alter column excluded set default '{}',
  alter column created_at set default now();
comment on table public.packages is 'Travel packages as the site sells them; price per guest in currency units.';
call app.keep_cents('public.packages', 'price');
call app.fill_text('public.packages');
call app.bound_line('public.packages', 'title', 1, 300);
call app.bound_text('public.packages', 'description', 20000);
call app.bound_number('public.packages', 'price', 0, 9999999.99);
call app.bound_number('public.packages', 'duration', 1, 365);
call app.bound_line('public.packages', 'image', 0, 900000);
call app.bound_lines('public.packages', 'destinations', 500);
call app.bound_number('public.packages', 'rating', 0, 5);
call app.bound_text('public.packages', 'accommodations', 20000);
call app.bound_lines('public.packages', 'included', 500);
call app.bound_lines('public.packages', 'excluded', 500);

call app.close_table('public.packages');
create policy packages_select_anon on public.packages for select to anon using (true);
create policy packages_select_customer on public.packages for select to customer using (true);
create policy packages_select_staff on public.packages for select to staff
  using (true);
create policy packages_insert_staff on public.packages for insert to staff
  with check ((select app.staff_can('packages_create')));
create policy packages_update_staff on public.packages for update to staff
  using ((select app.staff_can('packages_edit')));
create policy packages_delete_staff on public.packages for delete to staff
  using ((select app.staff_can('packages_delete')));
grant select, insert, update, delete on public.packages to service_role, staff;
create or replace trigger tg_packages__refuse_staff before insert or update or delete on public.packages
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.packages to anon, customer;
call app.grant_sequence('public.packages', 'service_role', 'staff');

create table if not exists public.itineraries (id serial primary key);
alter table public.itineraries
  add column if not exists package_id integer not null references public.packages (id) on delete cascade,
  add column if not exists day integer not null,
  add column if not exists title text not null,
  add column if not exists description text;
comment on table public.itineraries is 'What happens on each day of a package.';
create index if not exists itineraries_package_id_idx on public.itineraries (package_id);
call app.fill_text('public.itineraries');
call app.bound_number('public.itineraries', 'day', 1, 365);
call app.bound_line('public.itineraries', 'title', 1, 300);
call app.bound_text('public.itineraries', 'description', 20000);

call app.close_table('public.itineraries');
create policy itineraries_select_anon on public.itineraries for select to anon using (true);
create policy itineraries_select_staff on public.itineraries for select to staff
  using (true);
create policy itineraries_insert_staff on public.itineraries for insert to staff
  with check ((select app.staff_can('packages_create')) or (select app.staff_can('packages_edit')));
create policy itineraries_update_staff on public.itineraries for update to staff
  using ((select app.staff_can('packages_edit')));
create policy itineraries_delete_staff on public.itineraries for delete to staff
  using ((select app.staff_can('packages_edit')) or (select app.staff_can('packages_delete')));
grant select, insert, update, delete on public.itineraries to service_role, staff;
create or replace trigger tg_itineraries__refuse_staff before insert or update or delete on public.itineraries
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.itineraries to anon;
call app.grant_sequence('public.itineraries', 'service_role', 'staff');

create table if not exists public.destinations (id serial primary key);
alter table public.destinations
  add column if not exists name text not null,
  add column if not exists region text,
  add column if not exists description text,
  add column if not exists image text,
  add column if not exists featured boolean not null default false,
  add column if not exists altitude integer,
  add column if not exists best_season text,
  add column if not exists distance integer,
  add column if not exists average_temperature text,
  add column if not exists accommodation text,
  add column if not exists difficulty text,
  add column if not exists attractions text[] not null default '{}',
  add column if not exists activities text[] not null default '{}',
  add column if not exists best_for text[] not null default '{}',
  add column if not exists latitude double precision,
  add column if not exists longitude double precision,
  add column if not exists created_at timestamptz not null default now(),
  alter column featured set default false,
  alter column attractions set default '{}',
  alter column activities set default '{}',
  alter column best_for set default '{}',
  alter column created_at set default now();
comment on table public.destinations is 'Places that the site describes. Altitude in metres, distance in km from the nearest city, both axes in degrees.';
call app.fill_text('public.destinations');
call app.bound_line('public.destinations', 'name', 1, 300);
call app.bound_line('public.destinations', 'region', 0, 300);
call app.bound_text('public.destinations', 'description', 20000);
call app.bound_line('public.destinations', 'image', 0, 900000);
call app.bound_number('public.destinations', 'altitude', -500, 9000);
call app.bound_line('public.destinations', 'best_season', 0, 300);
call app.bound_number('public.destinations', 'distance', 0, 50000);
call app.bound_line('public.destinations', 'average_temperature', 0, 300);
call app.bound_line('public.destinations', 'accommodation', 0, 300);
call app.bound_line('public.destinations', 'difficulty', 0, 300);
call app.bound_lines('public.destinations', 'attractions', 500);
call app.bound_lines('public.destinations', 'activities', 500);
call app.bound_lines('public.destinations', 'best_for', 500);
call app.bound_number('public.destinations', 'latitude', -90, 90);
call app.bound_number('public.destinations', 'longitude', -180, 180);

call app.close_table('public.destinations');
create policy destinations_select_anon on public.destinations for select to anon using (true);
create policy destinations_select_staff on public.destinations for select to staff
  using (true);
create policy destinations_insert_staff on public.destinations for insert to staff
  with check ((select app.staff_can('destinations_create')));
create policy destinations_update_staff on public.destinations for update to staff
  using ((select app.staff_can('destinations_edit')));
create policy destinations_delete_staff on public.destinations for delete to staff
  using ((select app.staff_can('destinations_delete')));
grant select, insert, update, delete on public.destinations to service_role, staff;
create or replace trigger tg_destinations__refuse_staff before insert or update or delete on public.destinations
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.destinations to anon;
call app.grant_sequence('public.destinations', 'service_role', 'staff');

create table if not exists public.gallery (id serial primary key);
alter table public.gallery
  add column if not exists title text not null,
  add column if not exists location text,
  add column if not exists image text,
  add column if not exists description text,
  add column if not exists image_url text,
  add column if not exists category text,
  add column if not exists created_at timestamptz not null default now(),
  alter column created_at set default now();
comment on table public.gallery is 'Pictures of the gallery page.';
create or replace trigger tg_gallery__keep_in_step before insert or update on public.gallery
  for each row execute function app.tg_keep_in_step('image', 'image_url');
call app.fill_text('public.gallery');
call app.bound_line('public.gallery', 'title', 1, 300);
call app.bound_line('public.gallery', 'location', 0, 300);
call app.bound_line('public.gallery', 'image', 0, 900000);
call app.bound_text('public.gallery', 'description', 20000);
call app.bound_line('public.gallery', 'image_url', 0, 900000);
call app.bound_line('public.gallery', 'category', 0, 300);

call app.close_table('public.gallery');
create policy gallery_select_anon on public.gallery for select to anon using (true);
create policy gallery_select_staff on public.gallery for select to staff
  using (true);
create policy gallery_insert_staff on public.gallery for insert to staff
  with check ((select app.staff_can('gallery_create')));
create policy gallery_update_staff on public.gallery for update to staff
  using ((select app.staff_can('gallery_edit')));
create policy gallery_delete_staff on public.gallery for delete to staff
  using ((select app.staff_can('gallery_delete')));
grant select, insert, update, delete on public.gallery to service_role, staff;
create or replace trigger tg_gallery__refuse_staff before insert or update or delete on public.gallery
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.gallery to anon;
call app.grant_sequence('public.gallery', 'service_role', 'staff');

create table if not exists public.testimonials (id serial primary key);
alter table public.testimonials
  add column if not exists name text not null,
  add column if not exists avatar text,
  add column if not exists image text,
  add column if not exists location text,
  add column if not exists rating integer not null default 5,
  add column if not exists message text not null,
  add column if not exists status text not null default 'pending',
  add column if not exists date date default current_date,
  add column if not exists created_at timestamptz not null default now(),
  alter column rating set default 5,
  alter column status set default 'pending',
  alter column date set default current_date,
  alter column created_at set default now();
comment on table public.testimonials is 'What travellers say; shown once staff has published it.';
call app.fill_text('public.testimonials');
call app.bound_line('public.testimonials', 'name', 1, 300);
call app.bound_line('public.testimonials', 'avatar', 0, 900000);
call app.bound_line('public.testimonials', 'image', 0, 900000);
call app.bound_line('public.testimonials', 'location', 0, 300);
call app.bound_number('public.testimonials', 'rating', 1, 5);
call app.bound_text('public.testimonials', 'message', 20000);
call app.bound_choice('public.testimonials', 'status', 'published', 'pending', 'rejected');

call app.close_table('public.testimonials');
create policy testimonials_select_anon on public.testimonials for select to anon using (lower(status) = 'published');
create policy testimonials_insert_anon on public.testimonials for insert to anon with check (status = 'pending');
create policy testimonials_select_staff on public.testimonials for select to staff
  using ((select app.staff_can('testimonials_view')));
create policy testimonials_insert_staff on public.testimonials for insert to staff
  with check ((select app.staff_can('testimonials_create')));
create policy testimonials_update_staff on public.testimonials for update to staff
  using ((select app.staff_can('testimonials_edit')) or (select app.staff_can('testimonials_approve')));
create policy testimonials_delete_staff on public.testimonials for delete to staff
  using ((select app.staff_can('testimonials_delete')));
grant select, insert, update, delete on public.testimonials to service_role, staff;
create or replace trigger tg_testimonials__refuse_staff before insert or update or delete on public.testimonials
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.testimonials to anon;
grant insert (name, location, rating, message, status, date, avatar) on public.testimonials to anon;
call app.grant_sequence('public.testimonials', 'service_role', 'staff', 'anon');
create or replace trigger tg_testimonials__guard_columns before insert or update on public.testimonials
  for each row when (current_user = 'staff') execute function app.tg_guard_columns();

create or replace function app.tg_testimonials__guard_visitor()
returns trigger language plpgsql set search_path = '' as $$
begin
  new.status := 'pending';
  new.date := current_date;
  return new;
end $$;
comment on function app.tg_testimonials__guard_visitor is 'A visitor''s testimonial waits for staff to publish it.';

create or replace trigger tg_testimonials__guard_visitor before insert on public.testimonials
  for each row when (current_user = 'anon') execute function app.tg_testimonials__guard_visitor();
create or replace trigger tg_testimonials__limit_visitor before insert on public.testimonials
  for each row when (current_user = 'anon') execute function app.tg_limit_visitor();

create table if not exists public.faqs (id serial primary key);
alter table public.faqs
  add column if not exists question text not null,
  add column if not exists answer text not null,
  add column if not exists category text,
  add column if not exists published boolean not null default true,
  add column if not exists created_at timestamptz not null default now(),
  alter column published set default true,
  alter column created_at set default now();
comment on table public.faqs is 'Questions and answers of the help page.';
call app.fill_text('public.faqs');
call app.bound_line('public.faqs', 'question', 1, 1000);
call app.bound_text('public.faqs', 'answer', 20000);
call app.bound_line('public.faqs', 'category', 0, 300);

call app.close_table('public.faqs');
create policy faqs_select_anon on public.faqs for select to anon using (published);
create policy faqs_select_staff on public.faqs for select to staff
  using ((select app.staff_can('faq_view')));
create policy faqs_insert_staff on public.faqs for insert to staff
  with check ((select app.staff_can('faq_create')));
create policy faqs_update_staff on public.faqs for update to staff
  using ((select app.staff_can('faq_edit')));
create policy faqs_delete_staff on public.faqs for delete to staff
  using ((select app.staff_can('faq_delete')));
grant select, insert, update, delete on public.faqs to service_role, staff;
create or replace trigger tg_faqs__refuse_staff before insert or update or delete on public.faqs
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.faqs to anon;
call app.grant_sequence('public.faqs', 'service_role', 'staff');

create table if not exists public.blog_posts (id serial primary key);
alter table public.blog_posts
  add column if not exists title text not null,
  add column if not exists excerpt text,
  add column if not exists content text,
  add column if not exists featured_image text,
  add column if not exists author text,
  add column if not exists date date default current_date,
  add column if not exists category text,
  add column if not exists tags text[] not null default '{}',
  add column if not exists status text not null default 'Draft',
  add column if not exists image text,
  add column if not exists published boolean,
  add column if not exists views integer not null default 0,
  add column if not exists created_at timestamptz not null default now(),
  alter column date set default current_date,
  alter column tags set default '{}',
  alter column status set default 'Draft',
  alter column views set default 0,
  alter column created_at set default now();
comment on table public.blog_posts is 'Articles; shown while their status is Published.';
create or replace trigger tg_blog_posts__keep_in_step before insert or update on public.blog_posts
  for each row execute function app.tg_keep_in_step('featured_image', 'image');

-- One page publishes by the status, the other by a check box.
create or replace function app.tg_blog_posts__publish()
returns trigger language plpgsql set search_path = '' as $$
begin
  if tg_op = 'UPDATE' and new.published is distinct from old.published and new.status = old.status then
    new.status := case when new.published then 'Published' else 'Draft' end;
  end if;
  new.published := new.status = 'Published';
  return new;
end $$;
comment on function app.tg_blog_posts__publish is 'Keeps published and status in step.';
create or replace trigger tg_blog_posts__publish before insert or update on public.blog_posts
  for each row execute function app.tg_blog_posts__publish();
update public.blog_posts set status = status where published is null or coalesce(image, '') = '';
call app.fill_text('public.blog_posts');
call app.bound_line('public.blog_posts', 'title', 1, 300);
call app.bound_text('public.blog_posts', 'excerpt', 20000);
call app.bound_text('public.blog_posts', 'content', 200000);
call app.bound_line('public.blog_posts', 'featured_image', 0, 900000);
call app.bound_line('public.blog_posts', 'image', 0, 900000);
call app.bound_line('public.blog_posts', 'author', 0, 300);
call app.bound_line('public.blog_posts', 'category', 0, 300);
call app.bound_lines('public.blog_posts', 'tags', 500);
call app.bound_choice('public.blog_posts', 'status', 'Published', 'Draft', 'Archived');
call app.bound_number('public.blog_posts', 'views', 0, 2147483647);

call app.close_table('public.blog_posts');
create policy blog_posts_select_anon on public.blog_posts for select to anon using (lower(status) = 'published');
create policy blog_posts_select_staff on public.blog_posts for select to staff
  using ((select app.staff_can('blog_view')));
create policy blog_posts_insert_staff on public.blog_posts for insert to staff
  with check ((select app.staff_can('blog_create')));
create policy blog_posts_update_staff on public.blog_posts for update to staff
  using ((select app.staff_can('blog_edit')));
create policy blog_posts_delete_staff on public.blog_posts for delete to staff
  using ((select app.staff_can('blog_delete')));
grant select, insert, update, delete on public.blog_posts to service_role, staff;
create or replace trigger tg_blog_posts__refuse_staff before insert or update or delete on public.blog_posts
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.blog_posts to anon;
call app.grant_sequence('public.blog_posts', 'service_role', 'staff');

-- What visitors ask for help with, and the talk about it.

create table if not exists public.support_tickets (id serial primary key);
alter table public.support_tickets
  add column if not exists subject text not null,
  add column if not exists customer text not null,
  add column if not exists email text not null,
  add column if not exists status text not null default 'Open',
  add column if not exists priority text not null default 'Medium',
  add column if not exists category text,
  add column if not exists assigned_to text,
  add column if not exists last_update timestamptz not null default now(),
  add column if not exists created_at timestamptz not null default now(),
  alter column status set default 'Open',
  alter column priority set default 'Medium',
  alter column last_update set default now(),
  alter column created_at set default now();
comment on table public.support_tickets is 'What visitors ask for help with.';
create index if not exists support_tickets_created_at_idx on public.support_tickets (created_at);
call app.fill_text('public.support_tickets');
call app.bound_line('public.support_tickets', 'subject', 1, 300);
call app.bound_line('public.support_tickets', 'customer', 1, 200);
call app.add_check('public.support_tickets', 'email', 'app.is_email(email)', 'Is not a valid e-mail address.');
call app.bound_choice('public.support_tickets', 'status', 'Open', 'In Progress', 'Closed');
call app.bound_choice('public.support_tickets', 'priority', 'High', 'Medium', 'Low');
call app.bound_line('public.support_tickets', 'category', 0, 300);
call app.bound_line('public.support_tickets', 'assigned_to', 0, 200);

call app.close_table('public.support_tickets');
create policy support_tickets_insert_anon on public.support_tickets for insert to anon
  with check (status = 'Open' and assigned_to = '');
-- Of the rows a visitor sees only the one that this very transaction made: see bookings_select_anon.
create policy support_tickets_select_anon on public.support_tickets for select to anon using (created_at = now());
create policy support_tickets_select_staff on public.support_tickets for select to staff
  using ((select app.staff_can('tickets_view')));
create policy support_tickets_insert_staff on public.support_tickets for insert to staff
  with check ((select app.staff_can('tickets_create')));
create policy support_tickets_update_staff on public.support_tickets for update to staff
  using ((select app.staff_can('tickets_edit')));
create policy support_tickets_delete_staff on public.support_tickets for delete to staff
  using ((select app.staff_can('tickets_delete')));
grant select, insert, update, delete on public.support_tickets to service_role, staff;
create or replace trigger tg_support_tickets__refuse_staff before insert or update or delete on public.support_tickets
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select, insert (subject, customer, email, status, priority, category, assigned_to, last_update)
  on public.support_tickets to anon;
call app.grant_sequence('public.support_tickets', 'service_role', 'staff', 'anon');
create or replace trigger tg_support_tickets__guard_columns before insert or update on public.support_tickets
  for each row when (current_user = 'staff') execute function app.tg_guard_columns();

create or replace function app.tg_support_tickets__guard_visitor()
returns trigger language plpgsql set search_path = '' as $$
begin
  new.status := 'Open';
  new.assigned_to := '';
  new.last_update := now();
  new.created_at := now();
  return new;
end $$;
comment on function app.tg_support_tickets__guard_visitor is 'A visitor''s ticket is open and nobody''s yet.';

create or replace trigger tg_support_tickets__guard_visitor before insert on public.support_tickets
  for each row when (current_user = 'anon') execute function app.tg_support_tickets__guard_visitor();
create or replace trigger tg_support_tickets__limit_visitor before insert on public.support_tickets
  for each row when (current_user = 'anon') execute function app.tg_limit_visitor();

create table if not exists public.ticket_messages (id serial primary key);
alter table public.ticket_messages
  add column if not exists ticket_id integer not null references public.support_tickets (id) on delete cascade,
  add column if not exists from_type text not null default 'customer',
  add column if not exists name text,
  add column if not exists message text not null,
  add column if not exists created_at timestamptz not null default now(),
  alter column from_type set default 'customer',
  alter column created_at set default now();
comment on table public.ticket_messages is 'The talk about a ticket.';
create index if not exists ticket_messages_ticket_id_idx on public.ticket_messages (ticket_id);
call app.fill_text('public.ticket_messages');
call app.bound_choice('public.ticket_messages', 'from_type', 'customer', 'agent');
call app.bound_line('public.ticket_messages', 'name', 0, 200);
call app.bound_text('public.ticket_messages', 'message', 20000);

call app.close_table('public.ticket_messages');
create policy ticket_messages_select_staff on public.ticket_messages for select to staff
  using ((select app.staff_can('tickets_view')));
create policy ticket_messages_insert_staff on public.ticket_messages for insert to staff
  with check ((select app.staff_can('tickets_create')) or (select app.staff_can('tickets_edit')));
create policy ticket_messages_update_staff on public.ticket_messages for update to staff
  using ((select app.staff_can('tickets_edit')));
create policy ticket_messages_delete_staff on public.ticket_messages for delete to staff
  using ((select app.staff_can('tickets_delete')));
grant select, insert, update, delete on public.ticket_messages to service_role, staff;
create or replace trigger tg_ticket_messages__refuse_staff before insert or update or delete on public.ticket_messages
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
call app.grant_sequence('public.ticket_messages', 'service_role', 'staff');

-- Settings of the site, read without their secrets and saved without losing what the caller did not mean to change.

create or replace function app.is_secret_name(p_name text)
returns boolean language sql immutable set search_path = '' as $$
  select p_name ~* '(passw|passphrase|(^|smtp|[^a-z])pass$|pwd|secret|token|credential|(api|access|auth|private|signing|encryption|license|webhook)[_-]?key)';
$$;
comment on function app.is_secret_name is
  'Whether a field of that name holds a secret: smtpPassword, api_key and the like.';

create or replace function app.mask_secrets(p_value jsonb)
returns jsonb language sql immutable set search_path = '' as $$
  select case jsonb_typeof(p_value)
    when 'object' then (
      select coalesce(jsonb_object_agg(
        f.key,
        case when app.is_secret_name(f.key) and f.value not in ('""', 'null', 'true', 'false') then '"********"'
          else app.mask_secrets(f.value) end
      ), '{}')
      from jsonb_each(p_value) f
    )
    when 'array' then (
      select coalesce(jsonb_agg(app.mask_secrets(e.value) order by e.at), '[]')
      from jsonb_array_elements(p_value) with ordinality e (value, at)
    )
    else p_value
  end;
$$;
comment on function app.mask_secrets is 'The value with every secret in it, however deep, as ********.';

-- What every visitor reads straight from the table; nothing else is for them.
create or replace function app.is_public_setting(p_key text)
returns boolean language sql immutable set search_path = '' as $$
  select p_key in (
    'general_settings', 'social_links', 'hero_slides', 'display_settings', 'seo_settings', 'ui_preferences'
  );
$$;
comment on function app.is_public_setting is 'Whether a setting is one that the site''s pages need.';

-- What every visitor reads straight from the table cannot hold a secret, whatever its fields are called.
create or replace function app.holds_secret(p_key text, p_value jsonb)
returns boolean language sql immutable set search_path = '' as $$
  select not app.is_public_setting(p_key)
    and (p_key = 'smtp_config' or app.mask_secrets(jsonb_build_object(p_key, p_value)) -> p_key <> p_value);
$$;
comment on function app.holds_secret is 'Whether a setting is one whose secrets are masked, whoever reads it.';

-- A page sends back what it was given. A secret that comes back masked is the stored one; without a stored one it is none.
create or replace function app.keep_masked(p_value jsonb, p_stored jsonb)
returns jsonb language sql immutable set search_path = '' as $$
  select case when jsonb_typeof(p_value) = 'object' then (
      select coalesce(jsonb_object_agg(
        f.key,
        case when app.is_secret_name(f.key) and f.value #>> '{}' ~ '^[*•]{3,}$' then s.value
          else app.keep_masked(f.value, s.value) end
      ) filter (where not (app.is_secret_name(f.key) and f.value #>> '{}' ~ '^[*•]{3,}$' and s.value is null)), '{}')
      from jsonb_each(p_value) f
      left join jsonb_each(case when jsonb_typeof(p_stored) = 'object' then p_stored else '{}' end) s on s.key = f.key
    )
    else p_value
  end;
$$;
comment on function app.keep_masked is 'p_value, its masked secrets replaced by those of p_stored.';

-- The policies ask these.
grant execute on function app.is_public_setting to anon, staff;
grant execute on function app.holds_secret, app.mask_secrets, app.is_secret_name to staff;

create table if not exists public.site_settings (key text primary key);
alter table public.site_settings
  add column if not exists value jsonb not null default '{}',
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now(),
  alter column value set default '{}',
  alter column created_at set default now(),
  alter column updated_at set default now();
comment on table public.site_settings is 'One row per group of settings of the site.';
do $$
begin
  -- Settings are saved by key, which an existing table may have beside an id of its own.
  if not exists (
    select from pg_index i
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = 'public.site_settings'::regclass and i.indisunique and i.indnatts = 1 and a.attname = 'key'
  ) then
    create unique index site_settings_key_idx on public.site_settings (key);
  end if;
end $$;
call app.bound_line('public.site_settings', 'key', 1, 100);

-- Settings with secrets are for /api/settings alone, which masks them.
call app.close_table('public.site_settings');
create policy site_settings_select_anon on public.site_settings for select to anon using (app.is_public_setting(key));
create policy site_settings_select_staff on public.site_settings for select to staff
  using (app.is_public_setting(key) or (select app.staff_can('settings_view')) and not app.holds_secret(key, value));
create policy site_settings_insert_staff on public.site_settings for insert to staff
  with check ((select app.staff_can('settings_edit')) and not app.holds_secret(key, value));
create policy site_settings_update_staff on public.site_settings for update to staff
  using ((select app.staff_can('settings_edit')) and not app.holds_secret(key, value));
create policy site_settings_delete_staff on public.site_settings for delete to staff
  using ((select app.staff_can('settings_edit')) and not app.holds_secret(key, value));
grant select, insert, update, delete on public.site_settings to service_role, staff;
grant select on public.site_settings to anon;
call app.grant_sequence('public.site_settings', 'service_role', 'staff');
create or replace trigger tg_site_settings__refuse_staff before insert or update or delete on public.site_settings
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();

create or replace function public.read_settings(p_key text default null, p_is_staff boolean default false)
returns jsonb language sql stable set search_path = '' as $$
  select coalesce(
    jsonb_object_agg(
      s.key,
      case when app.holds_secret(s.key, s.value)
        then app.mask_secrets(jsonb_build_object(s.key, s.value)) -> s.key else s.value end
    ),
    '{}'
  )
  from public.site_settings s
  where (p_key is null or s.key = p_key) and (p_is_staff or app.is_public_setting(s.key));
$$;
comment on function public.read_settings is
  'Settings as {key: value}, or the one of that key: the public ones, all for staff that may see them, secrets masked.';

create or replace function public.save_settings(p_settings jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
begin
  insert into public.site_settings as s (key, value, updated_at)
  select f.key, coalesce(app.keep_masked(jsonb_build_object(f.key, f.value), null) -> f.key, '""'), now()
  from jsonb_each(p_settings) f
  on conflict (key) do update set
    updated_at = now(),
    value = coalesce(
      app.keep_masked(
        jsonb_build_object(s.key, p_settings -> s.key), jsonb_build_object(s.key, s.value)
      ) -> s.key, '""'
    );
  return (
    select jsonb_object_agg(f.key, public.read_settings(f.key, true) -> f.key) from jsonb_each(p_settings) f
  );
end $$;
comment on function public.save_settings is
  'Insert or replace settings, {key: value}; masked secrets keep their stored value. What is stored now, masked.';

create or replace function public.set_logo(p_logo_url text)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_settings jsonb;
  v_previous text;
begin
  insert into public.site_settings (key, value) values ('general_settings', '{}') on conflict (key) do nothing;
  select value, value ->> 'logoUrl' into v_settings, v_previous
  from public.site_settings where key = 'general_settings' for update;
  if jsonb_typeof(v_settings) is distinct from 'object' then
    v_settings := '{}';
  end if;
  v_settings := v_settings
    || jsonb_build_object('logoUrl', p_logo_url, 'logoFileName', regexp_replace(p_logo_url, '^.*/', ''));
  update public.site_settings set value = v_settings, updated_at = now() where key = 'general_settings';
  return jsonb_build_object('settings', v_settings, 'previous', v_previous);
end $$;
comment on function public.set_logo is
  'Set (or, with null, clear) logoUrl and logoFileName among the general settings, which stay: {settings, previous}.';

-- Bookings of packages: the table, its bounds, and everything that row-level security says of it.

do $$
begin
  if to_regclass('public.bookings') is null then
    create table public.bookings (id public.booking_key primary key default app.uuid_v7());
  end if;
end $$;
alter table public.bookings
  add column if not exists name text not null,
  add column if not exists email text not null,
  add column if not exists phone text,
  add column if not exists package text,
  add column if not exists travel_date date,
  add column if not exists booking_date date default current_date,
  add column if not exists amount numeric(12, 2) not null default 0,
  add column if not exists status text not null default 'Pending',
  add column if not exists message text,
  add column if not exists payment_status text not null default 'Pending',
  add column if not exists source text,
  add column if not exists assigned_to text,
  add column if not exists notes text,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists package_id integer,
  add column if not exists customer_id uuid,
  add column if not exists number_of_guests integer not null default 1,
  add column if not exists return_date date,
  add column if not exists special_requests text,
  add column if not exists currency text,
  add column if not exists payment_id text,
  add column if not exists payment_method text,
  add column if not exists payment_date timestamptz,
  add column if not exists invoice_id text,
  add column if not exists invoice_url text,
  alter column booking_date set default current_date,
  alter column amount set default 0,
  alter column status set default 'Pending',
  alter column payment_status set default 'Pending',
  alter column created_at set default now(),
  alter column number_of_guests set default 1;
comment on table public.bookings is 'Bookings of packages by customers and guests; amount in currency units.';
comment on column public.bookings.package is 'The title of the package at the time of booking.';
comment on column public.bookings.customer_id is 'Whose it is; null for a guest who has not proven the address.';
comment on column public.bookings.currency is 'ISO 4217, lower case; null on rows older than the column: the agency''s.';
comment on column public.bookings.payment_id is 'The gateway''s id of the payment that paid it.';
comment on column public.bookings.payment_status is 'Follows all transactions of the booking, by trigger.';
alter table public.bookings
  drop constraint if exists bookings_package_id_fkey,
  add constraint bookings_package_id_fkey foreign key (package_id) references public.packages (id) on delete set null;
create index if not exists bookings_customer_id_idx on public.bookings (customer_id);
create index if not exists bookings_email_lower_idx on public.bookings (lower(email));
create index if not exists bookings_package_id_idx on public.bookings (package_id);
create index if not exists bookings_created_at_idx on public.bookings (created_at desc);

call app.keep_cents('public.bookings', 'amount');
call app.fill_text('public.bookings', 'currency', 'payment_id', 'payment_method', 'invoice_id', 'invoice_url');
-- One that was taken by telephone may have neither until it is paid.
call app.bound_name('public.bookings', 'name', 0, 200);
call app.bound_email('public.bookings', 'email');
call app.bound_line('public.bookings', 'phone', 0, 50);
call app.bound_line('public.bookings', 'package', 0, 300);
call app.bound_number('public.bookings', 'amount', 0, 9999999.99);
call app.bound_choice('public.bookings', 'status', 'Pending', 'Confirmed', 'Cancelled', 'Completed');
call app.bound_text('public.bookings', 'message', 5000);
call app.bound_choice('public.bookings', 'payment_status', 'Paid', 'Pending', 'Refunded', 'Failed');
call app.bound_line('public.bookings', 'source', 0, 100);
call app.bound_line('public.bookings', 'assigned_to', 0, 200);
call app.bound_text('public.bookings', 'notes', 5000);
call app.bound_number('public.bookings', 'number_of_guests', 1, 50);
call app.bound_text('public.bookings', 'special_requests', 5000);
call app.add_check('public.bookings', 'currency', $$currency = '' or currency ~ '^[A-Za-z]{3}$'$$, 'Must look like usd.');

call app.close_table('public.bookings');
-- supabase-js asks for the row it wrote, with all columns (`select=*`), so all columns are granted to visitors; but
-- visible is only a row that this very transaction made: created_at is now(), the transaction's own time, and visitors
-- have no grant to set it.
-- What the trigger below writes over is asked again here: a second lock, for the day on which the trigger is not there.
create policy bookings_insert_anon on public.bookings for insert to anon
  with check (status = 'Pending' and payment_status = 'Pending' and created_at = now());
create policy bookings_select_anon on public.bookings for select to anon using (created_at = now());
create policy bookings_select_customer on public.bookings for select to customer
  using (customer_id = (select auth.uid()));
create policy bookings_select_staff on public.bookings for select to staff
  using ((select app.staff_can('bookings_view')));
create policy bookings_insert_staff on public.bookings for insert to staff
  with check ((select app.staff_can('bookings_create')));
create policy bookings_update_staff on public.bookings for update to staff
  using ((select app.staff_can('bookings_edit')));
create policy bookings_delete_staff on public.bookings for delete to staff
  using ((select app.staff_can('bookings_delete')));
grant select, insert, update, delete on public.bookings to service_role, staff;
grant select, insert (
  name, email, phone, package, travel_date, booking_date, amount, status, message, payment_status, source
) on public.bookings to anon;
grant select (
  id, customer_id, name, email, phone, package, package_id, travel_date, return_date, booking_date, amount, currency,
  status, payment_status, payment_date, number_of_guests, message, special_requests, created_at
) on public.bookings to customer;
call app.grant_sequence('public.bookings', 'service_role', 'staff', 'anon');

-- Definer: visitors do not read what the agency has set.
create or replace function app.tg_bookings__set_currency()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  new.currency := coalesce(nullif(lower(btrim(new.currency)), ''), (select currency from app.agency));
  return new;
end $$;
comment on function app.tg_bookings__set_currency is 'A new booking is in the agency''s currency, whichever door it came by; null until that is set.';
create or replace trigger tg_bookings__set_currency before insert on public.bookings
  for each row execute function app.tg_bookings__set_currency();

create or replace trigger tg_bookings__refuse_staff before insert or update or delete on public.bookings
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
create or replace trigger tg_bookings__guard_columns before insert or update on public.bookings
  for each row when (current_user = 'staff') execute function app.tg_guard_columns();

create or replace function app.tg_bookings__guard_visitor()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_package record;
begin
  if new.travel_date < current_date then
    raise sqlstate 'PT400' using message = 'The travel date is in the past.', hint = 'travel_date_past';
  end if;
  select p.id, p.price, p.duration into v_package
  from public.packages p where p.title = new.package order by p.id limit 1;
  -- A title that no package has is an enquiry: it costs nothing until staff has named a price, and cannot be paid.
  new.package_id := v_package.id;
  new.number_of_guests := coalesce(new.number_of_guests, 1);
  new.amount := coalesce(v_package.price * new.number_of_guests, 0);
  new.return_date := new.travel_date + coalesce(v_package.duration, 0);
  new.booking_date := current_date;
  new.status := 'Pending';
  new.payment_status := 'Pending';
  new.created_at := now();
  return new;
end $$;
comment on function app.tg_bookings__guard_visitor is
  'A visitor''s booking: the amount is the package''s price, the statuses are Pending, whatever was sent.';

create or replace trigger tg_bookings__guard_visitor before insert on public.bookings
  for each row when (current_user = 'anon') execute function app.tg_bookings__guard_visitor();
create or replace trigger tg_bookings__limit_visitor before insert on public.bookings
  for each row when (current_user = 'anon') execute function app.tg_limit_visitor();

create or replace function app.lock_booking(p_booking_id text)
returns public.bookings language plpgsql volatile set search_path = '' as $$
declare
  v_booking public.bookings;
begin
  select * into v_booking from public.bookings where id = app.to_booking_key(p_booking_id) for update;
  if not found then
    raise sqlstate 'PT404' using message = 'Booking not found', hint = 'booking_not_found';
  end if;
  return v_booking;
end $$;
comment on function app.lock_booking is 'The booking of that id, locked. PT404 booking_not_found.';

-- A booking as the site reads it, in one place for the customer's list and the public page of one booking. The view runs
-- with the rights of who asks: each role sees the bookings that it may see.

-- The site crashes on a missing status or an amount that is no number, so neither can be null here. A booking that the
-- site wrote by itself has only the title of its package, and finds the package by that.
create or replace view public.booking_summaries with (security_invoker = true) as
select
  b.id,
  b.customer_id,
  coalesce(nullif(b.package, ''), p.title, '') as "packageName",
  coalesce(p.destinations[1], p.title, nullif(b.package, ''), '') as destination,
  b.travel_date as "startDate",
  coalesce(b.return_date, b.travel_date + coalesce(p.duration, 0)) as "endDate",
  coalesce(b.amount, 0)::numeric as "totalPrice",
  coalesce(b.number_of_guests, 1) as guests,
  lower(coalesce(b.status, 'Pending')) as status,
  coalesce(b.payment_status, 'Pending') as "paymentStatus",
  app.booking_currency(b.currency) as currency,
  b.package_id,
  b.travel_date,
  b.return_date,
  coalesce(b.payment_status, 'Pending') as payment_status,
  b.created_at,
  b.special_requests
from public.bookings b
left join lateral (
  select k.title, k.destinations, k.duration
  from public.packages k
  where k.id = b.package_id or (b.package_id is null and k.title = b.package)
  order by k.id
  limit 1
) p on true;
comment on view public.booking_summaries is
  'Bookings in the shape of the API: totalPrice in currency units, endDate from the package''s days where none is set. '
  'special_requests is for the customer''s own view only.';

revoke all on public.booking_summaries from anon, authenticated, service_role;
grant select on public.booking_summaries to service_role, customer;

create or replace function public.get_booking_summary(p_booking_id text)
returns jsonb language sql stable set search_path = '' as $$
  select to_jsonb(s) from public.booking_summaries s where s.id = app.to_booking_key(p_booking_id);
$$;
comment on function public.get_booking_summary is 'A booking as the API answers it, or null.';

-- Which columns the baseline added to tables that were there before it: its rollback drops these and no others.

insert into app.previous (kind, name)
select 'added column', c.relname || '.' || a.attname
from pg_class c
join app.previous t on t.kind = 'table' and t.name = c.relname
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
  and not exists (select from app.previous p where p.kind = 'column' and p.name = c.relname || '.' || a.attname)
on conflict do nothing;

insert into app.migrations (version) values ('20250605000000') on conflict do nothing;
notify pgrst, 'reload schema';
