"""The schema cache: tables, columns, functions and settings, read from Postgres' catalogs in one transaction."""

import json
from dataclasses import dataclass, field
from typing import Any

from devstack.postgrest.pool import Connection
from devstack.postgrest.relationships import Relationship, build_relationships
from devstack.postgrest.settings import Settings

Name = tuple[str, str]  # schema, name
SYSTEM_COLUMNS = frozenset(("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"))

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
    where p.proargtypes[0] = c.reltype and p.pronargs >= 1 and p.pronargs - p.pronargdefaults <= 1
      and p.prokind = 'f'))), '[]')
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

MEDIA_TYPES = """
select coalesce(json_agg(lower(typname)), '[]') from pg_catalog.pg_type
where typtype = 'd' and (typname ~* '^[a-z0-9.-]+/[a-z0-9.+-]+$' or typname = '*/*')"""

ROLE_SETTINGS = """
select coalesce(json_agg(json_build_array(r.rolname, s.setconfig)), '[]')
from pg_catalog.pg_db_role_setting s join pg_catalog.pg_roles r on r.oid = s.setrole
where s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
  and pg_catalog.pg_has_role(r.oid, 'member')"""

USER_SETTINGS = """
select coalesce(json_agg(name), '[]') from pg_catalog.pg_settings where context = 'user'"""


@dataclass(slots=True)
class Column:
    """A column: its full type, the type below all domains, and its default as SQL."""

    name: str
    type: str
    base: str
    default: str | None
    required: bool
    description: str | None


@dataclass(slots=True)
class Table:
    """A table or view; `computed` are the functions usable as its columns."""

    schema: str
    name: str
    is_view: bool
    changes: int
    key: list[str]
    columns: dict[str, Column]
    computed: frozenset[str]
    description: str | None
    represented: bool = False

    def knows(self, column: str) -> bool:
        """Whether Postgres can find a column of that name."""
        return column in self.columns or column in self.computed or (column in SYSTEM_COLUMNS and not self.is_view)


@dataclass(slots=True)
class Parameter:
    """An input of a function; `cast` is its type without a length."""

    name: str
    type: str
    cast: str
    required: bool
    variadic: bool


@dataclass(slots=True)
class Function:
    """One signature of a function."""

    schema: str
    name: str
    parameters: list[Parameter]
    returns_set: bool
    is_composite: bool
    returns: Name
    volatility: str
    settings: dict[str, str]
    columns: frozenset[str] | None
    description: str | None

    @property
    def is_scalar(self) -> bool:
        return not self.is_composite

    @property
    def is_void(self) -> bool:
        return self.returns == ("pg_catalog", "void") and not self.returns_set


@dataclass(slots=True)
class Catalog:
    """Everything that planning a request needs to know of the database."""

    tables: dict[Name, Table] = field(default_factory=dict)
    functions: dict[Name, list[Function]] = field(default_factory=dict)
    relationships: dict[Name, list[Relationship]] = field(default_factory=dict)
    media_types: frozenset[str] = frozenset()
    role_settings: dict[str, dict[str, str]] = field(default_factory=dict)


async def load_catalog(connection: Connection, settings: Settings) -> Catalog:
    """Read the exposed schemas; raise ApiError when the database refuses."""
    schemas = _array(settings.db_schemas)
    view_schemas = _array({*settings.db_schemas, *settings.db_extra_search_path})
    steps = [
        ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ()),
        ("select pg_catalog.set_config('search_path', '', true)", ()),
        *((TABLES, (schemas,)), (KEYS, ()), (VIEWS, (view_schemas,)), (COMPUTED_RELATIONSHIPS, ())),
        *((FUNCTIONS, (schemas,)), (MEDIA_TYPES, ()), (ROLE_SETTINGS, ()), (USER_SETTINGS, ())),
        ("COMMIT", ()),
    ]
    results = await connection.run(steps)
    tables, keys, views, computed, functions, media_types, roles, user_settings = (
        json.loads(result.get_value(0, 0)) for result in results[2:10]
    )
    catalog = Catalog(media_types=frozenset(media_types))
    catalog.tables = {(row["schema"], row["name"]): _table(row) for row in tables}
    catalog.relationships = build_relationships(catalog.tables, keys, views, computed, settings.db_schemas)
    for row in functions:
        if function := _function(row, catalog.tables, settings.db_hoisted_tx_settings):
            catalog.functions.setdefault((function.schema, function.name), []).append(function)
    for role, given in roles:
        catalog.role_settings.setdefault(role, {}).update(_assignments(given, user_settings))
    return catalog


async def load_configuration(connection: Connection) -> dict[str, str]:
    """Return the `pgrst.…` settings of the connected role, as `ALTER ROLE … SET pgrst.name` leaves them."""
    sql = """select coalesce(json_agg(line), '[]') from pg_catalog.pg_db_role_setting s, unnest(s.setconfig) line
      where s.setrole = current_user::regrole
        and s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))"""
    (result,) = await connection.run([(sql, ())])
    lines = (line.partition("=") for line in json.loads(result.get_value(0, 0)))
    return {name.removeprefix("pgrst."): value for name, _, value in lines if name.startswith("pgrst.")}


def _array(names: tuple[str, ...] | set[str]) -> bytes:
    return json.dumps(list(names)).replace("[", "{").replace("]", "}").encode()


def _assignments(lines: list[str], allowed: list[str]) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines or ())
    return {name: value for name, _, value in pairs if name in allowed}


def _table(row: dict[str, Any]) -> Table:
    columns = {
        c["name"]: Column(c["name"], c["type"], c["base"], c["default"], c["required"], c["description"])
        for c in row["columns"]
    }
    represented = any(c["represented"] for c in row["columns"])
    computed, text = frozenset(row["computed"]), row["description"]
    return Table(
        row["schema"], row["name"], row["view"], row["changes"], row["key"], columns, computed, text, represented
    )


LENGTHLESS = {"bit": "bit varying", "bit[]": "bit varying[]", "character": "character varying"}
SINGLE_TYPES = ("bytea", "json", "jsonb", "text", "xml")


def _function(row: dict[str, Any], tables: dict[Name, Table], hoisted: tuple[str, ...]) -> Function | None:
    given = row["parameters"]
    required = len(given) - row["defaults"]
    parameters = [
        Parameter(name, type_, LENGTHLESS.get(type_, type_), position < required, variadic)
        for position, (name, type_, variadic) in enumerate(given)
    ]
    unnamed = [parameter for parameter in parameters if not parameter.name]
    if unnamed and (len(parameters) > 1 or unnamed[0].type not in SINGLE_TYPES):
        return None  # cannot be called by name
    returns = (row["return_schema"], row["return_name"])
    columns: frozenset[str] | None = None
    if returns in tables:
        columns = frozenset(tables[returns].columns) | tables[returns].computed
    elif any(mode in "tbo" for mode in row["modes"]):
        columns = frozenset(n for n, m in zip(row["all_names"], row["modes"], strict=False) if m in "tbo")
    pairs = (line.partition("=") for line in row["settings"])
    settings = {name: value for name, _, value in pairs if name in hoisted}
    return Function(
        row["schema"], row["name"], parameters, row["set"], row["composite"], returns,
        row["volatility"], settings, columns, row["description"],
    )  # fmt: skip
