"""Razorpay's entities put into our words: its events, and what its answers say of an order.

A payment of ours is its order, which takes several attempts ("payments") and the money of one; that one is our charge.
Of an attempt all is told as of its beginning, whenever the news of it come, so that a later one outweighs an earlier;
only that a bank agreed, or the money went back untaken, is news of its own time.
"""

import json
from datetime import UTC, datetime
from typing import Any

from service.payments.gateway import EventRefused, PaymentState
from service.payments.gateways.reading import UUID, match, read_id, time_of
from service.payments.shapes import DisputeFacts, GatewayEvent

Entity = dict[str, Any]

# The events to subscribe to.
KINDS = {
    "payment.authorized": "payment.approved",
    "payment.captured": "payment.succeeded",
    "payment.failed": "payment.failed",
    "order.paid": "payment.succeeded",
    "refund.created": "refund.changed",
    "refund.processed": "refund.changed",
    "refund.failed": "refund.changed",
    "refund.speed_changed": "refund.changed",
    "payment.dispute.created": "dispute.changed",
    "payment.dispute.action_required": "dispute.changed",
    "payment.dispute.under_review": "dispute.changed",
    "payment.dispute.won": "dispute.changed",
    "payment.dispute.lost": "dispute.changed",
    "payment.dispute.closed": "dispute.changed",
}
# Seconds after which an attempt without an end counts as given up: a bank's page and a UPI request are over by then.
PATIENCE = 15 * 60
REFUND_STATUSES = {"pending": "pending", "processed": "succeeded", "failed": "failed"}
INQUIRIES = ("retrieval", "fraud")  # phases in which the bank only asks
DECLINED = "The payment was declined. Please try again, or pay in another way."
# What a payer may be told (razorpay.com/docs/errors, "reason").
DECLINES = {
    "insufficient_funds": "There was not enough money in the account.",
    "card_expired": "The card has expired.",
    "incorrect_cvv": "The security code of the card was not right.",
    "incorrect_card_details": "The details of the card were not right.",
    "incorrect_pin": "The PIN was not right.",
    "invalid_vpa": "There is no such UPI id.",
    "authentication_failed": "The bank did not confirm the payment. Please try again.",
    "payment_cancelled": "The payment was cancelled before it was made.",
    "payment_timed_out": "The payment was not confirmed in time. Please try again.",
    "expired": "The payment was not completed in time, and the money goes back.",
}


def read_event(payload: str) -> GatewayEvent | None:
    """A verified text, with the event's id in it; None for one that concerns nothing here. Raises ``EventRefused``."""
    try:
        event = json.loads(payload)
        if event["entity"] != "event" or not isinstance(event["event"], str):
            raise EventRefused("This is not an event.")
        if event["event"] not in KINDS:
            return None
        payment, at = event["payload"]["payment"]["entity"], time_of(event["created_at"])
        if payment.get("order_id") is None:
            return None  # a payment link, a page: we make nothing but orders
        facts = _describe(KINDS[event["event"]], event["payload"], at)
        return {"id": read_id(event["id"]), "type": event["event"], **facts}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise EventRefused("This is not an event.") from error


def state_of(payments: list[Entity], now: datetime) -> PaymentState:
    """How an order stands, by its attempts."""
    if find_taken(payments):
        return "paid"
    statuses = {payment["status"] for payment in payments if not _is_given_up(payment, now)}
    return "approved" if "authorized" in statuses else "under_way" if "created" in statuses else "payable"


def find_taken(payments: list[Entity]) -> Entity | None:
    """The attempt whose money was taken; it stays so when it has gone back."""
    return next((payment for payment in payments if payment["captured"]), None)


def payment_facts(
    order: Entity, payments: list[Entity], refunds: list[Entity], disputes: list[Entity], now: datetime
) -> list[GatewayEvent]:
    """What Razorpay's answers about an order say, as events."""
    taken = find_taken(payments)
    told = [taken] if taken else sorted(reversed(payments), key=lambda payment: int(payment["created_at"]))
    facts = [_attempt(payment, order, now) for payment in told]
    if taken:
        at = time_of(int(now.timestamp()))
        both = {"payment": {"entity": taken}, "order": {"entity": order}}
        facts += [refund_event(refund, taken, order) for refund in refunds]
        facts += [_describe("dispute.changed", {**both, "dispute": {"entity": each}}, at) for each in disputes]
    return [{**fact, "type": f"{fact['kind']}, as Razorpay answered"} for fact in facts]


def canceled_fact(order: Entity, now: datetime) -> GatewayEvent:
    """Razorpay cancels no orders: from now on we take no money by it."""
    return {
        **_base("payment.canceled", order["id"], order["currency"], order),
        "type": "payment.canceled, by us",
        "occurred_at": time_of(int(now.timestamp())),
        "amount": int(order["amount"]),
    }


