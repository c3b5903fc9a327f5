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
