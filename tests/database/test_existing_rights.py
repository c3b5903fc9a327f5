"""An existing project that was open to the whole world, as the original needed it, is closed by the migrations.

That its rights are those of docs/rights.md is asked in tests/security/test_rights.py.
"""

from collections.abc import Iterator

import psycopg
import pytest

from tests.database.existing import PROJECTS
from tools.stack import Stack


@pytest.fixture(scope="module", params=PROJECTS)
def existing(stack: Stack, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """The owner's connection to such a project, migrated."""
    name = f"closed_{request.param}"
    stack.postgres.create_database(name)
    stack.postgres.execute(PROJECTS[request.param], database=name)
    stack.postgres.migrate(name)
    with psycopg.connect(stack.postgres.uri(database=name), autocommit=True) as connection:
        yield connection


def test_no_old_policy_is_left_for_everybody(existing: psycopg.Connection):
    policies = existing.execute("select tablename, policyname, roles from pg_policies where schemaname = 'public'")
    assert [row for row in policies if {"public", "authenticated"} & set(row[2])] == []


def test_a_visitor_books_on_integer_ids(existing: psycopg.Connection):
    with existing.transaction(force_rollback=True):
        existing.execute("set local role anon")
        row = existing.execute(
            "insert into bookings (name, email, phone, package, travel_date, amount, payment_status, source)"
            " values ('New', 'n@example.com', null, 'Old Tour', current_date, 1, 'Paid', 'Website')"
            " returning id, amount, payment_status, phone"
        ).fetchone()
        assert row == (3, 24999, "Pending", "")
        assert existing.execute("select count(*) from bookings").fetchone() == (1,)  # the one of this transaction
    with existing.transaction(force_rollback=True):
        existing.execute("set local role anon")
        assert existing.execute("select count(*) from bookings").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            existing.execute("select * from admin_users")
