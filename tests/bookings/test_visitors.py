"""Visitors book a package, at its price, and look at a booking."""

import datetime
import uuid

import psycopg
import pytest

from tests.client import Client
from tests.factories import make_booking, unique_email
from tests.sure import fetch_row

PUBLIC = {
    *("id", "packageName", "destination", "startDate", "endDate", "totalPrice", "guests", "status"),
    *("paymentStatus", "currency"),
}


@pytest.fixture
def package(db: psycopg.Connection) -> int:
    (package_id,) = fetch_row(
        db,
        "insert into packages (title, price, duration, destinations)"
        " values ('Annapurna', 299.99, 4, '{Pokhara,Ghandruk}') returning id",
    )
    return package_id


def order(package: object, **changes: object) -> dict:
    return {
        "package_id": package,
        "customer_email": unique_email("guest"),
        "customer_name": "Ada Byron",
        "customer_phone": "+44 20 555",
        "travel_date": "2031-05-01",
        "number_of_guests": 2,
        "special_requests": "Two singles,\nplease.",
        **changes,
    }


def test_a_guest_books_at_the_price_of_the_package(api: Client, package: int, db: psycopg.Connection):
    given = order(package, amount=0.01, totalPrice=1, status="Confirmed", payment_status="Paid", customer_id="x")
    body = api.post("/api/bookings", given, expect=201)
    booking = body["booking"]
    assert (body["success"], body["message"]) == (True, "Booking created successfully")
    assert {key: booking[key] for key in PUBLIC - {"id"}} == {
        "packageName": "Annapurna",
        "destination": "Pokhara",
        "startDate": "2031-05-01",
        "endDate": "2031-05-05",
        "totalPrice": 599.98,
        "guests": 2,
        "status": "pending",
        "paymentStatus": "Pending",
        "currency": "usd",
    }
    row = db.execute(
        "select amount::text, status, payment_status, customer_id, email, package_id, special_requests from bookings"
        " where id = %s",
        [booking["id"]],
    ).fetchone()
    email, wish = given["customer_email"], given["special_requests"]
    assert row == ("599.98", "Pending", "Pending", None, email, package, wish)


def test_a_customer_books_for_themselves(customer, package: int):
    booking = customer.api.post("/api/bookings", order(str(package), number_of_guests="3"), expect=201)["booking"]
    assert booking["totalPrice"] == 899.97
    listed = customer.api.get(f"/api/customers/{customer.id}/bookings")["bookings"]
    assert [row["id"] for row in listed] == [booking["id"]]


def test_a_token_that_is_there_must_be_good(api: Client, package: int):
    for bearer in ("null", "undefined", ""):
        api.post("/api/bookings", order(package), headers={"Authorization": f"Bearer {bearer}"}, expect=201)
    api.post("/api/bookings", order(package), headers={"Authorization": "Bearer x.y.z"}, expect=401)


def test_an_unknown_package(api: Client, package: int):
    for missing in (99999999, str(uuid.uuid4())):
        body = api.post("/api/bookings", order(missing), expect=404)
        assert body == {"error": "Package not found", "code": "package_not_found"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("package_id", None), ("package_id", -1), ("package_id", 1.5), ("package_id", "abc"), ("package_id", True)),
        *(("customer_email", "nobody"), ("customer_email", None), ("customer_name", ""), ("customer_name", "\ud800")),
        *(("customer_name", "x" * 201), ("travel_date", "tomorrow"), ("travel_date", "2031-02-30"), ("travel_date", 5)),
        *(("number_of_guests", 0), ("number_of_guests", 51), ("number_of_guests", "two"), ("number_of_guests", 1.5)),
        *(("number_of_guests", True), ("special_requests", "x" * 5001), ("customer_phone", "\x00")),
    ],
)
def test_a_bad_order_is_refused(field: str, value: object, api: Client, package: int):
    body = api.post("/api/bookings", order(package, **{field: value}), expect=400)
    assert set(body["details"]) == {field}


def test_a_date_in_the_past_is_refused(api: Client, package: int):
    yesterday = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)).date().isoformat()
    body = api.post("/api/bookings", order(package, travel_date=yesterday), expect=400)
    assert body == {"error": "The travel date is in the past.", "code": "travel_date_past"}


def test_a_booking_shows_no_personal_data(api: Client, db: psycopg.Connection):
    booking_id = make_booking(db, name="Secret Name", phone="555", notes="note", number_of_guests=2)
    booking = api.get(f"/api/bookings/{booking_id}")["booking"]
    assert set(booking) == PUBLIC
    assert (booking["id"], booking["totalPrice"], booking["status"]) == (booking_id, 299.99, "pending")
    assert "Secret" not in api.last.text and "@" not in api.last.text


@pytest.mark.parametrize("path", ["abc", "77777", "0", "-1", "%20", "00000000-0000-4000-8000-000000000000", "9" * 30])
def test_a_booking_that_is_not_there(path: str, api: Client):
    assert api.get(f"/api/bookings/{path}", expect=404) == {"error": "Booking not found", "code": "booking_not_found"}


def test_bookings_are_limited_per_address(app, package: int):
    api = Client(app)
    statuses = [
        api.http.post("/api/bookings", json=order(package), environ_base={"REMOTE_ADDR": api.address}).status_code
        for _ in range(31)
    ]
    assert statuses == [201] * 30 + [429]
