"""The migrations: on an empty project, on an existing one, twice, and back again."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from devstack.postgres import BINARIES, Postgres
from tools.project import MIGRATIONS, PROJECT

FILES = sorted(MIGRATIONS.glob("*.sql"))
ROLLBACKS = PROJECT / "supabase" / "rollbacks"
EXISTING = (Path(__file__).parent / "existing_project.sql").read_text()

# Everything that a migration can leave behind in `public`, but for what belongs to an extension.
INVENTORY = """
    select 'relation ' || relname from pg_class where relnamespace = 'public'::regnamespace
    union select 'function ' || proname from pg_proc where pronamespace = 'public'::regnamespace
    union select 'domain ' || typname from pg_type where typnamespace = 'public'::regnamespace and typtype in ('d', 'e')
    union select 'policy ' || polname from pg_policy
    union select 'column ' || attrelid::regclass || '.' || attname
      from pg_attribute a join pg_class c on c.oid = attrelid
      where c.relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped
    union select 'trigger ' || tgname from pg_trigger where not tgisinternal
    union select 'schema ' || nspname from pg_namespace where nspname not like 'pg\\_%'
"""


@pytest.fixture(scope="module", params=sorted(BINARIES))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("pg"), request.param, migrations=MIGRATIONS) as running:
        yield running


def inventory(server: Postgres, database: str) -> set[str]:
    with psycopg.connect(server.uri(database=database)) as connection:
        return {row[0] for row in connection.execute(INVENTORY)}


def test_versions_are_unique_and_of_14_digits():
    versions = [re.match(r"[0-9]*", path.name)[0] for path in FILES]
    assert all(len(version) == 14 for version in versions), versions
    assert len(set(versions)) == len(versions)


def test_every_migration_has_its_rollback():
    assert {path.name for path in FILES} == {path.name for path in ROLLBACKS.glob("*.sql")}


def test_an_empty_project_is_filled_twice_and_emptied(server: Postgres):
    server.create_database("empty")
    before = inventory(server, "empty")
    assert server.migrate("empty") == [path.stem for path in FILES]
    filled = inventory(server, "empty")
    for path in FILES:
        server.execute(path.read_text(), database="empty")
    assert inventory(server, "empty") == filled
    for path in reversed(FILES):
        server.execute((ROLLBACKS / path.name).read_text(), database="empty")
    assert inventory(server, "empty") - before == {
        "schema supabase_migrations"  # the history's own, in which nothing of ours is left
    }
    for path in FILES:
        server.execute(path.read_text(), database="empty")
    assert inventory(server, "empty") - {"schema supabase_migrations"} == filled - {"schema supabase_migrations"}


def test_an_existing_project_keeps_its_ids_and_rows(server: Postgres):
    server.create_database("existing")
    server.execute(EXISTING, database="existing")
    server.migrate("existing")
    for path in FILES:
        server.execute(path.read_text(), database="existing")
    with psycopg.connect(server.uri(database="existing"), autocommit=True) as owner:
        rows = owner.execute("select id, name, amount, payment_status, currency from bookings order by id").fetchall()
        assert rows == [(1, "Old Guest", 900, "Paid", "usd"), (2, "Old Guest", 450, "Pending", "usd")]
        assert owner.execute(
            "select format_type(typbasetype, null) from pg_type where typname = 'booking_key'"
        ).fetchone() == ("integer",)
        owner.execute("update bookings set payment_status = 'Failed' where id = 2")
        assert owner.execute("select title, price from packages").fetchall() == [("Old Tour", 450)]
        assert owner.execute(
            "select to_booking_key('2'), to_booking_key('x'), to_booking_key('99999999999')"
        ).fetchone() == (2, None, None)
    for path in reversed(FILES[1:]):  # the baseline's own tables were there before
        server.execute((ROLLBACKS / path.name).read_text(), database="existing")
    with psycopg.connect(server.uri(database="existing")) as owner:
        rows = owner.execute("select id, name, amount, payment_status from bookings order by id").fetchall()
        assert rows == [(1, "Old Guest", 900, "Paid"), (2, "Old Guest", 450, "Pending")]
