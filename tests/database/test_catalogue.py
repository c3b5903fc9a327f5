"""House rules that hold for every table and function, asked of the catalogue of a migrated database."""

import psycopg
import pytest

# SECURITY DEFINER functions, each with the reason in its migration's header.
DEFINERS = {
    "staff_can",
    "tg_bookings__note_payment",
    "tg_admin_users__keep_an_admin",
    "tg_admin_users__record",
    "tg_site_insert__take_limit",
}
# Functions that a role with row-level security calls: as one customer, or as staff by its permissions.
CALLERS = {
    "address_json": ["customer"],
    "customer_json": ["customer"],
    "delete_address": ["customer"],
    "list_customer_bookings": ["customer"],
    "lock_customer": ["customer"],
    "record_customer_event": ["customer"],
    "save_address": ["customer"],
    "update_preferences": ["customer"],
    "update_profile": ["customer"],
    "holds_secret": ["staff"],
    "is_secret_name": ["staff"],
    "mask_secrets": ["staff"],
    "staff_can": ["staff"],
}

TABLES = """
    select c.relname, c.relrowsecurity, obj_description(c.oid) from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1
"""
FUNCTIONS = """
    select p.proname, p.prosecdef, coalesce(array_to_string(p.proconfig, ','), '') as settings, obj_description(p.oid),
      array(
        select r.rolname from pg_roles r
        where r.rolname in ('anon', 'authenticated', 'customer', 'staff')
          and has_function_privilege(r.oid, p.oid, 'execute')
        order by 1
      ) as callers
    from pg_proc p where p.pronamespace = 'public'::regnamespace order by 1
"""
UNINDEXED_FOREIGN_KEYS = """
    select c.conrelid::regclass || '.' || c.conname from pg_constraint c
    where c.contype = 'f' and c.connamespace = 'public'::regnamespace and not exists (
      select from pg_index i where i.indrelid = c.conrelid and (i.indkey::int2[])[0] = c.conkey[1]
    )
"""
POLICIES = "select tablename || '.' || policyname, roles, coalesce(qual, ''), coalesce(with_check, '') from pg_policies"


@pytest.fixture
def catalogue(stack, db: psycopg.Connection) -> psycopg.Connection:
    return db


def test_every_table_has_row_level_security_and_a_comment(catalogue: psycopg.Connection):
    rows = catalogue.execute(TABLES).fetchall()
    assert len(rows) > 15
    assert [name for name, has_security, _ in rows if not has_security] == []
    assert [name for name, _, comment in rows if not comment] == []


def test_every_function_fixes_its_search_path_and_says_what_it_does(catalogue: psycopg.Connection):
    rows = catalogue.execute(FUNCTIONS).fetchall()
    assert len(rows) > 20
    assert [name for name, _, settings, _, _ in rows if "search_path=" not in settings] == []
    assert [name for name, _, _, comment, _ in rows if not comment] == []
    assert {name for name, is_definer, *_ in rows if is_definer} == DEFINERS


def test_no_role_of_the_browser_calls_a_function_of_the_service(catalogue: psycopg.Connection):
    rows = catalogue.execute(FUNCTIONS).fetchall()
    assert {name: callers for name, _, _, _, callers in rows if callers} == CALLERS


def test_every_foreign_key_has_an_index(catalogue: psycopg.Connection):
    assert catalogue.execute(UNINDEXED_FOREIGN_KEYS).fetchall() == []


def test_policies_name_their_role_and_ask_for_the_caller_once(catalogue: psycopg.Connection):
    """An unwrapped call is made for each row; in a sub-select once."""
    policies = catalogue.execute(POLICIES).fetchall()
    assert [name for name, roles, _, _ in policies if "public" in roles] == []
    bare = [
        name
        for name, _, using, check in policies
        for text in (using, check)
        for asked in ("auth.uid(", "staff_can(")
        if text.count(asked) != text.count(f"SELECT {asked}")
    ]
    assert bare == []


def test_a_bookings_payments_can_be_embedded_without_a_hint(catalogue: psycopg.Connection):
    """Two foreign keys between the two made every embed of the original answer PGRST201."""
    count = catalogue.execute(
        "select count(*) from pg_constraint where contype = 'f' and ("
        " (conrelid = 'transactions'::regclass and confrelid = 'bookings'::regclass) or"
        " (conrelid = 'bookings'::regclass and confrelid = 'transactions'::regclass))"
    ).fetchone()
    assert count == (1,)
