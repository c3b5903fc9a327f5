"""Role customer, asked through PostgREST with a token of its own: its rows, its columns, and no more."""

import time

import httpx
import jwt
import pytest

from tests.factories import make_booking, make_customer

HOME = {"label": "Home", "street": "1 Main", "city": "Oslo", "country": "NO"}


@pytest.fixture
def as_customer(stack, customer):
    """Asks PostgREST as the role customer, with the customer's id in the token."""
    now = int(time.time())
    claims = {"role": "customer", "sub": customer.id, "iat": now, "exp": now + 60}
    token = jwt.encode(claims, stack.secrets["supabase_jwt_secret"], "HS256")
    headers = {"apikey": stack.key("anon"), "Authorization": f"Bearer {token}", "Prefer": "return=representation"}
    with httpx.Client(base_url=stack.url("api") + "/rest/v1", headers=headers) as client:
        yield client


@pytest.fixture
def stranger(api, db):
    """Another customer with a row in each table."""
    person = make_customer(api, db, name="Somebody Else")
    person.api.post(f"/api/customers/{person.id}/addresses", HOME, expect=201)
    make_booking(db, customer_id=person.id)
    return person


def test_a_customer_reads_their_own_rows_and_nobody_elses(as_customer, db, customer, stranger):
    customer.api.post(f"/api/customers/{customer.id}/addresses", HOME, expect=201)
    make_booking(db, customer_id=customer.id)
    for table, key in [
        ("customers", "id"),
        ("customer_addresses", "customer_id"),
        ("customer_preferences", "customer_id"),
        ("bookings", "customer_id"),
        ("booking_summaries", "customer_id"),
    ]:
        mine = as_customer.get(f"/{table}", params={"select": key})
        assert mine.json() == [{key: customer.id}], table
        theirs = as_customer.get(f"/{table}", params={"select": key, key: f"eq.{stranger.id}"})
        assert (theirs.status_code, theirs.json()) == (200, []), table


@pytest.mark.parametrize("column", ["password_hash", "deleted_at", "password_changed_at", "*"])
def test_hidden_columns_are_closed(as_customer, column):
    answer = as_customer.get("/customers", params={"select": column})
    assert (answer.status_code, answer.json()["code"]) == (403, "42501")


@pytest.mark.parametrize("column", ["notes", "assigned_to", "source"])
def test_what_staff_note_on_a_booking_is_closed(as_customer, column):
    assert as_customer.get("/bookings", params={"select": column}).status_code == 403


def test_nobody_elses_rows_are_changed(as_customer, db, stranger):
    other = {"id": f"eq.{stranger.id}", "select": "id"}
    assert as_customer.patch("/customers", params=other, json={"name": "Eve"}).json() == []
    others = {"customer_id": f"eq.{stranger.id}"}
    assert as_customer.patch("/customer_addresses", params=others, json={"city": "Eve"}).json() == []
    assert as_customer.delete("/customer_addresses", params=others).json() == []
    assert as_customer.patch("/customer_preferences", params=others, json={"sms": True}).json() == []
    planted = as_customer.post("/customer_addresses", json={**HOME, "customer_id": stranger.id})
    assert (planted.status_code, planted.json()["code"]) == (403, "42501")
    assert as_customer.patch("/bookings", params=others, json={"amount": 1}).status_code == 403
    assert db.execute("select name from customers where id = %s", [stranger.id]).fetchone() == ("Somebody Else",)
    rows = db.execute("select city from customer_addresses where customer_id = %s", [stranger.id])
    assert rows.fetchall() == [("Oslo",)]


@pytest.mark.parametrize(
    "change",
    [
        {"status": "active"},
        {"verified_at": "2026-01-01"},
        {"loyalty_points": 1000},
        {"total_spent": 0},
        {"email": "x@example.com"},
        {"password_hash": "x"},
        {"id": "00000000-0000-4000-8000-000000000000"},
    ],
)
def test_what_is_not_the_customers_to_change_is_closed_on_their_own_row(as_customer, customer, change):
    answer = as_customer.patch("/customers", params={"id": f"eq.{customer.id}", "select": "id"}, json=change)
    assert (answer.status_code, answer.json()["code"]) == (403, "42501")


def test_an_address_cannot_be_given_away(as_customer, customer, stranger):
    customer.api.post(f"/api/customers/{customer.id}/addresses", HOME, expect=201)
    mine = {"customer_id": f"eq.{customer.id}"}
    answer = as_customer.patch("/customer_addresses", params=mine, json={"customer_id": stranger.id})
    assert (answer.status_code, answer.json()["code"]) == (403, "42501")


def test_functions_hold_to_the_callers_rows(as_customer, db, stranger):
    for function, body in [
        ("update_profile", {"p_changes": {"name": "Eve"}}),
        ("save_address", {"p_address_id": None, "p_fields": HOME}),
        ("update_preferences", {"p_changes": {"sms": True}}),
    ]:
        answer = as_customer.post(f"/rpc/{function}", json={"p_customer_id": stranger.id, **body})
        assert (answer.status_code, answer.json()["hint"]) == (401, "session_ended"), (function, answer.text)
    listed = as_customer.post(
        "/rpc/list_customer_bookings", json={"p_customer_id": stranger.id, "p_page": 1, "p_limit": 50}
    )
    assert listed.json() == {"total": 0, "bookings": []}
    assert db.execute("select name from customers where id = %s", [stranger.id]).fetchone() == ("Somebody Else",)
