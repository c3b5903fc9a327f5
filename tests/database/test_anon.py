"""What visitors read and send in with the anon key, asked of PostgREST itself; their rights stand in docs/rights.md."""

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.factories import make_booking, unique_email
from tests.sure import fetch_row
from tools.rights import rights
from tools.stack import Stack

COLUMNS = """
    select array_agg(attname::text) from pg_attribute
    where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
"""
PUBLIC_SETTINGS = {
    *("general_settings", "social_links", "hero_slides", "display_settings", "seo_settings", "ui_preferences"),
}
BOOKING = {
    "name": "Ada Byron",
    "email": "ada@example.com",
    "phone": "",
    "package": "Anon Package",
    "travel_date": "2031-05-01",
    "booking_date": "2020-01-01",
    "amount": 1,
    "status": "Pending",
    "message": "",
    "payment_status": "Pending",
    "source": "Website",
}
TICKET = {
    "subject": "Visa",
    "customer": "Ada",
    "email": "ada@example.com",
    "status": "Open",
    "priority": "Medium",
    "category": "General",
    "assigned_to": None,
    "last_update": "2020-01-01T00:00:00Z",
}
TESTIMONIAL = {
    "name": "Ada",
    "location": "London",
    "rating": 5,
    "message": "Fine.",
    "status": "pending",
    "date": "2026-01-01",
    "avatar": "",
}
RETURNING = {"Prefer": "return=representation"}

_addresses = (f"192.0.2.{n}" for n in itertools.count(1))


@pytest.fixture(scope="module", autouse=True)
def rows(db: psycopg.Connection) -> None:
    """Something in the tables, so that seeing nothing means being kept from it."""
    db.execute("insert into packages (title, price, duration) values ('Anon Package', 120.50, 5)")
    db.execute(
        "insert into faqs (question, answer, published) values ('Shown?', 'Yes', true), ('Hidden?', 'Yes', false)"
    )
    db.execute("insert into blog_posts (title, status) values ('Shown', 'Published'), ('Hidden', 'Draft')")
    db.execute(
        "insert into testimonials (name, rating, message, status)"
        " values ('Shown', 5, 'x', 'published'), ('Hidden', 5, 'x', 'pending'), ('No', 5, 'x', 'rejected')"
    )
    db.execute("insert into support_tickets (subject, customer, email) values ('Secret', 'Eve', 'eve@example.com')")
    db.execute(
        "insert into site_settings (key, value) values ('general_settings', '{}'), ('smtp_config', '{}')"
        " on conflict do nothing"
    )
    db.execute("insert into admin_users (name, email) values ('Hidden', %s)", [unique_email("hidden")])
    make_booking(db)


@pytest.fixture
def anon(stack: Stack) -> Iterator[httpx.Client]:
    """PostgREST with the anon key, from an address of its own."""
    headers = {"apikey": stack.key("anon"), "Authorization": f"Bearer {stack.key('anon')}"}
    headers["X-Forwarded-For"] = next(_addresses)
    with httpx.Client(base_url=stack.url("api") + "/rest/v1/", headers=headers) as client:
        yield client


@pytest.mark.parametrize("table", ["bookings", "support_tickets"])
def test_what_others_sent_in_is_neither_seen_nor_counted(table: str, anon: httpx.Client):
    assert anon.get(table).json() == []
    assert anon.head(table, headers={"Prefer": "count=exact"}).headers["Content-Range"] == "*/0"


@pytest.mark.parametrize("table", ["bookings", "testimonials", "support_tickets"])
def test_a_visitor_sets_only_the_columns_of_the_list(table: str, anon: httpx.Client, db: psycopg.Connection):
    (columns,) = fetch_row(db, COLUMNS, [table])
    (may,) = [right.columns for right in rights(db) if right[:3] == (table, "anon", "insert")]
    sent = {column: anon.post(table, json={column: None}) for column in columns}
    assert {column for column, answer in sent.items() if answer.status_code not in (401, 403)} == set(may)


def test_only_what_is_published_shows(anon: httpx.Client):
    assert {row["question"] for row in anon.get("faqs").json()} & {"Shown?", "Hidden?"} == {"Shown?"}
    assert {row["status"] for row in anon.get("blog_posts").json()} == {"Published"}
    assert {row["status"] for row in anon.get("testimonials").json()} == {"published"}
    keys = {row["key"] for row in anon.get("site_settings").json()}
    assert "general_settings" in keys and keys <= PUBLIC_SETTINGS


