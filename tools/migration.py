"""`make migration` and `make release`: supabase/migrations is written from supabase/schemas.

Until the first release the migrations are put together anew, each from the files that its head names. What was released
never changes again: from then on `make migration NAME=add_…` writes the next delta, of what the two differ in.
"""

import hashlib
import os
import re
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from devstack.postgres import Postgres
from tools.project import MIGRATIONS, SUPABASE

RELEASED = SUPABASE / "released.sha256"
CATALOGUE = (Path(__file__).parent / "catalogue.sql").read_text()
REFERENCE_TABLES = ("currencies", "gateway_currencies", "role_permissions", "column_permissions")

HEAD = "-- Put together by `make migration` from these files of supabase/schemas, where the text is edited:\n"
FOOT = """
insert into app.migrations (version) values ('{version}') on conflict do nothing;
notify pgrst, 'reload schema';
"""
# What of a schema is written anew as it stands; the rest (tables, columns, indexes, rows) takes an author.
# In the order in which they can be made: what asks comes after what it asks.
NAMED = {
    "function": r"create or replace (?:function|procedure) ([\w.]+)",
    "constraint": r"call app\.(?:add_check|bound_\w+)\('([\w.]+)', '(\w+)'",
    "view": r"create or replace view ([\w.]+)",
    "policy": r"create policy (\w+) on ([\w.]+)",
    "trigger": r"create or replace trigger (\w+).*? on ([\w.]+)",
}

Rows = dict[tuple[str, str], str]


def main() -> int:
    command, *rest = sys.argv[1:] or [""]
    if command == "release":
        return release()
    if command != "write":
        print("usage: python -m tools.migration write [NAME] | release")
        return 2
    if not released():
        return put_together()
    return write_delta(rest[0]) if rest and rest[0] else _say("NAME=add_something make migration", 2)


def schema_paths() -> list[str]:
    """The files of supabase/schemas in the order of config.toml, as `core/actor.sql`."""
    config = tomllib.loads((SUPABASE / "config.toml").read_text())
    return [path.removeprefix("./schemas/") for path in config["db"]["migrations"]["schema_paths"]]


def sources(migration: Path) -> list[str]:
    """The schema files that a migration's head names; none for a delta."""
    text = migration.read_text()
    return re.findall(r"[a-z_]+/[a-z_]+\.sql", text[len(HEAD) : text.index("\n\n")]) if text.startswith(HEAD) else []


def put_together() -> int:
    """Write the migrations that are not released yet anew."""
    for path in sorted(MIGRATIONS.glob("*.sql")):
        if sources(path):  # else somebody wrote it, and it is left as it is
            path.write_text(composed(path))
    return _say(f"{len(list(MIGRATIONS.glob('*.sql')))} migrations are as supabase/schemas says.")


def composed(migration: Path) -> str:
    """The text of one of the first migrations: its head, the files that it names, the note of its version."""
    names = sources(migration)
    head = HEAD + textwrap.fill(" ".join(names), 118, initial_indent="--   ", subsequent_indent="--   ")
    parts = [(SUPABASE / "schemas" / name).read_text().rstrip("\n") for name in names]
    return "\n\n".join([f"{head}\n-- Roll back: supabase/rollbacks/{migration.name}", *parts]) + "\n" + foot(migration)


def foot(migration: Path) -> str:
    """What every migration ends with: the note by which readiness() knows it."""
    return FOOT.format(version=migration.name.partition("_")[0])


def released() -> dict[str, str]:
    """File name to checksum of the migrations that never change any more."""
    lines = RELEASED.read_text().splitlines() if RELEASED.exists() else []
    return {name: checksum for checksum, name in (line.split() for line in lines if line)}


def changed_since_release() -> list[str]:
    """The names of released migrations that are not as they were."""
    return [name for name, known in released().items() if checksum(MIGRATIONS / name) != known]


def checksum(migration: Path) -> str:
    return hashlib.sha256(migration.read_bytes()).hexdigest()


def release() -> int:
    """Note all migrations as released."""
    paths = sorted(MIGRATIONS.glob("*.sql"))
    RELEASED.write_text("".join(f"{checksum(path)}  {path.name}\n" for path in paths))
    return _say(f"{len(paths)} migrations are released: from here on they never change.")


def catalogue(connection: psycopg.Connection) -> Rows:
    """(kind, name) to definition of everything in the schemas public and app of a database."""
    found = {(kind, name): definition for kind, name, definition in connection.execute(CATALOGUE)}
    for table in REFERENCE_TABLES if ("table", "app.currencies") in found else ():
        rows = connection.execute(f"select to_jsonb(t)::text from app.{table} t")
        found.update({("row", f"app.{table} {row}"): "" for (row,) in rows})
    return found


def apply_schemas(connection: psycopg.Connection) -> None:
    """Make a database from supabase/schemas alone."""
    for name in schema_paths():
        connection.execute((SUPABASE / "schemas" / name).read_text())


