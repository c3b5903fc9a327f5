"""`/rest/v1`: the caller's request reaches Supabase with the caller's rights, and nothing else of it does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest

from tests.client import Client
from tests.factories import Staff, make_booking
from tests.site.callers import RETURNING, cookie
from tools.stack import Stack


def test_a_visitor_is_anon_whatever_key_comes_along(api: Client, stack: Stack, db: psycopg.Connection, people):
    make_booking(db)
    db.execute("insert into packages (title) values ('Seen')")
    service = {"apikey": stack.key("service_role"), "Authorization": f"Bearer {stack.key('service_role')}"}
    staff = {"Authorization": f"Bearer {people['Admin'].token}"}
    for headers in ({}, service, staff, {"Authorization": "Bearer null"}, {"Cookie": "jklg_customer=x"}):
        assert api.get("/rest/v1/bookings?select=*", headers=headers) == []
        assert "Seen" in {row["title"] for row in api.get("/rest/v1/packages?select=title", headers=headers)}
        assert api.get("/rest/v1/admin_users?select=*", headers=headers, expect=401)["code"] == "42501"


def test_a_visitor_books_and_gets_the_row(api: Client, db: psycopg.Connection):
    db.execute("insert into packages (title, price) values ('Rest Package', 55.5)")
    sent = {
        "name": "Ada",
        "email": "a@example.com",
        "phone": "",
        "package": "Rest Package",
        "travel_date": "2031-01-01",
    }
    (row,) = api.post("/rest/v1/bookings?select=*", [{**sent, "amount": 1}], headers=RETURNING, expect=201)
    assert (row["amount"], row["payment_status"]) == (55.5, "Pending")


def test_visitors_are_limited_each_by_themselves(app):
    row = {"name": "Ada", "location": "x", "rating": 5, "message": "Fine", "status": "pending", "avatar": ""}
    one, two = Client(app), Client(app)
    for _ in range(20):
        one.post("/rest/v1/testimonials", row, expect=201)
    assert one.post("/rest/v1/testimonials", row, expect=429)["code"] == "PT429"
    two.post("/rest/v1/testimonials", row, expect=201)


def test_counts_ranges_and_preferences_pass(people: dict[str, Staff], api: Client, db: psycopg.Connection):
    made = [make_booking(db, source="counted") for _ in range(5)]
    headers = cookie(people["Guide"])
    api.call("HEAD", "/rest/v1/bookings?source=eq.counted", headers={**headers, "Prefer": "count=exact"})
    assert (api.last.headers["Content-Range"], api.last.data) == ("0-4/5", b"")
    part = {**headers, "Range": "1-2", "Range-Unit": "items", "Prefer": "count=exact"}
    assert len(api.get("/rest/v1/bookings?source=eq.counted", headers=part, expect=206)) == 2
    assert api.last.headers["Content-Range"] == "1-2/5"
    one = {**headers, "Accept": "application/vnd.pgrst.object+json"}
    assert api.get(f"/rest/v1/bookings?id=eq.{made[0]}", headers=one)["id"] == made[0]
    assert api.get("/rest/v1/bookings?source=eq.counted", headers=one, expect=406)["code"] == "PGRST116"
    either = f"/rest/v1/bookings?or=(id.eq.{made[0]},id.eq.{made[1]})&select=id&order=id.asc"
    assert len(api.get(either, headers=headers)) == 2


def test_only_own_pages_write_with_a_cookie(people: dict[str, Staff], api: Client, db: psycopg.Connection):
    path = f"/rest/v1/bookings?id=eq.{make_booking(db)}"
    bare = {"Cookie": f"jklg_staff={people['Admin'].token}"}
    for headers in (bare, {**bare, "Origin": "https://evil.example"}, {**bare, "Sec-Fetch-Site": "cross-site"}):
        body = api.patch(path, {"notes": "x"}, headers=headers, expect=403)
        assert (body["code"], body["message"]) == ("csrf", body["error"])
    api.get(path, headers=bare)
    api.patch(path, {"notes": "x"}, headers={**bare, "Sec-Fetch-Site": "same-origin"}, expect=204)


def test_a_body_has_its_limit(api: Client):
    body = api.post("/rest/v1/bookings", data=b"[" + b" " * 1_000_001, content_type="application/json", expect=413)
    assert body["code"] == "too_large"


class Echo(BaseHTTPRequestHandler):
    """A Supabase that tells what reached it, and answers the second half only when it may."""

    protocol_version = "HTTP/1.1"
    may_finish = threading.Event()
    seen: list[tuple[str, dict[str, str], bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.path, dict(self.headers), body))
        self.send_response(201)
        for name, value in (("Content-Range", "*/7"), ("Set-Cookie", "theirs=1"), ("Server", "x")):
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (b"first", b"second"):
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
            if piece == b"first":
                self.may_finish.wait(10)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[str]:
    Echo.seen, Echo.may_finish = [], threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Echo.may_finish.set()
    server.shutdown()
    server.server_close()


def test_bodies_stream_and_only_named_headers_pass(echo: str, app_with):
    api = Client(app_with(SUPABASE_URL=echo))
    headers = {
        **{"Accept": "application/json", "Prefer": "return=minimal", "Range": "0-1", "Range-Unit": "items"},
        **{"Accept-Profile": "public", "Content-Profile": "public", "X-Client-Info": "supabase-js", "Cookie": "a=b"},
        **{"User-Agent": "Mozilla/5.0", "Referer": "https://x.example", "X-Forwarded-For": "1.2.3.4", "apikey": "mine"},
        **{"Authorization": "Bearer mine", "Origin": "https://x.example", "Accept-Encoding": "gzip, br"},
        "X-Actor": '{"name": "mine"}',
    }
    answer = api.http.post(
        "/rest/v1/bookings?columns=%C3%A9&on_conflict=é(1)", json={"a": 1}, headers=headers, buffered=False
    )
    pieces = answer.iter_encoded()
    assert next(pieces) == b"first"  # before the rest was even written
    Echo.may_finish.set()
    assert b"".join(pieces) == b"second"
    answer.close()
    ((path, got, body),) = Echo.seen
    assert (path, json.loads(body)) == ("/rest/v1/bookings?columns=%C3%A9&on_conflict=%C3%A9(1)", {"a": 1})
    kept = {"Accept", "Prefer", "Range", "Range-Unit", "Accept-Profile", "Content-Profile", "Content-Type"}
    ours = {"apikey", "Authorization", "Host", "Content-Length", "Accept-Encoding", "X-Actor"}
    assert set(got) == kept | ours
    assert json.loads(got["X-Actor"])["user_agent"] == "Mozilla/5.0"
    assert "mine" not in got["apikey"] + got["Authorization"] + got["X-Actor"]
    assert (answer.status_code, answer.headers["Content-Range"]) == (201, "*/7")
    assert "Server" not in answer.headers and "theirs" not in str(answer.headers)


def test_without_the_jwt_secret_visitors_go_on_and_staff_is_told(app_with, people: dict[str, Staff]):
    api = Client(app_with(SUPABASE_JWT_SECRET=None))
    api.get("/rest/v1/packages")
    body = api.get("/rest/v1/packages", headers=cookie(people["Admin"]), expect=503)
    assert (body["code"], "SUPABASE_JWT_SECRET" in body["error"]) == ("staff_rest_not_configured", True)
    assert (
        Client(app_with(SUPABASE_ANON_KEY=None)).get("/rest/v1/packages", expect=503)["code"] == "rest_not_configured"
    )


def test_a_supabase_that_is_down(app_with):
    api = Client(app_with(SUPABASE_URL="http://127.0.0.1:9"))
    body = api.get("/rest/v1/packages", expect=503)
    assert (body["code"], body["message"]) == ("database_unavailable", body["error"])
    assert int(api.last.headers["Retry-After"]) > 0


def test_connections_are_kept_and_given_back(app_with):
    app = app_with()
    api = Client(app)
    for _ in range(3):
        api.get("/rest/v1/packages")
        api.call("HEAD", "/rest/v1/packages")
        api.post("/rest/v1/nothing", {}, expect=404)
    assert app.extensions["rest"].num_connections == 1
    (kept,) = filter(None, app.extensions["rest"].pool.queue)
    kept.sock.shutdown(2)  # as when the other side closes it meanwhile
    api.get("/rest/v1/packages")
