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
