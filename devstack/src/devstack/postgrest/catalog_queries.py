"""The questions to Postgres' catalogs, each answered with one JSON document."""

BASE_TYPES = """
with recursive bases as (
  select oid, oid as base, typbasetype as next from pg_catalog.pg_type
  union all
  select b.oid, t.oid, t.typbasetype from bases b join pg_catalog.pg_type t on t.oid = b.next
), base_types as (select oid, base from bases where next = 0)
"""

TABLES = (
    BASE_TYPES
    + """
select coalesce(json_agg(json_build_object(
  'id', c.oid::bigint, 'schema', n.nspname, 'name', c.relname, 'view', c.relkind in ('v', 'm'),
  'description', pg_catalog.obj_description(c.oid, 'pg_class'),
  'changes', case when c.relkind in ('r', 'p') then 28 when c.relkind = 'm' then 0
                  else pg_catalog.pg_relation_is_updatable(c.oid, true) end,
  'key', (select coalesce(json_agg(a.attname order by a.attname), '[]') from pg_catalog.pg_constraint k
          join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = any (k.conkey)
          where k.conrelid = c.oid and k.contype = 'p'),
  'columns', (select coalesce(json_agg(json_build_object(
      'name', a.attname, 'number', a.attnum, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
      'base', pg_catalog.format_type(b.base, null), 'required', a.attnotnull,
      'represented', exists (select from pg_catalog.pg_cast k where a.atttypid in (k.castsource, k.casttarget)
          and t.typtype = 'd' and k.castcontext = 'i' and k.castmethod = 'f'
          and ('json'::regtype in (k.castsource, k.casttarget) or 'text'::regtype in (k.castsource, k.casttarget))),
      'description', pg_catalog.col_description(c.oid, a.attnum),
      'default', case
         when a.attidentity = 'd' then (select pg_catalog.format('nextval(%L)', s.objid::regclass)
              from pg_catalog.pg_depend s where s.refclassid = 'pg_class'::regclass and s.deptype = 'i'
                and s.classid = s.refclassid and s.refobjid = c.oid and s.refobjsubid = a.attnum)
         when a.attgenerated <> '' then null
         when d.adbin is null and t.typbasetype <> 0 then pg_catalog.pg_get_expr(t.typdefaultbin, 0)
         else pg_catalog.pg_get_expr(d.adbin, d.adrelid) end) order by a.attnum), '[]')
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_type t on t.oid = a.atttypid
    join base_types b on b.oid = a.atttypid
    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  'computed', (select coalesce(json_agg(distinct p.proname), '[]') from pg_catalog.pg_proc p
    where p.proargtypes[0] = c.reltype and p.pronargs >= 1 and p.pronargs - p.pronargdefaults <= 1))), '[]')
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any ($1::text[]) and c.relkind in ('r', 'v', 'm', 'f', 'p') and not c.relispartition"""
)

KEYS = """
select coalesce(json_agg(json_build_object(
  'name', k.conname, 'type', k.contype, 'table', json_build_array(n.nspname, c.relname), 'id', k.conrelid::bigint,
  'columns', (select json_agg(json_build_array(a.attnum, a.attname) order by o) from unnest(k.conkey) with ordinality
              as u (at, o) join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = at),
  'foreign', json_build_array(fn.nspname, f.relname), 'foreign_id', k.confrelid::bigint,
  'foreign_columns', (select json_agg(json_build_array(a.attnum, a.attname) order by o) from unnest(k.confkey)
      with ordinality as u (at, o) join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = at),
  'unique', exists (select from pg_catalog.pg_constraint u where u.conrelid = k.conrelid and u.contype in ('p', 'u')
              and u.conkey @> k.conkey and u.conkey <@ k.conkey)) order by k.conrelid, k.conname), '[]')
from pg_catalog.pg_constraint k
join pg_catalog.pg_class c on c.oid = k.conrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_class f on f.oid = k.confrelid left join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
where k.contype in ('p', 'f') and k.conparentid = 0 and n.nspname <> 'pg_catalog'"""

