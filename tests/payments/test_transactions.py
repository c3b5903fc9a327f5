"""Reading payments: owners see their booking's, staff all, nobody else anything."""

from datetime import UTC, datetime

import pytest

from tests.factories import make_customer

ALL = "/api/payments/transactions"


@pytest.fixture
def guide(staff):
    return staff("Guide").api


def test_owner_and_staff_see_how_a_booking_stands(settle, customer, guide, db, book, paid):
    booking_id, intent = paid(customer_id=customer.id)
    settle()  # an event does not say how it was paid, where the account takes more than cards
    answer = customer.api.get(f"/api/payments/booking/{booking_id}")
    transaction = answer["transaction"]
    assert answer == {
        "bookingId": booking_id,
        "paymentStatus": "Paid",
        "amount": 29999,
        "currency": "usd",
        "transaction": {
            "id": transaction["id"],
            "booking_id": booking_id,
            "gateway": "stripe",
            "gateway_payment_id": intent,
            "amount": 29999,
            "amount_refunded": 0,
            "amount_withdrawn": 0,
            "amount_left": 29999,
            "currency": "usd",
            "status": "completed",
            "payment_method": "card",
            "created_at": transaction["created_at"],
            "completed_at": transaction["completed_at"],
        },
    }
    assert guide.get(f"/api/payments/booking/{booking_id}") == answer
    unpaid = book(customer_id=customer.id)
    assert customer.api.get(f"/api/payments/booking/{unpaid}") == {
        "bookingId": unpaid,
        "paymentStatus": "Pending",
        "amount": 29999,
        "currency": "usd",
        "transaction": None,
    }


def test_nobody_else_sees_a_bookings_payment(api, customer, db, book):
    theirs, guests = book(customer_id=make_customer(api, db).id), book()
    for booking_id in (theirs, guests):
        api.get(f"/api/payments/booking/{booking_id}", expect=401)
        assert customer.api.get(f"/api/payments/booking/{booking_id}", expect=403)["code"] == "forbidden"


@pytest.mark.parametrize("booking_id", ["77777", "nothing", "%00", "6f1c4c0e-0000-4000-8000-000000000000", "9" * 30])
def test_a_booking_that_is_not_there_is_404(guide, booking_id):
    guide.get(f"/api/payments/booking/{booking_id}", expect=404)


def test_only_staff_lists_transactions(api, customer):
    for path in (ALL, f"{ALL}/6f1c4c0e-0000-4000-8000-000000000000"):
        api.get(path, expect=401)
        customer.api.get(path, expect=401)


def test_transactions_are_listed_newest_first_with_their_bookings(guide, paid):
    made = [paid(name="Grace Hopper", package="Lofoten 50% off_"), paid(name="Alan Turing")]
    answer = guide.get(f"{ALL}?limit=2")
    assert [row["gateway_payment_id"] for row in answer["transactions"]] == [made[1][1], made[0][1]]
    assert answer["pagination"]["page"] == 1 and answer["pagination"]["total"] >= 2
    row = answer["transactions"][1]
    assert row["bookings"] == {
        "id": made[0][0],
        "name": "Grace Hopper",
        "email": row["bookings"]["email"],
        "package": "Lofoten 50% off_",
    }
    assert (row["status"], row["amount"], row["needs_review"], row["review_reason"]) == (
        "completed",
        29999,
        False,
        None,
    )


def test_pages_hold_each_row_once_while_others_come(guide, paid):
    for _ in range(3):
        paid(package="Paging")
    pages = [guide.get(f"{ALL}?q=paging&limit=1&page={page}") for page in (1, 2, 3, 4)]
    ids = [row["id"] for page in pages for row in page["transactions"]]
    assert (len(ids), len(set(ids))) == (3, 3)
    assert pages[3] == {"transactions": [], "pagination": {"page": 4, "limit": 1, "total": 3, "totalPages": 3}}


def test_filters_narrow_the_list(guide, api, paid, book, db):
    booking_id, intent = paid(package="Filters", name="O'Brien, (x)")
    open_one = book(package="Filters")
    api.post("/api/payments/create-payment-intent", {"bookingId": open_one})

    def found(**query):
        return {row["bookings"]["id"] for row in guide.get(ALL, query_string={"q": "Filters", **query})["transactions"]}

    assert found() == {booking_id, open_one}
    assert found(status="completed") == {booking_id}
    assert found(status="pending") == {open_one}
    assert found(gateway="stripe") == {booking_id, open_one}
    assert found(gateway="razorpay") == set()
    assert found(bookingId=booking_id) == {booking_id}
    assert found(q="o'brien, (") == {booking_id}
    assert found(q=intent) == {booking_id}
    assert found(q="%lters") == set()
    assert found(to="2000-01-01T00:00:00Z") == set()
    today = datetime.now(UTC).date().isoformat()
    assert found(**{"from": today, "to": today}) == {booking_id, open_one}
    assert found(**{"from": "2000-01-01T00:00:00+00:00", "to": "2100-01-01T00:00:00Z"}) == {booking_id, open_one}


BAD_FILTERS = """page=0 page=x page=99999999999999999999 limit=0 limit=101 status=paid gateway=cash bookingId=x' q=%00
    from=yesterday from=2026-02-31 to=0001-01-01T00:00:00%2B14:00 to=9999-12-31 to=2026-13-01T00:00:00Z""".split()


@pytest.mark.parametrize("query", [*BAD_FILTERS, "q=" + "x" * 101])
def test_bad_filters_are_refused(guide, query):
    assert guide.get(f"{ALL}?{query}", expect=400)["code"] == "validation_failed"


def test_a_transaction_shows_its_audit_log_and_refunds(guide, staff, paid):
    admin = staff()
    booking_id, intent = paid()
    admin.api.post("/api/payments/refund", {"bookingId": booking_id, "reason": "Storm", "amount": 99})
    (row,) = guide.get(f"{ALL}?bookingId={booking_id}")["transactions"]
    shown = guide.get(f"{ALL}/{row['id']}")
    log = [
        (one["old_status"], one["new_status"], one["changed_by"], one["reason"])
        for one in shown["transaction_audit_logs"]
    ]
    assert log == [
        (None, "pending", "checkout", None),
        ("pending", "completed", "stripe", "payment_intent.succeeded"),
        ("completed", "completed", admin.email, "Storm"),
    ]
    assert [(one["amount"], one["status"], one["requested_by"]) for one in shown["refunds"]] == [
        (99, "succeeded", admin.email)
    ]
    assert {key: shown[key] for key in row} == row


@pytest.mark.parametrize("transaction_id", ["1", "nothing", "6f1c4c0e-0000-4000-8000-000000000000"])
def test_a_transaction_that_is_not_there_is_404(guide, transaction_id):
    assert guide.get(f"{ALL}/{transaction_id}", expect=404)["error"] == "Transaction not found"
