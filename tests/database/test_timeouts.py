"""How long the database lets anybody keep it busy."""

import time
from collections.abc import Iterator

import httpx
import jwt
import psycopg
import pytest

from tests.client import Client
from tests.sure import fetch_row
from tools.stack import Stack

ROLES = {"anon": "3s", "customer": "8s", "staff": "8s", "service_role": "8s"}


@pytest.fixture
def telling(db: psycopg.Connection) -> Iterator[None]:
    """packages tell each reader how long a statement of theirs may take, resume_email_queue() the service."""
    (before,) = fetch_row(db, "select pg_get_functiondef('public.resume_email_queue'::regproc)")
    raise_it = "begin raise sqlstate 'PT400' using message = current_setting('statement_timeout'); end"
    db.execute(f"create function app.tell() returns boolean language plpgsql as $$ {raise_it} $$")
    db.execute("grant execute on function app.tell to anon, customer, staff")
    db.execute(
        "create policy telling on packages as restrictive for select to anon, customer, staff using (app.tell())"
    )
    db.execute(f"create or replace function resume_email_queue() returns void language plpgsql as $$ {raise_it} $$")
    db.execute("insert into packages (title) values ('Telling')")
    yield
    db.execute(before)
    db.execute("drop policy telling on packages; drop function app.tell")


@pytest.mark.parametrize("role", ROLES)
def test_postgrest_gives_each_role_its_time(role: str, telling: None, stack: Stack):
    token = jwt.encode({"role": role, "exp": 2_500_000_000}, stack.secrets["supabase_jwt_secret"], "HS256")
    headers = {"apikey": token, "Authorization": f"Bearer {token}"}
    url = stack.url("api") + "/rest/v1/"
    if role == "service_role":
        answer = httpx.post(url + "rpc/resume_email_queue", headers=headers)
    else:
        answer = httpx.get(url + "packages?select=id", headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (400, ROLES[role])


def test_a_connection_left_in_a_transaction_is_ended(db: psycopg.Connection):
    (found,) = fetch_row(db, "select setconfig from pg_db_role_setting where setrole = 'authenticator'::regrole")
    assert {"statement_timeout=8s", "idle_in_transaction_session_timeout=5s"} <= set(found)


def test_a_visitor_who_asks_for_too_much_is_told_to_come_again(api: Client, db: psycopg.Connection):
    db.execute("insert into faqs (question, answer, published) values ('q', 'a', true)")
    db.execute("create policy slow on faqs as restrictive for select to anon using ((select pg_sleep(9)) is not null)")
    started = time.monotonic()
    try:
        body = api.get("/rest/v1/faqs?select=id", expect=503)
    finally:
        db.execute("drop policy slow on faqs")
    assert (body["code"], body["message"]) == ("database_unavailable", body["error"])
    assert 2.9 < time.monotonic() - started < 5.5  # once: it is not tried again
