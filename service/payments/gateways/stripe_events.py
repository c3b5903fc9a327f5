"""Stripe's objects put into our words: its events, and what its answers say of a payment."""

import json
from datetime import UTC, datetime
from typing import Any

from service.payments.gateway import EventRefused
from service.payments.gateways.reading import UUID, match, read_id, time_of
from service.payments.shapes import DisputeFacts, GatewayEvent

StripeObject = dict[str, Any]

# The events to subscribe to. Older accounts know charge.refund.updated, newer ones refund.updated: both say the same.
KINDS = {
    "payment_intent.succeeded": "payment.succeeded",
    "payment_intent.payment_failed": "payment.failed",
    "payment_intent.processing": "payment.processing",
    "payment_intent.canceled": "payment.canceled",
    "charge.refunded": "charge.refunded",
    "refund.created": "refund.changed",
    "refund.updated": "refund.changed",
    "refund.failed": "refund.changed",
    "charge.refund.updated": "refund.changed",
    "charge.dispute.created": "dispute.changed",
    "charge.dispute.updated": "dispute.changed",
    "charge.dispute.closed": "dispute.changed",
    "charge.dispute.funds_withdrawn": "dispute.changed",
    "charge.dispute.funds_reinstated": "dispute.changed",
}
# docs.stripe.com/api/disputes/object; warning_… is an inquiry. One that Stripe itself prevented ends like an inquiry.
DISPUTE_STATUSES = {
    status: status
    for status in (
        "warning_needs_response",
        "warning_under_review",
        "warning_closed",
        "needs_response",
        "under_review",
        "won",
        "lost",
    )
} | {"prevented": "warning_closed"}
REFUND_STATUSES = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
}
# What a payer may be told; of lost and stolen cards no more than "declined" (docs.stripe.com/declines/codes).
DECLINED = "The payment was declined. Please try another card or ask your bank."
DECLINES = {
    "insufficient_funds": "There was not enough money in the account.",
    "expired_card": "The card has expired.",
    "incorrect_cvc": "The security code of the card was not right.",
    "incorrect_number": "The number of the card was not right.",
    "processing_error": "The payment could not be processed. Please try again.",
    "authentication_required": "The bank asks for confirmation of the payment. Please try again.",
    "payment_intent_authentication_failure": "The bank did not confirm the payment. Please try again.",
}


def read_event(payload: str, *, is_live: bool) -> GatewayEvent | None:
    """A signed text as an event; None for one that concerns nothing here. Raises ``EventRefused``."""
    try:
        event = json.loads(payload)
        if event["object"] != "event" or not isinstance(event["type"], str):
            raise EventRefused("This is not an event.")
        if event["livemode"] is not is_live:
            raise EventRefused("The event belongs to the other mode (test or live).", code="webhook_wrong_mode")
        if event["type"] not in KINDS:
            return None
        thing = event["data"]["object"]
        if thing["object"] != "payment_intent" and thing.get("payment_intent") is None:
            return None  # a charge without an intent is none of ours: we make nothing but intents
        occurred_at = time_of(event["created"])
        facts = _describe(KINDS[event["type"]], thing, event["type"])
        return {"id": read_id(event["id"]), "type": event["type"], **facts, "occurred_at": occurred_at}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise EventRefused("This is not an event.") from error


def payment_facts(intent: StripeObject, refunds: list[StripeObject], asked_at: datetime) -> list[GatewayEvent]:
    """What Stripe's answer about a payment says, as events that happened by ``asked_at``.

    In whole seconds, as events count: what comes later in the same one must not seem older.
    """
    status, charge = intent["status"], intent.get("latest_charge")
    now = int(asked_at.timestamp())
    charged_at = charge["created"] if isinstance(charge, dict) else None
    facts: list[GatewayEvent] = []
    if status == "succeeded":
        facts = [{**_describe("payment.succeeded", intent), "occurred_at": time_of(charged_at or intent["created"])}]
    elif status == "canceled":
        facts = [{**_describe("payment.canceled", intent), "occurred_at": time_of(intent.get("canceled_at") or now)}]
    elif status == "processing":
        facts = [{**_describe("payment.processing", intent), "occurred_at": time_of(charged_at or now)}]
    elif intent.get("last_payment_error"):
        facts = [{**_describe("payment.failed", intent), "occurred_at": time_of(now)}]
    return [_answered(fact) for fact in facts] + [refund_event(refund) for refund in refunds]


