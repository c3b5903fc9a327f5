-- Everything that the schemas public and app hold, as (kind, name, definition): two databases that answer alike are alike.
with relation as (
  select c.oid, c.relname, n.nspname || '.' || c.relname as name, c.relkind, c.relrowsecurity, c.relacl, c.reloptions
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('public', 'app') and c.relkind in ('r', 'p', 'v', 'S')
),
routine as (
  select p.oid, p.proacl, p.prokind, n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')'
    as name
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname in ('public', 'app')
),
acl as (
  select 'table' as kind, name, relacl as given from relation where relkind <> 'S'
  union all select 'sequence', name, relacl from relation where relkind = 'S'
  union all select 'column', r.name || '.' || a.attname, a.attacl from relation r join pg_attribute a on a.attrelid = r.oid
    where a.attnum > 0
  union all select 'function', name, coalesce(proacl, acldefault('f', 'postgres'::regrole)) from routine
  union all select 'schema', nspname, nspacl from pg_namespace where nspname in ('public', 'app')
  union all select 'default ' || d.defaclobjtype::text, coalesce(n.nspname, 'everywhere'), d.defaclacl
    from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace
    where d.defaclrole = 'postgres'::regrole and coalesce(n.nspname, 'app') in ('public', 'app')
)
select 'table' as kind, name, case when relrowsecurity then 'row security' else '' end as definition
from relation where relkind in ('r', 'p')
union all
select 'view', name, pg_get_viewdef(oid) || coalesce(array_to_string(reloptions, ','), '') from relation where relkind = 'v'
union all
select 'column', r.name || '.' || a.attname, concat_ws(
  ' ', format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end, 'default ' || pg_get_expr(d.adbin, d.adrelid),
  nullif(a.attgenerated::text, ''), nullif(a.attidentity::text, '')
)
from relation r
join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
where r.relkind in ('r', 'p', 'v')
union all
select 'constraint', r.name || '.' || c.conname, pg_get_constraintdef(c.oid)
from relation r join pg_constraint c on c.conrelid = r.oid where c.contype <> 'n'
union all
select 'index', n.nspname || '.' || c.relname, pg_get_indexdef(c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'app') and c.relkind = 'i'
union all
select 'function', name, pg_get_functiondef(oid) from routine where prokind in ('f', 'p')
union all
select 'domain', n.nspname || '.' || t.typname, format_type(t.typbasetype, t.typtypmod)
from pg_type t join pg_namespace n on n.oid = t.typnamespace where n.nspname in ('public', 'app') and t.typtype = 'd'
union all
select 'trigger', r.name || '.' || t.tgname, pg_get_triggerdef(t.oid)
from relation r join pg_trigger t on t.tgrelid = r.oid where not t.tgisinternal
union all
select 'policy', schemaname || '.' || tablename || '.' || policyname, concat_ws(
  ' ', permissive, cmd, array_to_string(roles, ','), 'using ' || qual, 'check ' || with_check
)
from pg_policies where schemaname in ('public', 'app')
union all
select 'grant', acl.kind || ' ' || acl.name || ' to ' || coalesce(r.rolname, 'public'),
  string_agg(g.privilege_type, ', ' order by g.privilege_type)
from acl, aclexplode(acl.given) g left join pg_roles r on r.oid = g.grantee
where coalesce(r.rolname, 'public') in ('public', 'anon', 'authenticated', 'service_role', 'customer', 'staff')
group by 1, 2
union all
select 'comment', c.kind || ' ' || c.name, d.description
from (
  select oid, 'pg_class'::regclass as class, 0 as part, 'table' as kind, name from relation
  union all select r.oid, 'pg_class'::regclass, a.attnum, 'column', r.name || '.' || a.attname
    from relation r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0
  union all select oid, 'pg_proc'::regclass, 0, 'function', name from routine
  union all select c.oid, 'pg_constraint'::regclass, 0, 'constraint', r.name || '.' || c.conname
    from relation r join pg_constraint c on c.conrelid = r.oid
) c (oid, class, part, kind, name)
join pg_description d on d.objoid = c.oid and d.classoid = c.class and d.objsubid = c.part
