"""Payments on a project that was there before: bookings with integer ids, some of them paid already."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from tests.database.existing import PROJECTS
from tests.payments.histories import ask, event, tell
from tools.stack import Stack


@pytest.fixture(scope="module", params=PROJECTS)
def old(stack: Stack, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """The service's connection to a migrated old project."""
    name = f"payments_{request.param}"
    stack.postgres.create_database(name)
    stack.postgres.execute(PROJECTS[request.param], database=name)
    stack.postgres.migrate(name)
    stack.postgres.execute("select set_agency_currency('inr')", database=name)
    with psycopg.connect(stack.postgres.uri(database=name), autocommit=True) as connection:
        connection.execute("set role service_role")
        yield connection


def test_a_booking_paid_before_has_its_transaction(old):
    found = old.execute("select booking_id, gateway, amount, status, currency from transactions where booking_id = 1")
    assert found.fetchall() == [(1, "manual", 4999800, "completed", "inr")]
    assert ask(old, "select payment_status from bookings where id = 1") == "Paid"
    with pytest.raises(psycopg.Error) as refused:
        ask(old, "select begin_payment('1', 'stripe')")
    assert refused.value.diag.message_hint == "already_paid"


def test_an_unpaid_booking_is_paid_by_its_number(old):
    task = ask(old, "select begin_payment('2', 'stripe')")
    assert (task["booking_id"], task["amount"], task["currency"]) == (2, 2499900, "inr")
    ask(old, "select attach_payment(%s, 'pi_2')", task["transaction_id"])
    tell(old, event("payment.succeeded", "pi_2", 1, amount=2499900, currency="inr"))
    assert ask(old, "select get_booking_payment('2')")["paymentStatus"] == "Paid"
    task = ask(old, "select reserve_refund('2', 2499900, 'storm', 'hash')")
    refund = {"id": "re_2", "status": "succeeded", "amount": 2499900, "reference": task["refund_id"]}
    told = event("refund.changed", "pi_2", 2, refund={**refund, "created_at": "2026-01-01T00:00:02Z"})
    assert ask(old, "select finish_refund(%s, %s)", task["refund_id"], json.dumps(told))["status"] == "succeeded"
    (row,) = ask(old, "select list_transactions(1, 10, p_booking_id => '2')")["transactions"]
    assert (row["booking_id"], row["bookings"]["id"], row["status"]) == (2, 2, "refunded")
    assert ask(old, "select update_booking_payment('1', 'Refunded', null)")["payment_status"] == "Refunded"


def test_a_payment_made_from_metadata_finds_a_numbered_booking(old):
    booking_id = ask(
        old,
        "insert into bookings (name, email, package, travel_date, amount, source)"
        " values ('Eve', 'eve@example.com', 'Fjords', '2031-01-01', 300, 'Phone') returning id",
    )
    tell(
        old,
        event("payment.succeeded", "pi_3", 1, amount=30000, currency="inr", metadata={"booking_id": str(booking_id)}),
    )
    assert ask(old, "select payment_status from bookings where id = %s", booking_id) == "Paid"


@pytest.mark.parametrize("booking_id", ["6f1c4c0e-0000-4000-8000-000000000000", "99999999999", "x", ""])
def test_what_cannot_be_an_id_names_no_booking(old, booking_id):
    with pytest.raises(psycopg.Error) as refused:
        ask(old, "select begin_payment(%s, 'stripe')", booking_id)
    assert refused.value.sqlstate == "PT404"
