"""A booking paid through PayPal: its page, the closed window, its events, refunds and cases, through the service."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devstack.paypal import Control
from tests.client import Client
from tools.stack import Stack

START, CAPTURE, REFUND = (f"/api/payments/{path}" for path in ("create-payment-intent", "capture", "refund"))
WEBHOOK = "/api/payments/process-webhook/paypal"


@pytest.fixture
def paypal(stack: Stack) -> Iterator[Control]:
    control = Control(stack.url("paypal"))
    control.deliveries(on=False)
    yield control
    control.end_outages()
    control.next_refunds(None)
    control.http.close()


@pytest.fixture
def deliver(api: Client, paypal: Control) -> Callable[..., None]:
    """Delivers what PayPal has to say about a payment, in that order or from the end, and as often."""

    def send(about: str, *types: str, backwards: bool = False, copies: int = 1, expect: int = 200) -> None:
        events = paypal.events(*types, about=about)
        for event in events[::-1] if backwards else events:
            body = json.dumps({name: event[name] for name in event if name not in ("type", "delivered", "tries")})
            for _ in range(copies):
                api.call("POST", WEBHOOK, data=body.encode(), headers=paypal.sign(body.encode()), expect=expect)

    return send


@pytest.fixture
def begun(api: Client, book: Callable[..., str]) -> Callable[[], tuple[str, Any]]:
    """Makes a booking and begins to pay it; its id and the answer."""

    def begin() -> tuple[str, Any]:
        booking_id = book()
        return booking_id, api.post(START, {"bookingId": booking_id, "gateway": "paypal"})

    return begin


def test_the_page_comes_back_and_the_money_is_taken(api, begun, paypal, deliver, ledger):
    booking_id, started = begun()
    order, asked = started["paymentIntentId"], {"transactionId": started["transactionId"]}
    assert started["checkout"]["approveUrl"].endswith(f"/checkoutnow?token={order}")
    assert api.post(CAPTURE, asked, expect=409)["code"] == "payment_not_approved"
    paypal.pay(order)
    for _ in range(2):
        assert api.post(CAPTURE, asked)["status"] == "paid"
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    deliver(order, copies=2)
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]
    assert ledger.mails(booking_id).count("booking-confirmed") == 1
    assert paypal.books()[order]["paid"] == 29999


def test_the_window_was_closed_and_the_worker_takes_the_money(begun, paypal, deliver, ledger, settle, db):
    booking_id, started = begun()
    order = started["paymentIntentId"]
    paypal.pay(order, "approved")
    deliver(order)
    db.execute(
        "update transactions set approved_at = approved_at - interval '1 hour' where gateway_payment_id = %s", [order]
    )
    settle()
    assert paypal.books()[order]["paid"] == 29999
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


@pytest.mark.parametrize("backwards", [False, True])
def test_an_echeck_completes_by_events_in_any_order(api, begun, paypal, deliver, ledger, backwards):
    booking_id, started = begun()
    order = started["paymentIntentId"]
    paypal.pay(order, "slow")
    assert api.post(CAPTURE, {"transactionId": started["transactionId"]})["status"] == "processing"
    for gateway in ("paypal", "stripe"):
        answer = api.post(START, {"bookingId": booking_id, "gateway": gateway}, expect=409)
        assert answer["code"] == "payment_processing"
    paypal.settle(order)
    deliver(order, backwards=backwards, copies=2)
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]


def test_an_echeck_that_bounces_leaves_the_booking_to_be_paid_anew(api, begun, paypal, deliver, ledger):
    booking_id, started = begun()
    order = started["paymentIntentId"]
    paypal.pay(order, "slow")
    api.post(CAPTURE, {"transactionId": started["transactionId"]})
    paypal.settle(order, "failed")
    deliver(order)
    assert ledger.transactions(booking_id) == [("failed", 29999, 0)]
    assert ledger.mails(booking_id).count("payment-failed") == 1
    again = api.post(START, {"bookingId": booking_id, "gateway": "paypal"})
    assert again["paymentIntentId"] != order
    paypal.pay(again["paymentIntentId"])
    assert api.post(CAPTURE, {"transactionId": again["transactionId"]})["status"] == "paid"
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


def test_a_declined_instrument_is_told_and_the_same_page_pays(api, begun, paypal, ledger):
    booking_id, started = begun()
    order, asked = started["paymentIntentId"], {"transactionId": started["transactionId"]}
    paypal.pay(order, "declined")
    assert api.post(CAPTURE, asked, expect=409)["code"] == "payment_not_approved"
    assert ledger.transactions(booking_id) == [("failed", 29999, 0)]
    again = api.post(START, {"bookingId": booking_id, "gateway": "paypal"})
    assert again["checkout"] == started["checkout"]
    paypal.pay(order)
    paypal.forget_keys()  # as when the second approval is not in the same second as the first
    assert api.post(CAPTURE, asked)["status"] == "paid"
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


def test_a_slow_paypal_loses_no_event(begun, paypal, deliver, ledger, settle, db):
    booking_id, started = begun()
    order = started["paymentIntentId"]
    paypal.pay(order)
    paypal.outage("error", path="*/verify-webhook-signature", status=503)
    deliver(order)  # kept, and acknowledged
    assert db.execute("select count(*) from unverified_events").fetchone() == (1,)
    paypal.end_outages()
    db.execute("update unverified_events set tried_at = tried_at - interval '1 hour'")
    settle()
    assert db.execute("select count(*) from unverified_events").fetchone() == (0,)
    db.execute(
        "update transactions set approved_at = approved_at - interval '1 hour' where gateway_payment_id = %s", [order]
    )
    settle()
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


def test_a_forged_event_changes_nothing(api, begun, paypal, ledger, db):
    booking_id, started = begun()
    order = started["paymentIntentId"]
    paypal.pay(order, "approved")
    (event,) = paypal.events(about=order)
    event["event_type"], event["resource"]["status"] = "PAYMENT.CAPTURE.COMPLETED", "COMPLETED"
    body = json.dumps(event).encode()
    headers = paypal.sign(body + b" ")
    for sent in (headers, {}, headers | {"PAYPAL-TRANSMISSION-SIG": "x"}):
        forged = body.replace(b"299.99", b"1.00")
        assert api.call("POST", WEBHOOK, data=forged, headers=sent, expect=400)["code"] == "webhook_refused"
    assert ledger.transactions(booking_id) == [("pending", 29999, 0)]
    assert db.execute("select count(*) from unverified_events").fetchone() == (0,)


def test_refunds_reversals_and_cases(api, begun, paypal, deliver, ledger, staff):
    booking_id, started = begun()
    order, admin = started["paymentIntentId"], staff()
    paypal.pay(order)
    api.post(CAPTURE, {"transactionId": started["transactionId"]})
    made = admin.api.post(REFUND, {"bookingId": booking_id, "amount": 5000, "reason": "requested_by_customer"})
    assert made["status"] == "succeeded"
    paypal.refund(order, 2000)
    deliver(order, "PAYMENT.CAPTURE.REFUNDED", copies=2)
    assert ledger.transactions(booking_id) == [("completed", 29999, 7000)]
    case = paypal.dispute(order, 10000)
    deliver(order, "CUSTOMER.DISPUTE.CREATED")
    refused = {"bookingId": booking_id, "amount": 100, "reason": "duplicate"}
    assert admin.api.post(REFUND, refused, expect=409)["code"] == "charge_disputed"
    paypal.close_dispute(case["id"], "lost")
    deliver(order, backwards=True)
    assert ledger.transactions(booking_id) == [("completed", 29999, 17000)]
    assert paypal.books()[order]["refunded"] == 17000