def write_delta(name: str) -> int:
    """Write the next migration: what supabase/schemas has and the migrations have not."""
    before, after = both_catalogues()
    changed = sorted({key for key in before.keys() | after.keys() if before.get(key) != after.get(key)})
    if not changed:
        return _say("The migrations are as supabase/schemas says.")
    path = MIGRATIONS / f"{datetime.now(UTC):%Y%m%d%H%M%S}_{re.sub(r'[^a-z0-9]+', '_', name.lower())}.sql"
    statements, by_hand = _delta(changed, before, after)
    notes = "".join(f"-- By hand: {note}\n" for note in by_hand)
    path.write_text(
        f"-- What it does: …\n-- Roll back: supabase/rollbacks/{path.name}\n{notes}\n"
        + "\n\n".join(statements)
        + "\n"
        + foot(path)
    )
    for note in by_hand:
        print(f"by hand: {note}")
    return _say(f"{os.path.relpath(path)} is yours to read, to complete and to give a rollback.")


def statements(text: str) -> Iterator[str]:
    """The statements of an SQL script, each with the comments above it; quoted text is not looked into."""
    token = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|;", re.DOTALL)
    start = 0
    for match in token.finditer(text):
        if match[0] == ";":
            yield text[start : match.end()].strip()
            start = match.end()


def _delta(changed: list[tuple[str, str]], before: Rows, after: Rows) -> tuple[list[str], list[str]]:
    """The statements that make the difference, drops first, and what is left to the author."""
    found = _known_statements()
    drops: set[tuple[int, str]] = set()
    made: set[tuple[int, int, str]] = set()
    by_hand = []
    gone = [name for kind, name in changed if (kind, name) not in after and kind in ("table", "view", "function")]
    named = [_plain(kind, name) for kind, name in changed if kind in NAMED]
    for kind, name in changed:
        is_gone = (kind, name) not in after
        drop = _drop(kind, name, before, after)
        if drop:
            drops.add((list(reversed(NAMED)).index(kind), drop))
        if not is_gone and (known := found.get((kind, _plain(kind, name)))):
            made |= {(list(NAMED).index(kind), place, statement) for place, statement in known}
        elif kind in ("comment", "grant") and any(told in name for told in (gone if is_gone else named)):
            continue
        elif not drop:
            by_hand.append(f"{kind} {name} " + ("is gone" if is_gone else f"is now: {after[kind, name]}"))
    return [statement for _, statement in sorted(drops)] + [statement for *_, statement in sorted(made)], by_hand


def _drop(kind: str, name: str, before: Rows, after: Rows) -> str:
    """What takes away something that is gone, or that cannot be replaced as it is; empty when nothing has to go."""
    old, new = before.get((kind, name)), after.get((kind, name))
    table, _, own = name.rpartition(".")
    if kind == "policy" and old is not None or kind == "trigger" and new is None:
        return f"drop {kind} if exists {own} on {table};"
    if kind == "view" and new is None:
        return f"drop view if exists {name};"
    if kind == "function" and old is not None and (new is None or _signature(old) != _signature(new)):
        return f"drop routine if exists {name};"
    return ""


def _signature(definition: str) -> str:
    """The names of parameters and the result, which no `create or replace` changes."""
    return re.sub(r" DEFAULT [^,)]*", "", definition.partition("\n LANGUAGE")[0])


def _known_statements() -> dict[tuple[str, str], list[tuple[int, str]]]:
    """(kind, name) to the statements of supabase/schemas that make, comment on and grant it, with their places."""
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    every = [s for path in schema_paths() for s in statements((SUPABASE / "schemas" / path).read_text())]
    for place, statement in enumerate(every):
        sql = re.sub(r"\A(--[^\n]*\n|\n)*", "", statement)
        for kind, pattern in NAMED.items():
            if match := re.match(pattern, sql, re.DOTALL):
                found[kind, ".".join(reversed(match.groups()))] = [(place, statement)]
    for kind, name in [key for key in found if key[0] in ("function", "view")]:
        about = re.compile(rf"(comment on|grant [a-z, ]+ on)\b[^']*\b{re.escape(name)}\b", re.DOTALL)
        found[kind, name] += [(n, s) for n, s in enumerate(every) if about.search(s) and "$$" not in s]
    return found


def _plain(kind: str, name: str) -> str:
    """A catalogue's name as the statements of NAMED give it."""
    if kind == "function":
        return name.partition("(")[0]
    if kind == "constraint":
        table, _, own = name.rpartition(".")
        return f"{own.removeprefix(table.partition('.')[2] + '_').removesuffix('_check')}.{table}"
    return name


def both_catalogues() -> tuple[Rows, Rows]:
    """That of a database made by the migrations, and that of one made from supabase/schemas."""
    with tempfile.TemporaryDirectory() as folder, Postgres(Path(folder)) as server:
        found = []
        for database in ("migrated", "declared"):
            server.create_database(database)
            with psycopg.connect(server.uri(database=database), autocommit=True) as connection:
                if database == "declared":
                    apply_schemas(connection)
                else:
                    for path in sorted(MIGRATIONS.glob("*.sql")):
                        connection.execute(path.read_text())
                found.append(catalogue(connection))
        return found[0], found[1]


def _say(sentence: str, code: int = 0) -> int:
    print(sentence)
    return code


if __name__ == "__main__":
    sys.exit(main())
