"""What of passwords is nobody's flow: no account comes with one, none grows old, our pages let them be filled in."""

import re
from collections.abc import Callable

import psycopg

from service.passwords import COMMON_RANKS, _common_passwords
from tests.client import Client
from tests.factories import Customer, Staff
from tests.sure import fetch_row
from tools.project import PROJECT
from tools.stack import Stack

PAGES = [path for path in (PROJECT / "service").rglob("*.html") if "<input" in path.read_text()]


def test_an_empty_project_has_no_account(stack: Stack):
    stack.postgres.create_database("nobody")
    stack.postgres.migrate("nobody")
    with psycopg.connect(stack.postgres.uri(database="nobody")) as connection:
        for table in ("admin_users", "staff_credentials", "customers"):
            assert fetch_row(connection, f"select count(*) from {table}") == (0,)


def test_a_password_does_not_grow_old(
    api: Client, db: psycopg.Connection, customer: Customer, staff: Callable[..., Staff]
):
    guide = staff("Guide")
    db.execute("update customers set password_changed_at = now() - interval '20 years' where id = %s", [customer.id])
    db.execute("update staff_credentials set changed_at = now() - interval '20 years' where staff_id = %s", [guide.id])
    api.post("/api/customers/login", {"email": customer.email, "password": customer.password})
    api.post("/api/auth/login", {"email": guide.email, "password": guide.password})


def test_more_than_3000_common_passwords_are_known_that_the_rules_would_let_pass():
    assert (COMMON_RANKS, len(_common_passwords()) > 3000) == (10_000, True)


def test_our_own_pages_hide_passwords_and_let_them_be_pasted_and_filled_in():
    fields = [field for page in PAGES for field in re.findall(r"<input[^>]*password[^>]*>", page.read_text())]
    assert len(fields) >= 2
    for field in fields:
        assert 'type="password"' in field and re.search(r'autocomplete="(new|current)-password"', field), field
        assert "maxlength" not in field and "onpaste" not in field, field
    for page in PAGES:
        assert not re.search(r"paste|oncopy|autocomplete=.off", page.read_text() + page.with_suffix(".js").read_text())
