"""A booking paid through Razorpay: its page, its events, refunds and disputes, all the way through the service."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devstack.razorpay import Control, signed
from tests.client import Client
from tools.stack import Stack

START, CAPTURE, REFUND = (f"/api/payments/{path}" for path in ("create-payment-intent", "capture", "refund"))
WEBHOOK = "/api/payments/process-webhook/razorpay"


@pytest.fixture
def razorpay(stack: Stack) -> Iterator[Control]:
    control = Control(stack.url("razorpay"))
    control.deliveries(on=False)
    yield control
    control.end_outages()
    control.next_refunds(None)
    control.http.close()


@pytest.fixture
def deliver(api: Client, razorpay: Control, stack: Stack) -> Callable[..., None]:
    """Delivers what Razorpay has to say about a payment, in that order or from the end, and as often."""

    def send(about: str, *, backwards: bool = False, copies: int = 1) -> None:
        events = razorpay.events(about=about)
        for event in events[::-1] if backwards else events:
            known = {name: event.pop(name) for name in ("id", "type", "delivered", "tries")}
            body = json.dumps(event).encode()
            headers = signed(body, stack.secrets["razorpay_webhook_secret"], known["id"])
            for _ in range(copies):
                api.call("POST", WEBHOOK, data=body, headers=headers)

    return send


@pytest.fixture
def begun(api: Client, book: Callable[..., str]) -> Callable[[], tuple[str, Any]]:
    """Makes a booking and begins to pay it; its id and the answer."""

    def begin() -> tuple[str, Any]:
        booking_id = book()
        return booking_id, api.post(START, {"bookingId": booking_id, "gateway": "razorpay"})

    return begin


def test_page_pays_and_shows_its_proof(api, begun, razorpay, deliver, ledger):
    booking_id, started = begun()
    assert (started["gateway"], started["status"], started["clientSecret"]) == ("razorpay", "created", None)
    order = started["paymentIntentId"]
    assert started["checkout"]["order_id"] == order and started["checkout"]["amount"] == 29999
    asked = {"transactionId": started["transactionId"]}
    assert api.post(CAPTURE, asked, expect=409)["code"] == "payment_not_approved"
    proof = razorpay.pay(order)["proof"]
    forged = asked | {"proof": proof | {"razorpay_signature": "0" * 64}}
    assert api.post(CAPTURE, forged, expect=400)["code"] == "payment_proof_refused"
    assert ledger.transactions(booking_id) == [("pending", 29999, 0)]
    for _ in range(2):
        assert api.post(CAPTURE, asked | {"proof": proof})["status"] == "paid"
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    deliver(order, copies=2)
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]
    assert ledger.mails(booking_id).count("booking-confirmed") == 1


@pytest.mark.parametrize("backwards", [False, True])
def test_events_alone_complete_it(begun, razorpay, deliver, ledger, backwards):
    booking_id, started = begun()
    order = started["paymentIntentId"]
    razorpay.pay(order, "declined")
    razorpay.pay(order)
    deliver(order, backwards=backwards, copies=2)
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]


def test_late_authorization_is_taken_by_the_worker(begun, razorpay, deliver, ledger, settle, db):
    booking_id, started = begun()
    order = started["paymentIntentId"]
    razorpay.pay(order, "declined")
    deliver(order)
    razorpay.authorize(order)
    # The bank agrees at least a second after the payer tried.
    db.execute(
        "update transactions set status_at = status_at - interval '1 minute' where gateway_payment_id = %s", [order]
    )
    deliver(order)
    db.execute(
        "update transactions set approved_at = approved_at - interval '1 hour' where gateway_payment_id = %s", [order]
    )
    settle()
    assert razorpay.books()[order]["paid"] == 29999
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


def test_slow_payment_keeps_others_away(api, begun, razorpay, deliver, ledger):
    booking_id, started = begun()
    order = started["paymentIntentId"]
    razorpay.pay(order, "slow")
    for gateway in ("razorpay", "stripe"):
        answer = api.post(START, {"bookingId": booking_id, "gateway": gateway}, expect=409)
        assert answer["code"] == "payment_processing"
    razorpay.settle(order)
    deliver(order)
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


def test_refunds_and_disputes(api, begun, razorpay, deliver, ledger, staff, db):
    booking_id, started = begun()
    order, admin = started["paymentIntentId"], staff()
    razorpay.pay(order)
    deliver(order)
    razorpay.next_refunds("pending", 1)
    answer = admin.api.post(REFUND, {"bookingId": booking_id, "reason": "They fell ill", "amount": 10000})
    assert answer["status"] == "pending"
    razorpay.change_refund(answer["refundId"], "succeeded")
    razorpay.refund(order, 5000)
    deliver(order, copies=2)
    assert ledger.transactions(booking_id) == [("completed", 29999, 15000)]
    dispute = razorpay.dispute(order)["id"]
    deliver(order)
    query = "select status, amount_withdrawn - amount_reinstated from disputes where gateway_dispute_id = %s"
    assert db.execute(query, [dispute]).fetchone() == ("needs_response", 14999)
    assert razorpay.books()[order]["withdrawn"] == 14999
    admin.api.post(REFUND, {"bookingId": booking_id, "reason": "all"}, expect=404)  # nothing is left meanwhile
    razorpay.respond(dispute)
    razorpay.close_dispute(dispute, "won")
    deliver(order, backwards=True)
    assert db.execute(query, [dispute]).fetchone() == ("won", 0)
    answer = admin.api.post(REFUND, {"bookingId": booking_id, "reason": "the rest"})
    assert (answer["amount"], answer["status"]) == (14999, "succeeded")
    assert ledger.booking(booking_id)[0] == "Refunded"
    assert razorpay.books()[order] == {"currency": "usd", "paid": 29999, "refunded": 29999, "withdrawn": 0}


def test_another_gateway_takes_its_place(api, begun, stripe, razorpay, deliver, ledger, settle):
    booking_id, started = begun()
    other = api.post(START, {"bookingId": booking_id, "gateway": "stripe"})
    assert other["gateway"] == "stripe"
    superseded = {"transactionId": started["transactionId"]}
    assert api.post(CAPTURE, superseded, expect=409)["code"] == "payment_not_approved"
    razorpay.pay(started["paymentIntentId"], "approved")  # in a window that was open still
    assert api.post(CAPTURE, superseded, expect=409)["code"] == "payment_canceled"
    settle()
    assert razorpay.books()[started["paymentIntentId"]]["paid"] == 0
    assert ledger.booking(booking_id)[0] != "Paid"


def test_what_is_paid_in_spite_of_another_is_noted(api, begun, stripe, razorpay, deliver, ledger, settle):
    booking_id, started = begun()
    api.post(START, {"bookingId": booking_id, "gateway": "stripe"})
    razorpay.pay(started["paymentIntentId"])
    deliver(started["paymentIntentId"])
    assert ledger.booking(booking_id)[0] == "Paid"


def test_forged_events_are_refused(api, begun, razorpay, ledger, stack):
    booking_id, started = begun()
    razorpay.pay(started["paymentIntentId"])
    event = razorpay.events("order.paid", about=started["paymentIntentId"])[0]
    body = json.dumps(event).encode()
    for headers in ({}, signed(body, "wrong"), signed(body + b" ", stack.secrets["razorpay_webhook_secret"])):
        assert api.call("POST", WEBHOOK, data=body, headers=headers, expect=400)["code"] == "webhook_refused"
    assert ledger.transactions(booking_id) == [("pending", 29999, 0)]
