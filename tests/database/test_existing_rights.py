"""An existing project that was open to the whole world, as the original needed it, is closed by the migrations."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.database.test_anon import READABLE, WRITABLE
from tools.stack import Stack

EXISTING = (Path(__file__).parent / "existing_project.sql").read_text()
# Older Supabase projects grant everything new to everybody, and the original's tables had policies for everybody.
OPEN = """
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
"""
OPEN_POLICIES = """
do $$
declare
  v_table text;
begin
  for v_table in select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' loop
    execute format('alter table %I enable row level security', v_table);
    execute format('create policy "Allow all" on %I using (true) with check (true)', v_table);
    execute format('create policy "Allow anon" on %I for select to anon using (true)', v_table);
  end loop;
end $$;
"""
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
CALLABLE = """
    select r.rolname || ' ' || p.proname from pg_proc p, pg_roles r
    where p.pronamespace = 'public'::regnamespace and r.rolname in ('anon', 'authenticated')
      and has_function_privilege(r.oid, p.oid, 'execute')
"""


@pytest.fixture(scope="module")
def existing(stack: Stack) -> Iterator[psycopg.Connection]:
    """The owner's connection to such a project, migrated."""
    stack.postgres.create_database("existing_rights")
    stack.postgres.execute(OPEN + EXISTING + OPEN_POLICIES, database="existing_rights")
    stack.postgres.migrate("existing_rights")
    with psycopg.connect(stack.postgres.uri(database="existing_rights"), autocommit=True) as connection:
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


def test_tables_of_ours_are_closed_to_who_signed_up_at_supabase(existing: psycopg.Connection):
    """The tables that were there before keep what the project granted; new ones, with secrets, start closed."""
    before = {*READABLE, *WRITABLE, "admin_users", "ticket_messages", "email_history"}
    rights = existing.execute(RIGHTS, {"role": "authenticated"}).fetchall()
    assert [(table, verb) for table, verb, on_all, _ in rights if on_all and table not in before] == []


def test_no_old_policy_is_left_for_everybody(existing: psycopg.Connection):
    assert (
        existing.execute("select tablename, policyname from pg_policies where policyname like 'Allow%'").fetchall()
        == []
    )


def test_a_visitor_books_on_integer_ids(existing: psycopg.Connection):
    with existing.transaction(force_rollback=True):
        existing.execute("set local role anon")
        row = existing.execute(
            "insert into bookings (name, email, package, travel_date, amount, payment_status)"
            " values ('New', 'n@example.com', 'Old Tour', current_date, 1, 'Paid') returning id, amount, payment_status"
        ).fetchone()
        assert row == (3, 450, "Pending")
        assert existing.execute("select count(*) from bookings").fetchone() == (1,)  # the one of this transaction
    with existing.transaction(force_rollback=True):
        existing.execute("set local role anon")
        assert existing.execute("select count(*) from bookings").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            existing.execute("select * from admin_users")
