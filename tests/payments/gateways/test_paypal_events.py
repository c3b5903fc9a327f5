"""PayPal's objects in our words: what the local PayPal does not send is written here by hand."""

import json
from typing import Any

import pytest

from service.payments.gateway import EventRefused
from service.payments.gateways.paypal_events import AmountRefused, from_money, read_event, to_money

TRANSACTION = "0f4a8f5c-9f0e-4d2b-8f7e-1c2d3e4f5a6b"
REFUND_ID = "9d6b2c1e-7a54-4c0e-9c55-0a1b2c3d4e5f"
MONEY = {"currency_code": "EUR", "value": "12.30"}
TIMES = {"create_time": "2026-11-24T10:00:00Z", "update_time": "2026-11-24T10:00:00Z"}
CAPTURE: dict[str, Any] = {
    "id": "CAPTURE1",
    "amount": MONEY,
    "status": "COMPLETED",
    "custom_id": TRANSACTION,
    "links": [{"rel": "up", "href": "https://api.paypal.com/v2/checkout/orders/ORDER1", "method": "GET"}],
    **TIMES,
}
REFUND: dict[str, Any] = {
    "id": "REFUND1",
    "amount": MONEY,
    "status": "COMPLETED",
    "custom_id": REFUND_ID,
    "links": [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/CAPTURE1", "method": "GET"}],
    **TIMES,
}
CASE: dict[str, Any] = {
    "dispute_id": "PP-D-1",
    "disputed_transactions": [{"seller_transaction_id": "CAPTURE1", "custom": TRANSACTION}],
    "reason": "UNAUTHORISED",
    "status": "OPEN",
    "dispute_amount": MONEY,
    "dispute_life_cycle_stage": "INQUIRY",
    "seller_response_due_date": "2026-12-01T00:00:00.000Z",
    **TIMES,
}


def told(type: str, resource: Any, **changes: Any) -> Any:
    event = {"id": "WH-1-2", "create_time": "2026-11-24T10:00:01.500Z", "event_type": type, "resource": resource}
    return read_event(json.dumps(event | changes))


def test_a_capture_without_related_ids_names_its_order_by_a_link() -> None:
    assert told("PAYMENT.CAPTURE.COMPLETED", CAPTURE) == {
        "id": "WH-1-2",
        "type": "PAYMENT.CAPTURE.COMPLETED",
        "gateway": "paypal",
        "kind": "payment.succeeded",
        "payment_id": "ORDER1",
        "charge_id": "CAPTURE1",
        "amount": 1230,
        "currency": "eur",
        "metadata": {"booking_id": None, "transaction_id": TRANSACTION},
        "payment_method": "paypal",
        "occurred_at": "2026-11-24T10:00:01.500000+00:00",
    }
    alone = told("PAYMENT.CAPTURE.COMPLETED", CAPTURE | {"links": [], "custom_id": "another program's"})
    assert (alone["payment_id"], alone["charge_id"]) == (None, "CAPTURE1")
    assert alone["metadata"] == {"booking_id": None, "transaction_id": None}


@pytest.mark.parametrize("type", ["PAYMENT.CAPTURE.DENIED", "PAYMENT.CAPTURE.DECLINED"])
def test_a_refused_capture_failed_in_our_own_words(type: str) -> None:
    refused = CAPTURE | {"status": "DECLINED", "status_details": {"reason": "ECHECK"}}
    event = told(type, refused)
    assert (event["kind"], event["failure_code"]) == ("payment.failed", "echeck")
    assert event["failure_reason"] == "The bank did not pay the eCheck."
    assert told(type, CAPTURE)["failure_reason"].startswith("The payment was declined.")


@pytest.mark.parametrize("type", ["PAYMENT.CAPTURE.REFUNDED", "PAYMENT.CAPTURE.REVERSED"])
def test_refunds_and_reversals_name_the_capture(type: str) -> None:
    event = told(type, REFUND)
    assert (event["kind"], event["payment_id"], event["charge_id"]) == ("refund.changed", None, "CAPTURE1")
    assert event["refund"] == {
        "id": "REFUND1",
        "amount": 1230,
        "status": "succeeded",
        "reference": REFUND_ID,
        "created_at": "2026-11-24T10:00:00+00:00",
    }
    by_hand = told(type, REFUND | {"custom_id": "a note of the dashboard", "status": "PENDING"})
    assert (by_hand["refund"]["reference"], by_hand["refund"]["status"]) == (None, "pending")


def test_an_approval_that_lapsed_is_canceled() -> None:
    event = told("CHECKOUT.PAYMENT-APPROVAL.REVERSED", {"order_id": "ORDER1", "purchase_units": [{}]})
    assert (event["kind"], event["payment_id"], event["amount"]) == ("payment.canceled", "ORDER1", 0)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "warning_needs_response"),
        ({"status": "WAITING_FOR_BUYER_RESPONSE"}, "warning_under_review"),
        ({"status": "RESOLVED", "dispute_outcome": {"outcome_code": "CANCELED_BY_BUYER"}}, "warning_closed"),
        ({"status": "RESOLVED", "dispute_outcome": {"outcome_code": "RESOLVED_BUYER_FAVOUR"}}, "lost"),
        ({"dispute_life_cycle_stage": "CHARGEBACK"}, "needs_response"),
        ({"dispute_life_cycle_stage": "CHARGEBACK", "status": "UNDER_REVIEW"}, "under_review"),
        ({"dispute_life_cycle_stage": "ARBITRATION", "status": "OTHER"}, "under_review"),
        (
            {
                "dispute_life_cycle_stage": "CHARGEBACK",
                "status": "RESOLVED",
                "dispute_outcome": {"outcome_code": "RESOLVED_SELLER_FAVOUR"},
            },
            "won",
        ),
        ({"dispute_life_cycle_stage": "CHARGEBACK", "status": "RESOLVED"}, "won"),
    ],
)
def test_a_case_stands_in_our_words_and_moves_no_money(changes: dict[str, Any], status: str) -> None:
    event = told("CUSTOMER.DISPUTE.UPDATED", CASE | changes)
    assert event["dispute"] == {
        "id": "PP-D-1",
        "status": status,
        "amount": 1230,
        "reason": "unauthorised",
        "due_by": "2026-12-01T00:00:00+00:00",
        "withdrawals": 0,
        "reinstatements": 0,
        "created_at": "2026-11-24T10:00:00+00:00",
    }
    assert (event["payment_id"], event["charge_id"]) == (None, "CAPTURE1")
    assert event["metadata"]["transaction_id"] == TRANSACTION


