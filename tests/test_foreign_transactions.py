"""A connection of PostgREST that is still inside the transaction of another request: SQLSTATE class 25."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest
from flask import Flask

from service.database import rpc
from service.errors import Unavailable
from tests.client import Client
from tests.sure import fetch_row

ABORTED = "raise sqlstate '25P02' using message = 'current transaction is aborted'"


@pytest.fixture
def replace(db: psycopg.Connection) -> Iterator[Callable[[str, str], None]]:
    """Gives a function without arguments another body, as long as the test runs."""
    before = []

    def put(name: str, body: str) -> None:
        kind, now = fetch_row(
            db, "select prorettype::regtype::text, pg_get_functiondef(oid) from pg_proc where proname = %s", [name]
        )
        before.append(now)
        given = "" if kind == "void" else "null"
        db.execute(
            f"create or replace function public.{name}() returns {kind} language plpgsql volatile security definer"
            f" set search_path = '' as $$ begin {body}; return {given}; end $$"
        )

    yield put
    for definition in before:
        db.execute(definition)


def test_a_call_that_fails_once_is_made_again(replace, app: Flask, db: psycopg.Connection):
    db.execute("create sequence app.tries")  # which counts on, whatever is rolled back
    replace("resume_email_queue", f"if nextval('app.tries') = 1 then {ABORTED}; end if")
    with app.app_context():
        rpc("resume_email_queue")
    assert fetch_row(db, "select last_value from app.tries") == (2,)
    db.execute("drop sequence app.tries")


def test_a_call_that_goes_on_failing_is_a_database_out_of_reach(replace, app: Flask, api: Client):
    replace("readiness", ABORTED)
    with app.app_context(), pytest.raises(Unavailable):
        rpc("readiness")
    assert api.get("/api/ready", expect=503)["problems"] == {"database": "out of reach"}


class Aborted(BaseHTTPRequestHandler):
    """A Supabase whose connections are such, as many times as it is asked before it is well."""

    failures = 0
    asked: list[str] = []

    def answer(self) -> None:
        self.asked.append(self.command)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_well = len(self.asked) > self.failures
        body = b"[]" if is_well else b'{"code":"25P02","message":"current transaction is aborted"}'
        self.send_response(200 if is_well else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def tables(app_with) -> Iterator[Client]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Aborted)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield Client(app_with(SUPABASE_URL=f"http://127.0.0.1:{server.server_port}"))
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("method", "failures", "status", "asked"),
    [("GET", 1, 200, ["GET"] * 2), ("GET", 9, 503, ["GET"] * 2), ("POST", 1, 503, ["POST"])],
)
def test_a_read_of_tables_is_tried_twice(method: str, failures: int, status: int, asked: list[str], tables: Client):
    Aborted.failures, Aborted.asked = failures, []
    body = tables.call(method, "/rest/v1/faqs", {} if method == "POST" else None, expect=status)
    assert Aborted.asked == asked
    if status == 503:
        assert (body["code"], body["message"]) == ("database_unavailable", body["error"])
        assert int(tables.last.headers["Retry-After"]) > 0