def test_an_embed_shows_no_more_than_the_table(anon: httpx.Client):
    rows = anon.get("packages", params={"select": "title,bookings(*)"}).json()
    assert rows and all(row["bookings"] == [] for row in rows)
    assert anon.get("packages", params={"select": "title,bookings(transactions(*))"}).status_code == 401


def test_a_booking_comes_back_with_the_amount_of_its_package(anon: httpx.Client, db: psycopg.Connection):
    sent = {**BOOKING, "amount": 0.01, "status": "Confirmed", "payment_status": "Paid"}
    answer = anon.post("bookings", params={"select": "*"}, json=[sent], headers=RETURNING)
    assert answer.status_code == 201, answer.text
    (row,) = answer.json()
    assert (row["amount"], row["status"], row["payment_status"]) == (120.5, "Pending", "Pending")
    assert (row["number_of_guests"], row["return_date"], row["customer_id"]) == (1, "2031-05-06", None)
    stored = fetch_row(db, "select amount, payment_status from bookings where id = %s", [row["id"]])
    assert (float(stored[0]), stored[1]) == (120.5, "Pending")
    assert anon.get("bookings", params={"id": f"eq.{row['id']}"}).json() == []


def test_an_enquiry_without_a_package_costs_nothing_yet(anon: httpx.Client):
    sent = {**BOOKING, "package": "Something of my own"}
    (row,) = anon.post("bookings", json=sent, headers=RETURNING).json()
    assert (row["amount"], row["package_id"]) == (0, None)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"travel_date": "2020-01-01"}, 400),
        ({"message": "x" * 20_000}, 400),
        ({"created_at": "2020-01-01"}, 401),
        ({"customer_id": "00000000-0000-4000-8000-000000000001"}, 401),
        ({"package_id": 1}, 401),
        ({"id": "00000000-0000-4000-8000-000000000001"}, 401),
        ({"payment_id": "pi_1"}, 401),
    ],
)
def test_a_booking_is_refused(change: dict[str, Any], status: int, anon: httpx.Client):
    answer = anon.post("bookings", json={**BOOKING, **change}, headers=RETURNING)
    assert answer.status_code == status, answer.text


def test_a_ticket_comes_back_open_and_unassigned(anon: httpx.Client, db: psycopg.Connection):
    sent = {**TICKET, "status": "Closed", "assigned_to": "me"}
    answer = anon.post("support_tickets", params={"select": "*"}, json=[sent], headers=RETURNING)
    assert answer.status_code == 201, answer.text
    (row,) = answer.json()
    assert (row["status"], row["assigned_to"], row["subject"]) == ("Open", "", "Visa")
    assert row["last_update"] == row["created_at"]
    assert anon.get("support_tickets").json() == []


def test_a_testimonial_waits_to_be_published(anon: httpx.Client, db: psycopg.Connection):
    name = unique_email("writer")
    answer = anon.post("testimonials", json=[{**TESTIMONIAL, "name": name, "status": "published"}])
    assert answer.status_code == 201, answer.text
    assert db.execute("select status from testimonials where name = %s", [name]).fetchall() == [("pending",)]
    assert anon.get("testimonials", params={"name": f"eq.{name}"}).json() == []


def test_one_address_may_send_in_so_much_a_minute(anon: httpx.Client, stack: Stack):
    for _ in range(20):
        assert anon.post("testimonials", json=TESTIMONIAL).status_code == 201
    answer = anon.post("testimonials", json=TESTIMONIAL)
    assert (answer.status_code, answer.json()["code"], answer.json()["hint"]) == (429, "PT429", "too_many_attempts")
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    # What a visitor writes before the last proxy's entry is no other address.
    forged = {"X-Forwarded-For": "203.0.113.7, " + anon.headers["X-Forwarded-For"]}
    assert anon.post("testimonials", json=TESTIMONIAL, headers=forged).status_code == 429
    assert anon.post("testimonials", json=TESTIMONIAL, headers={"X-Forwarded-For": next(_addresses)}).status_code == 201


def test_many_rows_at_once_count_one_by_one(anon: httpx.Client, db: psycopg.Connection):
    name = unique_email("flood")
    assert anon.post("testimonials", json=[{**TESTIMONIAL, "name": name}] * 21).status_code == 429
    assert db.execute("select count(*) from testimonials where name = %s", [name]).fetchone() == (0,)
