"""`/rest/v1` as staff: per table and verb what the permissions of each role say, some columns by their own."""

import json
from typing import Any

import psycopg
import pytest

from service.permissions import ROLES
from tests.client import Client
from tests.factories import Staff, make_booking, unique_email
from tests.site.callers import RETURNING, cookie
from tests.sure import fetch_row
from tools.rights import holders, rights, roles_of

EVERYBODY = set(ROLES)
VERBS = {"GET": "select", "POST": "insert", "PATCH": "update", "DELETE": "delete"}
# What a visitor may send in and read again, staff without the permission may as a visitor.
FORMS = ("bookings", "support_tickets")
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


def make_row(db: psycopg.Connection, table: str) -> tuple[str, str, dict[str, Any]]:
    """(key column, key, a row like it) of a row that is there."""
    row = dict(ROWS[table])
    if table == "itineraries":
        row["package_id"] = fetch_row(db, "insert into packages (title) values ('P') returning id")[0]
    if table == "ticket_messages":
        ticket = "insert into support_tickets (subject, customer, email) values ('s', 'c', 'e@f.example') returning id"
        row["ticket_id"] = fetch_row(db, ticket)[0]
    if table == "admin_users":
        row["email"] = unique_email("row")
    if table == "site_settings":
        row["key"] = unique_email("key")
    columns = ", ".join(row)
    marks = ", ".join(["%s"] * len(row))
    values = [json.dumps(value) if isinstance(value, dict) else value for value in row.values()]
    key = "key" if table == "site_settings" else "id"
    made = fetch_row(db, f"insert into {table} ({columns}) values ({marks}) returning {key}::text", values)[0]
    if table in ("admin_users", "site_settings"):
        row["email" if table == "admin_users" else "key"] = unique_email("new")
    return key, made, row


def allowed(db: psycopg.Connection, table: str) -> dict[str, set[str]]:
    """The roles that may use each method on a table, as docs/rights.md has them."""
    having = holders(db)
    found = {
        right.verb: roles_of(right, having) or EVERYBODY
        for right in rights(db)
        if (right.table, right.role) == (table, "staff")
    }
    may = {method: found.get(verb, set()) for method, verb in VERBS.items()}
    return {**may, "POST": EVERYBODY} if table in FORMS else may


@pytest.mark.parametrize("table", ROWS)
@pytest.mark.parametrize("role", ROLES)
def test_staff_may_do_what_its_permissions_say(role: str, table: str, people: dict[str, Staff], app, db):
    api, headers = Client(app), {**cookie(people[role]), **RETURNING}
    may = allowed(db, table)
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
        elif method != "POST" and role not in may[method]:  # and never as if it were done
            nothing = api.http.open(f"/rest/v1/{table}?{key}=is.null", method=method, headers=headers, json=sent)
            assert (answer.status_code, nothing.status_code) == (403, 403)
            if may[method]:
                assert b"Insufficient permissions. Required: " in answer.data
                assert b"Insufficient permissions. Required: " in nothing.data
    assert done == {verb for verb, roles in may.items() if role in roles}


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
        ({"customer_id": "00000000-0000-4000-8000-000000000000"}, None),
    ):
        body = api.patch(path, change, headers=support, expect=403)
        assert body["message"] == (
            f"Insufficient permissions. Required: {needed}" if needed else "This cannot be changed by hand."
        )
    (ticket,) = fetch_row(
        db, "insert into support_tickets (subject, customer, email) values ('s', 'c', 'e@f.example') returning id"
    )
    ticket_path = f"/rest/v1/support_tickets?id=eq.{ticket}"
    api.patch(ticket_path, {"status": "Closed"}, headers={**support, **RETURNING})
    api.patch(ticket_path, {"assigned_to": "me"}, headers=support, expect=403)
    api.patch(ticket_path, {"assigned_to": "me"}, headers={**manager, **RETURNING})
    said = "insert into testimonials (name, rating, message) values ('x', 5, 'x') returning id"
    said_path = f"/rest/v1/testimonials?id=eq.{fetch_row(db, said)[0]}"
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
