"""`/rest/v1`: the caller's request reaches Supabase with the caller's rights, and nothing else of it does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest

from devstack.stack import Stack
from tests.client import Client
from tests.factories import Staff, make_booking, make_staff, unique_email

OWN = {"Origin": "http://localhost"}
RETURNING = {"Prefer": "return=representation"}
ROLES = ("Admin", "Manager", "Guide", "Support")
# {table: {verb: roles}}: who may do what straight on the table, as the contract's permissions say.
EVERYBODY, NOBODY, CONTENT = set(ROLES), set(), {"Admin", "Manager"}
DESK = {"Admin", "Manager", "Support"}
MAY = {
    "bookings": {"GET": EVERYBODY, "POST": DESK, "PATCH": DESK, "DELETE": {"Admin"}},
    "packages": {"GET": EVERYBODY, "POST": CONTENT, "PATCH": CONTENT, "DELETE": CONTENT},
    "itineraries": {"GET": EVERYBODY, "POST": CONTENT, "PATCH": CONTENT, "DELETE": CONTENT},
    "destinations": {"GET": EVERYBODY, "POST": CONTENT, "PATCH": CONTENT, "DELETE": CONTENT},
    "gallery": {"GET": EVERYBODY, "POST": CONTENT, "PATCH": CONTENT, "DELETE": CONTENT},
    "testimonials": {"GET": EVERYBODY, "POST": {"Admin"}, "PATCH": CONTENT, "DELETE": {"Admin"}},  # PATCH: to approve
    "faqs": {"GET": EVERYBODY, "POST": CONTENT, "PATCH": CONTENT, "DELETE": CONTENT},
    "blog_posts": {"GET": EVERYBODY, "POST": CONTENT, "PATCH": CONTENT, "DELETE": CONTENT},
    "support_tickets": {"GET": DESK, "POST": DESK, "PATCH": DESK, "DELETE": {"Admin"}},
    "ticket_messages": {"GET": DESK, "POST": DESK, "PATCH": DESK, "DELETE": {"Admin"}},
    "site_settings": {"GET": {"Admin"}, "POST": {"Admin"}, "PATCH": {"Admin"}, "DELETE": {"Admin"}},
    "admin_users": {"GET": {"Admin", "Manager"}, "POST": {"Admin"}, "PATCH": {"Admin"}, "DELETE": {"Admin"}},
    "email_history": {"GET": EVERYBODY, "POST": EVERYBODY, "PATCH": NOBODY, "DELETE": NOBODY},
}
ROWS: dict[str, dict[str, Any]] = {
    "bookings": {"name": "Ada", "email": "ada@example.com", "travel_date": "2031-01-01", "amount": 10},
    "packages": {"title": "Staff Package", "price": 10},
    "itineraries": {"day": 1, "title": "Arrival"},
    "destinations": {"name": "Pokhara"},
    "gallery": {"title": "Fishtail"},
    "testimonials": {"name": "Ada", "rating": 5, "message": "Fine"},
    "faqs": {"question": "Q", "answer": "A", "published": False},
    "blog_posts": {"title": "Draft"},
    "support_tickets": {"subject": "S", "customer": "C", "email": "c@example.com"},
    "ticket_messages": {"message": "M"},
    "site_settings": {"value": {"a": 1}},
    "admin_users": {"name": "New", "role": "Guide"},
    "email_history": {"recipient_email": "a@example.com"},
}
CHANGED = {"faqs": "answer", "site_settings": "updated_at", "itineraries": "title", "ticket_messages": "message"}


@pytest.fixture(scope="module")
def people(app, db: psycopg.Connection) -> dict[str, Staff]:
    return {role: make_staff(Client(app), db, role) for role in ROLES}


def cookie(person: Staff) -> dict[str, str]:
    return {"Cookie": f"jklg_staff={person.token}", **OWN}


def make_row(db: psycopg.Connection, table: str) -> tuple[str, str, dict[str, Any]]:
    """(key column, key, a row like it) of a row that is there."""
    row = dict(ROWS[table])
    if table == "itineraries":
        row["package_id"] = db.execute("insert into packages (title) values ('P') returning id").fetchone()[0]
    if table == "ticket_messages":
        ticket = "insert into support_tickets (subject, customer, email) values ('s', 'c', 'e') returning id"
        row["ticket_id"] = db.execute(ticket).fetchone()[0]
    if table == "admin_users":
        row["email"] = unique_email("row")
    if table == "site_settings":
        row["key"] = unique_email("key")
    columns = ", ".join(row)
    marks = ", ".join(["%s"] * len(row))
    values = [json.dumps(value) if isinstance(value, dict) else value for value in row.values()]
    key = "key" if table == "site_settings" else "id"
    made = db.execute(f"insert into {table} ({columns}) values ({marks}) returning {key}::text", values).fetchone()[0]
    if table in ("admin_users", "site_settings"):
        row["email" if table == "admin_users" else "key"] = unique_email("new")
    return key, made, row


@pytest.mark.parametrize("table", MAY)
@pytest.mark.parametrize("role", ROLES)
def test_staff_may_do_what_its_permissions_say(role: str, table: str, people: dict[str, Staff], app, db):
    api, headers = Client(app), {**cookie(people[role]), **RETURNING}
    key, made, row = make_row(db, table)
    path = f"/rest/v1/{table}?{key}=eq.{made}"
    done = set()
    if api.get(path, headers=headers):
        done.add("GET")
    column = CHANGED.get(table, next(iter(ROWS[table])))
    change = {column: "2026-01-01T00:00:00Z" if column == "updated_at" else ROWS[table][column]}
    for method, sent in (("POST", row), ("PATCH", change), ("DELETE", None)):
        target = f"/rest/v1/{table}" if method == "POST" else path
        answer = api.http.open(target, method=method, headers=headers, json=sent, buffered=True)
        assert answer.status_code in (200, 201, 403), f"{method} {answer.status} {answer.text}"
        if answer.status_code != 403 and answer.json:
            done.add(method)
    assert done == {verb for verb, roles in MAY[table].items() if role in roles}


def test_everything_else_is_closed_to_staff(people: dict[str, Staff], app, db: psycopg.Connection):
    api = Client(app)
    tables = db.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')"
    ).fetchall()
    for (table,) in tables:
        if table not in MAY:
            body = api.get(f"/rest/v1/{table}", headers=cookie(people["Admin"]), expect=403)
            assert body["code"] == "42501", table


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


def test_staff_lists_and_edits_accounts_without_hashes(people: dict[str, Staff], api: Client):
    guide = people["Guide"]
    rows = api.get("/rest/v1/admin_users?select=*", headers=cookie(people["Admin"]))
    assert guide.email in {row["email"] for row in rows}
    assert not any("hash" in column or "password" in column for row in rows for column in row)
    path = f"/rest/v1/admin_users?id=eq.{people['Admin'].id}"
    headers = cookie(people["Admin"])
    assert api.delete(path, headers=headers, expect=400)["hint"] == "own_account"
    assert api.patch(path, {"status": "Inactive"}, headers=headers, expect=400)["hint"] == "own_account"


def test_columns_that_take_their_own_permission(people: dict[str, Staff], api: Client, db: psycopg.Connection):
    path = f"/rest/v1/bookings?id=eq.{make_booking(db)}"
    support, manager = cookie(people["Support"]), cookie(people["Manager"])
    for change, needed in (
        ({"payment_status": "Paid"}, "bookings_update_payment"),
        ({"assigned_to": "me"}, "bookings_reassign"),
        ({"customer_id": "00000000-0000-4000-8000-000000000000"}, "nobody"),
    ):
        body = api.patch(path, change, headers=support, expect=403)
        assert body["message"] == f"Insufficient permissions. Required: {needed}"
    ticket = db.execute(
        "insert into support_tickets (subject, customer, email) values ('s', 'c', 'e') returning id"
    ).fetchone()[0]
    ticket_path = f"/rest/v1/support_tickets?id=eq.{ticket}"
    api.patch(ticket_path, {"status": "Closed"}, headers={**support, **RETURNING})
    api.patch(ticket_path, {"assigned_to": "me"}, headers=support, expect=403)
    api.patch(ticket_path, {"assigned_to": "me"}, headers={**manager, **RETURNING})
    said = "insert into testimonials (name, rating, message) values ('x', 5, 'x') returning id"
    said_path = f"/rest/v1/testimonials?id=eq.{db.execute(said).fetchone()[0]}"
    api.patch(said_path, {"message": "better"}, headers=manager, expect=403)
    (row,) = api.patch(said_path, {"status": "published"}, headers={**manager, **RETURNING})
    assert (row["message"], row["status"]) == ("x", "published")


def test_a_payment_status_written_into_the_table_is_a_payment_noted(people, api: Client, db: psycopg.Connection):
    manager = people["Manager"]
    booking_id = make_booking(db)
    headers = {**cookie(manager), **RETURNING}
    (row,) = api.patch(f"/rest/v1/bookings?id=eq.{booking_id}", {"payment_status": "Paid"}, headers=headers)
    assert row["payment_status"] == "Paid"
    made = {"name": "A", "email": "a@example.com", "amount": 20, "travel_date": "2031-01-01", "payment_status": "Paid"}
    (new,) = api.post("/rest/v1/bookings", made, headers=headers, expect=201)
    for booking, amount in ((booking_id, 29999), (new["id"], 2000)):
        noted = db.execute(
            "select b.payment_status, t.gateway, t.status, t.amount, a.changed_by from bookings b"
            " join transactions t on t.booking_id = b.id join transaction_audit_logs a on a.transaction_id = t.id"
            " where b.id = %s",
            [booking],
        ).fetchall()
        assert noted == [("Paid", "manual", "completed", amount, manager.email)]


def test_settings_with_secrets_are_out_of_reach(people: dict[str, Staff], api: Client, db: psycopg.Connection):
    db.execute("""insert into site_settings (key, value) values ('smtp_config', '{"smtpPassword": "x"}')
        on conflict (key) do update set value = excluded.value""")
    headers = cookie(people["Admin"])
    upsert = {**headers, "Prefer": "resolution=merge-duplicates,return=representation"}
    assert "smtp_config" not in {row["key"] for row in api.get("/rest/v1/site_settings?select=*", headers=headers)}
    api.post("/rest/v1/site_settings", {"key": "smtp_config", "value": {}}, headers=upsert, expect=403)
    api.post("/rest/v1/site_settings", {"key": "x", "value": {"apiKey": "y"}}, headers=upsert, expect=403)
    for value in ({"a": 1}, {"a": 2}):
        (row,) = api.post(
            "/rest/v1/site_settings?on_conflict=key",
            {"key": "ui_preferences", "value": value},
            headers=upsert,
            expect=201 if value["a"] == 1 else 200,
        )
        assert row["value"] == value
    public = api.get("/rest/v1/site_settings?select=key", headers=cookie(people["Guide"]))
    assert {"key": "ui_preferences"} in public


def test_only_own_pages_write_with_a_cookie(people: dict[str, Staff], api: Client, db: psycopg.Connection):
    path = f"/rest/v1/bookings?id=eq.{make_booking(db)}"
    bare = {"Cookie": f"jklg_staff={people['Admin'].token}"}
    for headers in (bare, {**bare, "Origin": "https://evil.example"}, {**bare, "Sec-Fetch-Site": "cross-site"}):
        body = api.patch(path, {"notes": "x"}, headers=headers, expect=403)
        assert (body["code"], body["message"]) == ("csrf", body["error"])
    api.get(path, headers=bare)
    api.patch(path, {"notes": "x"}, headers={**bare, "Sec-Fetch-Site": "same-origin"}, expect=204)


def test_a_session_that_ended_gives_nothing_and_the_cookie_goes(staff, app, db: psycopg.Connection):
    guide = staff("Guide")
    headers = {"Cookie": f"jklg_staff={guide.token}", **OWN}
    api = Client(app)
    api.get("/rest/v1/bookings", headers=headers)
    guide.api.post("/api/auth/logout")
    body = api.get("/rest/v1/bookings", headers=headers, expect=401)
    assert (body["code"], body["hint"]) == ("PT401", "session_ended")
    assert "jklg_staff=;" in api.last.headers["Set-Cookie"]
    api.get("/rest/v1/bookings", headers={"Cookie": "jklg_staff=x.y.z"}, expect=401)
    assert "jklg_staff=;" in api.last.headers["Set-Cookie"]
    demoted = staff("Admin")
    db.execute("update admin_users set role = 'Guide' where id = %s", [demoted.id])
    api.get("/rest/v1/admin_users", headers={"Cookie": f"jklg_staff={demoted.token}"}, expect=401)


@pytest.mark.parametrize("path", ["", "..%2Fauth%2Fv1%2Fuser", "rpc/a/b", "a.b", "bookings/", "%00", "x" * 64])
def test_no_other_address_of_supabase_is_reached(path: str, api: Client):
    assert api.get(f"/rest/v1/{path}", expect=404)["code"] == "not_found"


def test_a_body_has_its_limit(api: Client):
    body = api.post("/rest/v1/bookings", data=b"[" + b" " * 1_000_001, content_type="application/json", expect=413)
    assert body["code"] == "too_large"


def test_functions_of_the_service_are_closed(people: dict[str, Staff], api: Client):
    for headers in ({}, cookie(people["Admin"])):
        status = 403 if headers else 401
        body = api.post(
            "/rest/v1/rpc/authenticate_staff", {"p_staff_id": 1, "p_session_id": None}, headers=headers, expect=status
        )
        assert body["code"] == "42501"


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
    }
    answer = api.http.post("/rest/v1/bookings?a=%C3%A9&b=é(1)", json={"a": 1}, headers=headers, buffered=False)
    pieces = answer.iter_encoded()
    assert next(pieces) == b"first"  # before the rest was even written
    Echo.may_finish.set()
    assert b"".join(pieces) == b"second"
    answer.close()
    ((path, got, body),) = Echo.seen
    assert (path, json.loads(body)) == ("/rest/v1/bookings?a=%C3%A9&b=%C3%A9(1)", {"a": 1})
    kept = {"Accept", "Prefer", "Range", "Range-Unit", "Accept-Profile", "Content-Profile", "Content-Type"}
    ours = {"apikey", "Authorization", "Host", "Content-Length", "Accept-Encoding"}
    assert set(got) == kept | ours
    assert "mine" not in got["apikey"] + got["Authorization"]
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
    assert len(app.extensions["rest"]._idle) == 1
    for _, connection in app.extensions["rest"]._idle:
        connection.sock.shutdown(2)  # as when the other side closes it meanwhile
    api.get("/rest/v1/packages")
