"""`make rights`: writes docs/rights.md, who may do what in the database, from the catalogue of a migrated one."""

import itertools
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg

from tools.project import PROJECT
from tools.stack import Stack, free_ports

RIGHTS = PROJECT / "docs" / "rights.md"
HEAD = """\
# Who may do what in the database

Written by `make rights` from the grants, policies and functions of a migrated database. Tests hold it fresh, compare
existing projects with it, and ask PostgREST for every table, verb and function as everybody named here.

What is not in these tables, nobody may. `anon` is every visitor, `staff` and `customer` are as the README says.
`authenticated`, who signed up at Supabase itself, may nothing, and so is in none of them. `service_role`, the service,
is held by grants and not by row-level security. Where rows take a permission, the roles that have it stand beside.
"""
ROLES = ("anon", "authenticated", "customer", "staff", "service_role")
VERBS = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
# A grant, and what the policies ask of rows. Views ask what their tables ask.
GRANTS = """
    select c.relname, r.name, v.verb, has_table_privilege(r.name, c.oid, v.verb),
      case when v.verb in ('select', 'insert', 'update', 'references') then array(
        select a.attname::text from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          and has_column_privilege(r.name, c.oid, a.attnum, v.verb)
        order by a.attname
      ) else '{}' end,
      case when c.relkind = 'v' then 'as its tables' else (
        select string_agg(
          case when p.qual = p.with_check then p.qual else concat_ws(' and ', p.qual, p.with_check) end, ' or '
        ) from pg_policies p
        where p.schemaname = 'public' and p.tablename = c.relname and r.name = any (p.roles)
          and lower(p.cmd) in ('all', v.verb)
      ) end
    from pg_class c, unnest(%s::text[]) with ordinality r (name, place),
      unnest(%s::text[]) with ordinality v (verb, place)
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
    order by c.relname, r.place, v.place
"""
FUNCTIONS = """
    select n.nspname || '.' || p.proname, p.prosecdef, array(
      select r.name from unnest(%s::text[]) with ordinality r (name, place)
      where r.name <> 'service_role' and has_function_privilege(r.name, p.oid, 'execute') order by r.place
    )
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('public', 'app')
      and p.proname <> 'update_booking_payment_status'  -- left behind by the original, which nothing calls
    order by 1
"""
PERMISSIONS = "select permission, array_agg(role order by role) from app.role_permissions group by 1 order by 1"
COLUMNS = "select table_name, column_name, coalesce(permission, 'nobody') from app.column_permissions order by 1, 2"
# How Postgres writes an expression, and how it is read.
NOISE = (
    (re.compile(r"\( ?SELECT app\.staff_can\('(\w+)'::text\) AS \w+\)"), r"\1"),
    (re.compile(r"\( ?SELECT (auth\.uid\(\)) AS uid\)"), r"\1"),
    (re.compile(r"::(text|bpchar)\b"), ""),
    (re.compile(r"\s+"), " "),
    (re.compile(r"\b(AND|OR|NOT|IS NULL)\b"), lambda word: word[0].lower()),
    (re.compile(r"\A\(((?:[^()]|\((?:[^()]|\(\))*\))*)\)\Z"), r"\1"),
)


class Right(NamedTuple):
    """What one role may do to one table: all columns where none is named, the rows for which the condition holds."""

    table: str
    role: str
    verb: str
    columns: tuple[str, ...]
    condition: str


def main() -> int:
    directory = Path(tempfile.mkdtemp(prefix="rights-"))
    try:
        with Stack(directory, free_ports()) as stack, psycopg.connect(stack.postgres.uri()) as connection:
            RIGHTS.write_text(document(connection))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def document(connection: psycopg.Connection) -> str:
    """The text of docs/rights.md."""
    return "\n".join([HEAD, *_tables(connection), *_columns(connection), *_functions(connection)]) + "\n"


def rights(connection: psycopg.Connection) -> Iterator[Right]:
    """Every right that somebody has on a table of the API."""
    for table, role, verb, on_all, columns, condition in connection.execute(GRANTS, [list(ROLES), list(VERBS)]):
        if on_all or columns:
            yield Right(table, role, verb, () if on_all else tuple(columns), _condition(role, condition))


def functions(connection: psycopg.Connection) -> dict[str, tuple[bool, list[str]]]:
    """Each function of ours: whether it runs with its owner's rights, and who beside the service may call it."""
    found = connection.execute(FUNCTIONS, [list(ROLES)])
    return {name: (is_definer, callers) for name, is_definer, callers in found}


def holders(connection: psycopg.Connection) -> dict[str, set[str]]:
    """The roles of staff that have each permission."""
    return {permission: set(roles) for permission, roles in connection.execute(PERMISSIONS)}


def roles_of(right: Right, holders: dict[str, set[str]]) -> set[str]:
    """The roles of staff whose permissions a right asks for; none where it asks for no permission."""
    asked = [holders[word] for word in re.findall(r"\w+", right.condition) if word in holders]
    return (set.union if " or " in right.condition else set.intersection)(*asked) if asked else set()


def _condition(role: str, expression: str | None) -> str:
    if role == "service_role" or expression == "true":
        return "all"
    text = expression or "none"
    for pattern, put in NOISE:
        text = pattern.sub(put, text)
    return text


def _tables(connection: psycopg.Connection) -> Iterator[str]:
    having = holders(connection)
    yield "## Tables\n\n| table | who | may | columns | rows |\n|---|---|---|---|---|"
    for right, same in itertools.groupby(rights(connection), lambda right: right._replace(verb="")):
        rows = right.condition if right.condition in ("all", "none", "as its tables") else f"`{right.condition}`"
        if roles := roles_of(right, having):
            rows += f": {', '.join(sorted(roles))}"
        verbs = ", ".join(each.verb for each in same)
        yield f"| {right.table} | {right.role} | {verbs} | {', '.join(right.columns) or 'all'} | {rows} |"


def _columns(connection: psycopg.Connection) -> Iterator[str]:
    yield "\n## Columns that take a permission of their own\n\n| table | column | permission |\n|---|---|---|"
    for table, column, permission in connection.execute(COLUMNS):
        yield f"| {table} | {column} | {permission} |"


def _functions(connection: psycopg.Connection) -> Iterator[str]:
    yield (
        "\n## Functions\n\nThose that somebody beside the service may call, and those that run with the rights of their"
        " owner. PostgREST\nserves `public` alone.\n\n| function | may call it | runs as |\n|---|---|---|"
    )
    for name, (is_definer, callers) in functions(connection).items():
        if callers or is_definer:
            yield f"| {name} | {', '.join(callers) or '–'} | {'owner' if is_definer else 'caller'} |"


if __name__ == "__main__":
    sys.exit(main())
