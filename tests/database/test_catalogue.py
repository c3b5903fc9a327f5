"""House rules that hold for every table and function, asked of the catalogue of a migrated database.

Who may do what stands in docs/rights.md, what Supabase's linter asks in tests/security/lints.py.
"""

import httpx
import psycopg
import pytest

from tools.stack import Stack

TABLES = """
    select c.relname, obj_description(c.oid) from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1
"""
FUNCTIONS = """
    select n.nspname || '.' || p.proname, obj_description(p.oid)
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('public', 'app')
      and p.proname <> 'update_booking_payment_status'  -- left behind by the original, which nothing calls
    order by 1
"""
POLICIES_OF_EVERYBODY = "select tablename || '.' || policyname from pg_policies where 'public' = any (roles)"


@pytest.fixture
def catalogue(stack, db: psycopg.Connection) -> psycopg.Connection:
    return db


def test_every_table_has_a_comment(catalogue: psycopg.Connection):
    rows = catalogue.execute(TABLES).fetchall()
    assert len(rows) > 15
    assert [name for name, comment in rows if not comment] == []


def test_every_function_says_what_it_does(catalogue: psycopg.Connection):
    rows = catalogue.execute(FUNCTIONS).fetchall()
    assert len(rows) > 20
    assert [name for name, comment in rows if not comment] == []


def test_what_only_sql_calls_is_not_served(stack: Stack):
    """The schema app is not exposed: neither by its name nor as part of `public`."""
    headers = {"apikey": stack.key("service_role"), "Authorization": f"Bearer {stack.key('service_role')}"}
    url = stack.url("api") + "/rest/v1/rpc/to_booking_key"
    assert httpx.post(url, headers=headers, json={"p_text": "1"}).status_code == 404
    assert httpx.post(url, headers={**headers, "Content-Profile": "app"}, json={"p_text": "1"}).status_code == 406


def test_everything_that_is_made_later_begins_closed(catalogue: psycopg.Connection):
    """Supabase's defaults would give new tables and functions to visitors, Postgres new functions to everybody."""
    with catalogue.transaction(force_rollback=True):
        catalogue.execute("create table later (id int); create function later() returns int language sql as 'select 1'")
        for role in ("anon", "authenticated", "customer", "staff"):
            assert catalogue.execute(
                "select has_table_privilege(%(role)s, 'later', 'select'),"
                " has_function_privilege(%(role)s, 'later()', 'execute')",
                {"role": role},
            ).fetchone() == (False, False)


def test_policies_name_their_role(catalogue: psycopg.Connection):
    assert catalogue.execute(POLICIES_OF_EVERYBODY).fetchall() == []


def test_a_bookings_payments_can_be_embedded_without_a_hint(catalogue: psycopg.Connection):
    """Two foreign keys between the two made every embed of the original answer PGRST201."""
    count = catalogue.execute(
        "select count(*) from pg_constraint where contype = 'f' and ("
        " (conrelid = 'transactions'::regclass and confrelid = 'bookings'::regclass) or"
        " (conrelid = 'bookings'::regclass and confrelid = 'transactions'::regclass))"
    ).fetchone()
    assert count == (1,)