def refund_event(refund: Entity, payment: Entity, order: Entity | None = None) -> GatewayEvent:
    """Razorpay's answer about a refund as an event of now."""
    entities = {"payment": payment, "refund": refund} | ({"order": order} if order else {})
    wrapped = {name: {"entity": entity} for name, entity in entities.items()}
    fact = _describe("refund.changed", wrapped, datetime.now(UTC).isoformat())
    return {**fact, "type": "refund.changed, as Razorpay answered"}


def _attempt(payment: Entity, order: Entity, now: datetime) -> GatewayEvent:
    wrapped, at = {"payment": {"entity": payment}, "order": {"entity": order}}, time_of(int(now.timestamp()))
    if payment["captured"]:
        return _describe("payment.succeeded", wrapped, time_of(payment["created_at"]))
    if payment["status"] == "authorized":
        return _describe("payment.approved", wrapped, at)
    if payment["status"] == "refunded":
        return _expired(wrapped, at)
    is_open = payment["status"] == "created" and not _is_given_up(payment, now)
    return _describe("payment.processing" if is_open else "payment.failed", wrapped, at)


def _describe(kind: str, entities: dict[str, Any], at: str) -> GatewayEvent:
    """What a payment, and the refund or dispute of it, says at that time."""
    payment, order = entities["payment"]["entity"], (entities.get("order") or {}).get("entity")
    if kind == "refund.changed" and not payment["captured"]:
        return _expired(entities, at)
    facts = _base(kind, payment["order_id"], payment["currency"], order)
    facts |= {"charge_id": read_id(payment["id"]), "occurred_at": at}
    if kind == "refund.changed":
        refund = entities["refund"]["entity"]
        facts["refund"] = {
            "id": read_id(refund["id"]),
            "amount": int(refund["amount"]),
            "status": REFUND_STATUSES.get(refund["status"], "pending"),
            "reference": match(r"[0-9a-f-]{36}", _notes(refund).get("refund_id")),
            "created_at": time_of(refund["created_at"]),
        }
    elif kind == "dispute.changed":
        facts["dispute"] = _dispute(entities["dispute"]["entity"])
    else:
        facts["amount"] = int(payment["amount"])
        if kind == "payment.succeeded":
            facts["payment_method"] = match(r"[a-z_]{1,40}", payment.get("method"))
        elif kind != "payment.approved":
            facts["occurred_at"] = time_of(payment["created_at"])
        if kind == "payment.failed":
            code = match(r"[a-z0-9_]{1,64}", payment.get("error_reason")) or "declined"
            facts |= {"failure_code": code, "failure_reason": DECLINES.get(code, DECLINED)}
    return facts


def _expired(entities: dict[str, Any], at: str) -> GatewayEvent:
    """The bank had agreed, nobody took the money in time, and Razorpay sends it back: it was never ours."""
    facts = _describe("payment.failed", entities, at)
    return {**facts, "occurred_at": at, "failure_code": "expired", "failure_reason": DECLINES["expired"]}


def _base(kind: str, order_id: Any, currency: Any, order: Entity | None) -> GatewayEvent:
    """Whose it is, is told by the order's notes alone: those of a payment are in the hands of the payer's browser."""
    notes = _notes(order or {})
    return {
        "gateway": "razorpay",
        "kind": kind,
        "payment_id": read_id(order_id),
        "currency": match(r"[a-z]{3}", str(currency).lower()),
        "metadata": {
            "booking_id": match(r"[0-9a-f-]{1,36}", notes.get("booking_id")),
            "transaction_id": match(UUID, notes.get("transaction_id")),
        },
    }


def _dispute(thing: Entity) -> DisputeFacts:
    """A chargeback takes the money when it begins, or only when it is lost, as the account is set up; one that was won
    has taken nothing in the end, whether it took anything before or not.
    """
    deducted, is_inquiry, status = int(thing["amount_deducted"]) > 0, thing["phase"] in INQUIRIES, thing["status"]
    if status == "closed":
        status = "lost" if deducted else "won"
    if status == "lost":
        taken, given = 1, 0
    elif status == "won":
        taken, given = (0, 0) if is_inquiry else (1, 1)
        status = "warning_closed" if is_inquiry else "won"
    else:
        taken, given = int(deducted), 0
        status = "under_review" if status == "under_review" else "needs_response"
        status = f"warning_{status}" if is_inquiry else status
    return {
        "id": read_id(thing["id"]),
        "status": status,
        "amount": int(thing["amount"]),
        "reason": match(r"[a-z_]{1,60}", thing.get("reason_code")),
        "due_by": time_of(thing["respond_by"]) if thing.get("respond_by") else None,
        "withdrawals": taken,
        "reinstatements": given,
        "created_at": time_of(thing["created_at"]),
    }


def _is_given_up(payment: Entity, now: datetime) -> bool:
    return payment["status"] == "created" and now.timestamp() - float(payment["created_at"]) > PATIENCE


def _notes(thing: Entity) -> dict[str, Any]:
    """Empty ones are a list."""
    notes = thing.get("notes")
    return notes if isinstance(notes, dict) else {}
