"""An existing project that was open to the whole world, as the original needed it, is closed by the migrations."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.database.existing import PROJECTS
from tests.database.test_anon import READABLE, WRITABLE
from tools.stack import Stack

RIGHTS = """
    select c.relname, p.name, has_table_privilege(%(role)s, c.oid, p.name),
      case when p.name in ('select', 'insert', 'update') then array(
        select a.attname::text from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          and has_column_privilege(%(role)s, c.oid, a.attnum, p.name)
      ) else '{}' end
    from pg_class c, unnest(array['select', 'insert', 'update', 'delete', 'truncate']) p (name)
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
"""
# What the original left behind is its own to close.
CALLABLE = """
    select r.rolname || ' ' || p.proname from pg_proc p, pg_roles r
    where p.pronamespace = 'public'::regnamespace and 'search_path=""' = any (p.proconfig)
      and r.rolname in ('anon', 'authenticated')
      and has_function_privilege(r.oid, p.oid, 'execute')
"""


# Older Supabase projects grant everything new to everybody.
OPEN = """
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
"""


@pytest.fixture(scope="module", params=PROJECTS)
def existing(stack: Stack, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """The owner's connection to such a project, migrated."""
    name = f"rights_{request.param}"
    stack.postgres.create_database(name)
    stack.postgres.execute(OPEN + PROJECTS[request.param], database=name)
    stack.postgres.migrate(name)
    with psycopg.connect(stack.postgres.uri(database=name), autocommit=True) as connection:
        yield connection


def test_visitors_keep_no_more_than_the_list(existing: psycopg.Connection):
    for table, verb, on_all, columns in existing.execute(RIGHTS, {"role": "anon"}).fetchall():
        if verb == "select":
            assert on_all == (table in READABLE | {"bookings", "support_tickets"}), table
        elif verb == "insert":
            assert (on_all, set(columns)) == (False, WRITABLE.get(table, set())), table
        else:
            assert (on_all, columns) == (False, []), f"{verb} {table}"


def test_nobody_from_outside_calls_a_function(existing: psycopg.Connection):
    assert [row[0] for row in existing.execute(CALLABLE)] == []


def test_who_signed_up_at_supabase_has_no_rights(existing: psycopg.Connection):
    """Anybody may, with the public key; nobody of this site does."""
    rights = existing.execute(RIGHTS, {"role": "authenticated"}).fetchall()
    assert [(table, verb) for table, verb, on_all, columns in rights if on_all or columns] == []


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
