import pytest

from tests.factories import make_booking, make_customer


@pytest.fixture
def path(customer) -> str:
    return f"/api/customers/{customer.id}/bookings"


def test_a_booking_reads_as_the_site_needs_it(customer, db, path):
    (package_id,) = db.execute(
        "insert into packages (title, price, duration, destinations) values ('Fjords', 150, 5, '{Bergen,Oslo}')"
        " returning id"
    ).fetchone()
    booking_id = make_booking(
        db,
        customer_id=customer.id,
        package="Fjords",
        package_id=package_id,
        number_of_guests=2,
        special_requests="window seat",
    )
    booking = customer.api.get(f"{path}/{booking_id}")["booking"]
    assert booking == {
        "id": booking_id,
        "packageName": "Fjords",
        "destination": "Bergen",
        "startDate": "2027-06-01",
        "endDate": "2027-06-06",
        "totalPrice": 299.99,
        "guests": 2,
        "status": "pending",
        "paymentStatus": "Pending",
        "currency": "usd",
        "package_id": package_id,
        "travel_date": "2027-06-01",
        "return_date": None,
        "payment_status": "Pending",
        "created_at": booking["created_at"],
        "special_requests": "window seat",
    }


@pytest.mark.fresh
def test_a_booking_without_a_package_or_dates_still_reads(customer, db, path):
    booking_id = make_booking(db, customer_id=customer.id, package=None, travel_date=None, amount=0)
    booking = customer.api.get(f"{path}/{booking_id}")["booking"]
    assert (booking["packageName"], booking["destination"], booking["totalPrice"]) == ("", "", 0.0)
    assert (booking["startDate"], booking["endDate"], booking["status"]) == (None, None, "pending")


@pytest.mark.fresh
def test_bookings_come_in_pages_the_latest_journey_first(customer, db, path):
    days = ["2027-03-01", "2027-01-01", "2027-02-01", None, "2027-05-01"]
    for day in days:
        make_booking(db, customer_id=customer.id, travel_date=day)
    listed = customer.api.get(path)
    assert [row["startDate"] for row in listed["bookings"]] == sorted(filter(None, days), reverse=True) + [None]
    assert listed["pagination"] == {"page": 1, "limit": 50, "total": 5, "totalPages": 1}
    second = customer.api.get(path, query_string={"page": 2, "limit": 2})
    assert [row["startDate"] for row in second["bookings"]] == ["2027-02-01", "2027-01-01"]
    assert second["pagination"] == {"page": 2, "limit": 2, "total": 5, "totalPages": 3}
    beyond = customer.api.get(path, query_string={"page": 1_000_000, "limit": 100})
    assert beyond["bookings"] == [] and beyond["pagination"]["total"] == 5


@pytest.mark.parametrize("query", ["page=0", "page=x", "limit=0", "limit=101", "limit=1.5", "page=99999999999999"])
def test_pages_out_of_range_are_refused(customer, path, query):
    assert customer.api.get(f"{path}?{query}", expect=400)["code"] == "validation_failed"


def test_a_booking_of_another_is_as_good_as_none(customer, db, api, path):
    other = make_customer(api, db)
    foreign = make_booking(db, customer_id=other.id)
    for booking_id in (foreign, "00000000-0000-4000-8000-000000000000", "17", "x", "99999999999999999999"):
        assert customer.api.get(f"{path}/{booking_id}", expect=404)["code"] == "booking_not_found"
    assert customer.api.get(path)["bookings"] == []


def test_a_booking_under_a_proven_address_is_its_customers_however_it_is_made(customer, db, api, path):
    guest = make_booking(db, email=customer.email.upper())
    assert customer.api.get(f"{path}/{guest}")["booking"]["id"] == guest
    mistyped = make_booking(db, email="typo@example.com")
    db.execute("update bookings set email = %s where id = %s", [customer.email, mistyped])
    assert {row["id"] for row in customer.api.get(path)["bookings"]} == {guest, mistyped}
    db.execute("update bookings set email = 'other@example.com' where id = %s", [guest])
    assert {row["id"] for row in customer.api.get(path)["bookings"]} == {mistyped}