VIEWS = """
select coalesce(json_agg(json_build_object('id', c.oid::bigint, 'name', json_build_array(n.nspname, c.relname),
  'rule', r.ev_action::text, 'columns', (select json_object_agg(a.attnum, a.attname) from pg_catalog.pg_attribute a
                                         where a.attrelid = c.oid and a.attnum > 0))), '[]')
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_rewrite r on r.ev_class = c.oid
where c.relkind in ('v', 'm') and n.nspname = any ($1::text[])"""

COMPUTED_RELATIONSHIPS = """
select coalesce(json_agg(json_build_object('function', json_build_array(n.nspname, p.proname),
  'table', json_build_array(an.nspname, ac.relname), 'foreign', json_build_array(rn.nspname, rc.relname),
  'one', not p.proretset or p.prorows = 1)), '[]')
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_class ac on ac.reltype = p.proargtypes[0] join pg_catalog.pg_namespace an on an.oid = ac.relnamespace
join pg_catalog.pg_class rc on rc.reltype = p.prorettype join pg_catalog.pg_namespace rn on rn.oid = rc.relnamespace
where p.pronargs = 1 and ac.reltype <> 0 and rc.reltype <> 0"""

FUNCTIONS = (
    BASE_TYPES
    + """
select coalesce(json_agg(json_build_object('schema', n.nspname, 'name', p.proname, 'volatility', p.provolatile,
  'description', pg_catalog.obj_description(p.oid, 'pg_proc'), 'set', p.proretset,
  'return_schema', tn.nspname, 'return_name', coalesce(c.relname, t.typname),
  'composite', t.typtype = 'c' or coalesce(p.proargmodes::text[] && '{t,b,o}', false),
  'settings', coalesce(to_json(p.proconfig), '[]'), 'all_names', coalesce(to_json(p.proargnames), '[]'),
  'modes', coalesce(to_json(p.proargmodes::text[]), '[]'),
  'parameters', (select coalesce(json_agg(json_build_array(coalesce(p.proargnames[a.o], ''),
      pg_catalog.format_type(a.type, null), a.type = p.provariadic and a.o = p.pronargs and p.provariadic <> 0
      or coalesce(p.proargmodes[a.o] = 'v', false)) order by a.o), '[]')
    from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality as a (type, o)
    where coalesce(p.proargmodes[a.o], 'i') in ('i', 'b', 'v')),
  'defaults', p.pronargdefaults) order by p.pronargs, p.oid), '[]')
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join base_types b on b.oid = p.prorettype join pg_catalog.pg_type t on t.oid = b.base
join pg_catalog.pg_namespace tn on tn.oid = t.typnamespace left join pg_catalog.pg_class c on c.oid = t.typrelid
where n.nspname = any ($1::text[]) and p.prokind = 'f' and t.oid <> 'trigger'::regtype"""
)

# Functions and aggregates of any row, as `count`: `select=authors(count)` is `authors.count` is `count(authors)`.
ROW_FUNCTIONS = """
select coalesce(json_agg(distinct proname), '[]') from pg_catalog.pg_proc
where pronargs = 1 and proargtypes[0] in ('record'::regtype, '"any"'::regtype, 'anyelement'::regtype,
                                          'anynonarray'::regtype, 'anycompatible'::regtype)"""

MEDIA_TYPES = """
select coalesce(json_agg(lower(typname)), '[]') from pg_catalog.pg_type
where typtype = 'd' and (typname ~* '^[a-z0-9.-]+/[a-z0-9.+-]+$' or typname = '*/*')"""

ROLE_SETTINGS = """
select coalesce(json_agg(json_build_array(r.rolname, s.setconfig) order by s.setdatabase), '[]')
from pg_catalog.pg_db_role_setting s join pg_catalog.pg_roles r on r.oid = s.setrole
where s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
  and pg_catalog.pg_has_role(r.oid, 'member')"""

USER_SETTINGS = """
select coalesce(json_agg(name), '[]') from pg_catalog.pg_settings where context = 'user'"""
