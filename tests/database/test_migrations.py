"""The migrations: they say what the schemas say, on an empty project and on an existing one, twice, and back again."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from devstack.postgres import BINARIES, Postgres
from tests.database.existing import PROJECTS
from tools import migration
from tools.migration import MIGRATIONS, SUPABASE, Rows, catalogue

FILES = sorted(MIGRATIONS.glob("*.sql"))
ROLLBACKS = SUPABASE / "rollbacks"
DEFINITION = re.compile(r"create or replace (?:function|procedure) (\w+\.\w+)\(")


@pytest.fixture(scope="module", params=sorted(BINARIES))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("pg"), request.param) as running:
        yield running


@pytest.fixture(scope="module")
def fresh(server: Postgres) -> Rows:
    """The catalogue of an empty project with all migrations."""
    with database(server, "fresh") as connection:
        migrate(connection)
        return catalogue(connection)


def database(server: Postgres, name: str) -> psycopg.Connection:
    server.create_database(name)
    return psycopg.connect(server.uri(database=name), autocommit=True)


def migrate(connection: psycopg.Connection) -> None:
    for path in FILES:
        connection.execute(path.read_text())


def roll_back(connection: psycopg.Connection) -> None:
    for path in reversed(FILES):
        connection.execute((ROLLBACKS / path.name).read_text())


def differences(one: Rows, other: Rows) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    keys = sorted(one.keys() | other.keys())
    return {key: (one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}


def test_versions_are_unique_and_of_14_digits():
    versions = [re.match(r"[0-9]*", path.name)[0] for path in FILES]
    assert all(len(version) == 14 for version in versions), versions
    assert len(set(versions)) == len(versions)


def test_every_migration_has_its_rollback_and_notes_itself():
    assert {path.name for path in FILES} == {path.name for path in ROLLBACKS.glob("*.sql")}
    assert [path.name for path in FILES if not path.read_text().endswith(migration.foot(path))] == []


def test_what_is_not_released_is_put_together_from_the_schemas():
    assert [name for path in FILES[:8] for name in migration.sources(path)] == migration.schema_paths()
    assert [
        path.name
        for path in FILES
        if migration.sources(path)
        and path.name not in migration.released()
        and path.read_text() != migration.composed(path)
    ] == []


def test_a_released_migration_never_changes():
    assert migration.changed_since_release() == []  # else write a further migration


def test_a_change_of_a_released_migration_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(migration, "MIGRATIONS", tmp_path)
    monkeypatch.setattr(migration, "RELEASED", tmp_path / "released.sha256")
    (tmp_path / FILES[0].name).write_text(FILES[0].read_text())
    migration.release()
    assert migration.released() and migration.changed_since_release() == []
    (tmp_path / FILES[0].name).write_text(FILES[0].read_text() + " ")
    assert migration.changed_since_release() == [FILES[0].name]


def test_the_schemas_and_the_migrations_make_the_same_database(server: Postgres, fresh: Rows):
    with database(server, "declared") as connection:
        migration.apply_schemas(connection)
        declared = catalogue(connection)
        assert differences(fresh, declared) == {}
        for broken in ("alter table bookings add extra text", "drop policy bookings_delete_staff on bookings"):
            with connection.transaction(force_rollback=True):
                connection.execute(broken)
                assert len(differences(fresh, catalogue(connection))) == 1
    assert len(fresh) > 1000


def test_no_call_runs_forward():
    """What a file calls stands before it: in the order of config.toml a database is whole after each file."""
    order = [(SUPABASE / "schemas" / name).read_text() for name in migration.schema_paths()]
    made_in = {name: place for place, text in enumerate(order) for name in DEFINITION.findall(text)}
    assert len(made_in) > 100
    forward = [
        (migration.schema_paths()[place], name)
        for place, text in enumerate(order)
        for name in made_in
        if made_in[name] > place and f"{name}(" in text
    ]
    assert forward == []
    listed = {path.relative_to(SUPABASE / "schemas").as_posix() for path in SUPABASE.glob("schemas/*/*.sql")}
    assert set(migration.schema_paths()) == listed


def test_an_empty_project_is_filled_twice_and_emptied(server: Postgres, fresh: Rows):
    with database(server, "empty") as connection:
        before = catalogue(connection)
        migrate(connection)
        migrate(connection)
        assert differences(fresh, catalogue(connection)) == {}
        roll_back(connection)
        assert differences(before, catalogue(connection)) == {}
        migrate(connection)
        assert differences(fresh, catalogue(connection)) == {}


@pytest.mark.parametrize("project", PROJECTS)
def test_an_existing_project_gets_the_same_and_gets_back_what_it_was(server: Postgres, fresh: Rows, project: str):
    with database(server, project) as connection:
        connection.execute(PROJECTS[project])
        before = catalogue(connection)
        rows = connection.execute("select id, name, amount, payment_status from bookings order by id").fetchall()
        migrate(connection)
        migrate(connection)
        # Its own columns keep their types, its tables their keys, what we do not know of stays; all else is the same.
        after = catalogue(connection)
        kinds = {kind for kind, _ in differences(fresh, after)}
        assert kinds <= {"column", "constraint", "domain", "function", "grant", "index", "view"}, kinds
        named = {kind: {name for k, name in after if k == kind} for kind, _ in fresh}
        missing = [(k, n) for k, n in fresh if n not in named[k]]
        assert {kind for kind, _ in missing} <= {"constraint", "index", "view"}, missing
        assert (
            connection.execute("select id, name, amount, payment_status from bookings order by id").fetchall() == rows
        )
        assert connection.execute(
            "select format_type(typbasetype, null) from pg_type where typname = 'booking_key'"
        ).fetchone() == ("integer",)
        assert connection.execute("select conname from pg_constraint where not convalidated").fetchall() == []
        assert connection.execute(
            "select app.to_booking_key('2'), app.to_booking_key('x'), app.to_booking_key('99999999999')"
        ).fetchone() == (2, None, None)
        connection.execute("insert into support_tickets (subject, customer, email) values ('s', 'c', 'c@d.example')")
        connection.execute("update bookings set payment_status = 'Failed', status = 'Completed' where id = 2")
        connection.execute("update bookings set status = 'Pending' where id = 2")
        roll_back(connection)
        assert differences(before, catalogue(connection)) == {}
        assert (
            connection.execute("select id, name, amount, payment_status from bookings order by id").fetchall() == rows
        )


def test_old_rows_outside_a_bound_stay_and_new_ones_are_refused(server: Postgres):
    with database(server, "outside") as connection:
        connection.execute(PROJECTS["by_setup"])
        connection.execute("update bookings set amount = -1 where id = 2")
        migrate(connection)
        assert connection.execute("select amount from bookings where id = 2").fetchone() == (-1,)
        unproven = "select conname from pg_constraint where not convalidated"
        assert connection.execute(unproven).fetchall() == [("bookings_amount_check",)]
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("update bookings set amount = -1 where id = 1")


def test_staff_of_an_existing_project_goes_on_with_its_passwords(server: Postgres):
    with database(server, "hashes") as connection:
        connection.execute(PROJECTS["by_migrations_and_hand"])
        hashes = connection.execute("select id, password_hash from admin_users order by id").fetchall()
        migrate(connection)
        assert (
            connection.execute("select staff_id, password_hash from staff_credentials order by 1").fetchall() == hashes
        )
        assert connection.execute("select name from admin_users where status = 'Inactive'").fetchall() == [
            ("Old Guide",)
        ]
        roll_back(connection)
        assert connection.execute("select id, password_hash from admin_users order by id").fetchall() == hashes


def test_each_rollback_gives_back_the_step_before(server: Postgres):
    with database(server, "steps") as connection:
        before = []
        for path in FILES:
            before.append(catalogue(connection))
            connection.execute(path.read_text())
        for path, expected in reversed(list(zip(FILES, before, strict=True))):
            connection.execute((ROLLBACKS / path.name).read_text())
            assert differences(expected, catalogue(connection)) == {}, path.name


def test_the_roles_go_with_the_last_database_that_has_them(tmp_path: Path):
    roles = "select rolname from pg_roles where rolname in ('customer', 'staff') order by 1"
    settings = "select setrole::regrole::text, unnest(setconfig) from pg_db_role_setting order by 1, 2"
    with Postgres(tmp_path) as alone, psycopg.connect(alone.uri(), autocommit=True) as connection:
        connection.execute("alter role service_role set statement_timeout = '60s'")  # by whoever had the project
        before = connection.execute(settings).fetchall()
        migrate(connection)
        assert connection.execute(roles).fetchall() == [("customer",), ("staff",)]
        assert ("service_role", "statement_timeout=8s") in connection.execute(settings).fetchall()
        roll_back(connection)
        assert connection.execute(roles).fetchall() == []
        assert connection.execute(settings).fetchall() == before