def test_other_events_concern_nothing_here() -> None:
    assert told("BILLING.SUBSCRIPTION.CREATED", {}) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"event_type": []}',
        '{"event_type": "PAYMENT.CAPTURE.COMPLETED"}',
        '{"event_type": {}, "id": "WH-1"}',
        "[" * 100_000,
        json.dumps(
            {"id": "x y", "event_type": "PAYMENT.CAPTURE.COMPLETED", "create_time": "2026-11-24", "resource": CAPTURE}
        ),
    ],
)
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(EventRefused):
        read_event(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": {"currency_code": "USD", "value": "1.005"}},
        {"amount": {"currency_code": "USD", "value": "NaN"}},
        {"amount": {"currency_code": "USD", "value": "1e999999999"}},
        {"amount": {"currency_code": "USD", "value": 1.5}},
        {"amount": {"currency_code": "DOLLAR", "value": "1.00"}},
        {"amount": None},
        {"id": None},
    ],
)
def test_a_capture_that_says_nonsense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EventRefused):
        told("PAYMENT.CAPTURE.COMPLETED", CAPTURE | changes)


@pytest.mark.parametrize(
    ("amount", "currency", "value"),
    [
        (1, "usd", "0.01"),
        (100, "usd", "1.00"),
        (29999, "usd", "299.99"),
        (9007199254740993, "usd", "90071992547409.93"),
        (5000, "jpy", "5000"),
        (350000, "huf", "3500"),
        (100, "twd", "1"),
    ],
)
def test_amounts_are_exact_both_ways(amount: int, currency: str, value: str) -> None:
    assert to_money(amount, currency) == {"currency_code": currency.upper(), "value": value}
    assert from_money(to_money(amount, currency)) == (amount, currency)


def test_an_amount_is_written_whole_or_not_at_all() -> None:
    for currency in ("huf", "twd"):
        with pytest.raises(AmountRefused):
            to_money(12345, currency)
    assert from_money({"currency_code": "HUF", "value": "3500.00"}) == (350000, "huf")
