"""The whole journey over plain HTTP: gunicorn, worker, webhook and all; what `make demo` shows."""

from collections.abc import Iterator
from contextlib import closing

import httpx
import psycopg
import pytest

from devstack.postgres import Postgres
from tests.conftest import DIRECTORY
from tests.database.existing import PROJECTS
from tools.demo import STAFF, Journey, travel
from tools.project import SEED
from tools.stack import Stack, free_ports


def walk(stack: Stack) -> None:
    key = stack.secrets["stripe_publishable_key"]
    urls = {name: stack.url(name) for name in ("service", "stripe", "razorpay", "paypal", "mailbox")}
    with closing(Journey(urls, key)) as journey:
        travel(journey)


def test_from_the_registration_to_the_refund(served: Stack):
    walk(served)


@pytest.fixture(params=PROJECTS)
def existing(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The service in front of a project that was there before: integer ids, and bookings in it."""
    directory = DIRECTORY / "existing" / request.param
    with Postgres(directory) as postgres:
        postgres.execute(PROJECTS[request.param])
    with Stack(directory, free_ports()) as running:
        running.postgres.execute(SEED.read_text())
        running.serve()
        yield running


def test_the_same_on_an_existing_project_with_integer_ids(existing: Stack):
    walk(existing)
    with psycopg.connect(existing.postgres.uri()) as db:
        rows = db.execute("select id, status, payment_status from bookings where email like 'ada.%'").fetchall()
    assert sorted(row[1:] for row in rows) == [("Confirmed", "Paid"), ("Confirmed", "Paid"), ("Confirmed", "Refunded")]
    assert all(isinstance(row[0], int) for row in rows)

    with httpx.Client(base_url=existing.url("service")) as http:
        old = http.get("/api/bookings/1").json()["booking"]
        assert (old["id"], old["packageName"], old["totalPrice"], old["paymentStatus"]) == (
            1,
            "Old Tour",
            49998,
            "Paid",
        )
        for malformed in ("x", "0", "99999999999999", "00000000-0000-4000-8000-000000000000"):
            answer = http.get(f"/api/bookings/{malformed}")
            assert (answer.status_code, answer.json()["code"]) == (404, "booking_not_found"), malformed
        paid = http.post("/api/payments/create-payment-intent", json={"bookingId": "1"})
        assert (paid.status_code, paid.json()["code"]) == (409, "already_paid")
        for spelled in (2, "2"):
            intent = http.post("/api/payments/create-payment-intent", json={"bookingId": spelled}).json()
            assert intent["amount"] == 2499900
        token = http.post("/api/auth/login", json=STAFF).json()["token"]
        listed = http.get("/api/bookings", headers={"Authorization": f"Bearer {token}"}).json()
        assert {1, 2, *(row[0] for row in rows)} <= {row["id"] for row in listed}