def refund_event(refund: StripeObject) -> GatewayEvent:
    """Stripe's answer about a refund as an event of now."""
    return _answered({**_describe("refund.changed", refund), "occurred_at": datetime.now(UTC).isoformat()})


def _answered(fact: GatewayEvent) -> GatewayEvent:
    return {**fact, "type": f"{fact['kind']}, as Stripe answered"}


def _describe(kind: str, thing: StripeObject, event_type: str = "") -> GatewayEvent:
    """What an intent, charge, refund or dispute says, by stable fields of the API alone."""
    metadata = thing.get("metadata") or {}
    facts: GatewayEvent = {
        "gateway": "stripe",
        "kind": kind,
        "payment_id": read_id(thing["id"] if thing["object"] == "payment_intent" else thing.get("payment_intent")),
        "currency": match(r"[a-z]{3}", thing["currency"]),
        "metadata": {
            "booking_id": match(r"[0-9a-f-]{1,36}", metadata.get("booking_id")),
            "transaction_id": match(UUID, metadata.get("transaction_id")),
        },
    }
    if kind == "payment.succeeded":
        facts["amount"] = int(thing.get("amount_received") or thing["amount"])
        facts["payment_method"] = _method(thing)
    elif kind == "charge.refunded":
        facts["amount"] = int(thing["amount_captured"])
        facts["charge_refunded"] = int(thing["amount_refunded"])
        facts["payment_method"] = match(r"[a-z_]{1,40}", (thing.get("payment_method_details") or {}).get("type"))
    elif kind == "refund.changed":
        facts["refund"] = {
            "id": read_id(thing["id"]),
            "amount": int(thing["amount"]),
            "status": REFUND_STATUSES.get(thing["status"], "pending"),
            "reference": match(r"[0-9a-f-]{36}", metadata.get("refund_id")),
            "created_at": time_of(thing["created"]),
        }
    elif kind == "dispute.changed":
        facts["dispute"] = _dispute(thing, event_type)
    else:
        facts["amount"] = int(thing["amount"])
        if kind == "payment.failed":
            facts["failure_code"], facts["failure_reason"] = _failure(thing.get("last_payment_error") or {})
    return facts


def _dispute(thing: StripeObject, event_type: str) -> DisputeFacts:
    """How often the money was taken and given back is told by the movements on the balance, whatever their currency."""
    moves = [int(move["amount"]) for move in thing.get("balance_transactions") or [] if isinstance(move, dict)]
    taken, given = sum(move < 0 for move in moves), sum(move > 0 for move in moves)
    given = max(given, event_type.endswith("funds_reinstated"))
    taken = max(taken, given, event_type.endswith("funds_withdrawn"))
    due_by = (thing.get("evidence_details") or {}).get("due_by")
    return {
        "id": read_id(thing["id"]),
        "status": DISPUTE_STATUSES.get(thing["status"], "under_review"),
        "amount": int(thing["amount"]),
        "reason": match(r"[a-z_]{1,60}", thing.get("reason")),
        "due_by": time_of(due_by) if due_by else None,
        "withdrawals": int(taken),
        "reinstatements": int(given),
        "created_at": time_of(thing["created"]),
    }


def _failure(error: StripeObject) -> tuple[str, str]:
    code = match(r"[a-z0-9_]{1,64}", error.get("decline_code") or error.get("code")) or "declined"
    return code, DECLINES.get(code, DECLINED)


def _method(intent: StripeObject) -> str | None:
    charge, types = intent.get("latest_charge"), intent.get("payment_method_types") or []
    if isinstance(charge, dict):
        types = [(charge.get("payment_method_details") or {}).get("type")]
    return match(r"[a-z_]{1,40}", types[0]) if len(types) == 1 else None
