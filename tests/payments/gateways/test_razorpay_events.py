"""Razorpay's events, as its documents show them, in our words."""

import json
from typing import Any

import pytest

from service.payments.gateway import EventRefused
from service.payments.gateways.razorpay_events import KINDS, read_event

METADATA = {
    "booking_id": "6d3f0a55-2f0b-4a43-9a52-5b8f2c1de001",
    "transaction_id": "0f4a8f5c-9f0e-4d2b-8f7e-1c2d3e4f5a6b",
}
NOBODY = {"booking_id": None, "transaction_id": None}
PAYMENT: dict[str, Any] = {
    "id": "pay_1",
    "entity": "payment",
    "amount": 49900,
    "currency": "INR",
    "status": "captured",
    "order_id": "order_1",
    "method": "netbanking",
    "captured": True,
    "error_reason": None,
    "notes": {"transaction_id": METADATA["transaction_id"]},
    "created_at": 1767000000,
}
ORDER = {"id": "order_1", "amount": 49900, "currency": "INR", "status": "paid", "notes": METADATA}
REFUND: dict[str, Any] = {
    "id": "rfnd_1",
    "amount": 5000,
    "status": "processed",
    "notes": {"refund_id": "9d6b2c1e-7a54-4c0e-9c55-0a1b2c3d4e5f"},
    "created_at": 1767000100,
}
DISPUTE: dict[str, Any] = {
    "id": "disp_1",
    "payment_id": "pay_1",
    "amount": 30000,
    "amount_deducted": 30000,
    "reason_code": "goods_not_provided",
    "respond_by": 1767300000,
    "status": "open",
    "phase": "chargeback",
    "created_at": 1767000200,
}
BEGUN, TOLD = "2025-12-29T09:20:00+00:00", "2025-12-29T09:25:00+00:00"


def event(type: str, **entities: dict[str, Any]) -> str:
    payload = {name: {"entity": entity} for name, entity in ({"payment": PAYMENT} | entities).items()}
    return json.dumps({"id": "E1", "entity": "event", "event": type, "payload": payload, "created_at": 1767000300})


def read(type: str, **entities: dict[str, Any]) -> Any:
    return read_event(event(type, **entities))


@pytest.mark.parametrize(
    ("type", "entities", "told"),
    [
        ("payment.authorized", {}, {"amount": 49900}),
        ("payment.captured", {}, {"amount": 49900, "payment_method": "netbanking"}),
        (
            "order.paid",
            {"order": ORDER},
            {"amount": 49900, "payment_method": "netbanking", "metadata": METADATA},
        ),
        (
            "payment.failed",
            {"payment": PAYMENT | {"status": "failed", "captured": False, "error_reason": "insufficient_funds"}},
            {
                "amount": 49900,
                "failure_code": "insufficient_funds",
                "failure_reason": "There was not enough money in the account.",
                "occurred_at": BEGUN,
            },
        ),
        (
            "refund.processed",
            {"refund": REFUND},
            {
                "refund": {
                    "id": "rfnd_1",
                    "amount": 5000,
                    "status": "succeeded",
                    "reference": REFUND["notes"]["refund_id"],
                    "created_at": "2025-12-29T09:21:40+00:00",
                }
            },
        ),
    ],
)
def test_an_event_reads_in_our_words(type: str, entities: Any, told: Any) -> None:
    assert read(type, **entities) == {
        "id": "E1",
        "type": type,
        "gateway": "razorpay",
        "kind": KINDS[type],
        "payment_id": "order_1",
        "charge_id": "pay_1",
        "currency": "inr",
        "metadata": NOBODY,
        "occurred_at": TOLD,
        **told,
    }


@pytest.mark.parametrize(
    ("what", "changes", "status", "moves"),
    [
        ("created", {}, "needs_response", (1, 0)),
        ("created", {"amount_deducted": 0}, "needs_response", (0, 0)),
        ("action_required", {"amount_deducted": 0}, "needs_response", (0, 0)),
        ("under_review", {"status": "under_review"}, "under_review", (1, 0)),
        ("won", {"status": "won", "amount_deducted": 0}, "won", (1, 1)),
        ("lost", {"status": "lost"}, "lost", (1, 0)),
        ("closed", {"status": "closed", "amount_deducted": 0}, "won", (1, 1)),
        ("closed", {"status": "closed"}, "lost", (1, 0)),
        ("created", {"phase": "retrieval", "amount_deducted": 0}, "warning_needs_response", (0, 0)),
        (
            "under_review",
            {"phase": "fraud", "status": "under_review", "amount_deducted": 0},
            "warning_under_review",
            (0, 0),
        ),
        ("closed", {"phase": "retrieval", "status": "closed", "amount_deducted": 0}, "warning_closed", (0, 0)),
        ("created", {"status": "something_new", "amount_deducted": 0}, "needs_response", (0, 0)),
    ],
)
def test_dispute_reads_in_our_words(what: str, changes: Any, status: str, moves: tuple[int, int]) -> None:
    told = read(f"payment.dispute.{what}", dispute=DISPUTE | changes)
    assert (told["kind"], told["charge_id"], told["payment_id"]) == ("dispute.changed", "pay_1", "order_1")
    dispute = told["dispute"]
    assert (dispute["status"], (dispute["withdrawals"], dispute["reinstatements"])) == (status, moves)
    assert (dispute["amount"], dispute["reason"], dispute["due_by"][:4]) == (30000, "goods_not_provided", "2026")


def test_refund_of_what_was_never_captured_is_no_refund() -> None:
    told = read("refund.created", payment=PAYMENT | {"captured": False, "status": "refunded"}, refund=REFUND)
    assert (told["kind"], told["failure_code"], told["occurred_at"]) == ("payment.failed", "expired", TOLD)
    assert "refund" not in told


def test_what_concerns_nothing_here() -> None:
    assert read("payment_link.paid") is None
    assert read("payment.captured", payment=PAYMENT | {"order_id": None}) is None


@pytest.mark.parametrize(
    "payload",
    [
        "[]",
        "{",
        "null",
        "{}",
        '{"entity": "event"}',
        '{"entity": "event", "event": 1}',
        '{"entity": "event", "event": "order.paid", "payload": []}',
        event("payment.captured", payment=PAYMENT | {"id": "pay 1"}),
        event("payment.captured", payment=PAYMENT | {"amount": "x"}),
        event("payment.captured", payment=PAYMENT | {"order_id": ["order_1"]}),
        event("payment.failed", payment=PAYMENT | {"created_at": 1e300}),
        event("refund.created"),
    ],
)
def test_anything_else_is_refused(payload: str) -> None:
    with pytest.raises(EventRefused):
        read_event(payload)
