"""PayPal's objects put into our words: its events, what its answers say of an order, and its amounts.

A payment of ours is an order; the money taken is its capture, which is our charge: refunds and disputes name no other.
PayPal holds the money of an open case and moves none. What a lost one takes is a reversal, told in the form of a
refund: so refunds and reversals tell of money, and cases only of how they stand.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from service.payments.gateway import EventRefused, PaymentState
from service.payments.gateways.reading import UUID, match, read_id
from service.payments.shapes import DisputeFacts, GatewayEvent, RefundFacts

PayPalObject = dict[str, Any]

# The events to subscribe to. A refused capture has two names in the documents.
KINDS = {
    "CHECKOUT.ORDER.APPROVED": "payment.approved",
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED": "payment.canceled",
    "PAYMENT.CAPTURE.COMPLETED": "payment.succeeded",
    "PAYMENT.CAPTURE.PENDING": "payment.processing",
    "PAYMENT.CAPTURE.DENIED": "payment.failed",
    "PAYMENT.CAPTURE.DECLINED": "payment.failed",
    "PAYMENT.CAPTURE.REFUNDED": "refund.changed",
    "PAYMENT.CAPTURE.REVERSED": "refund.changed",
    "CUSTOMER.DISPUTE.CREATED": "dispute.changed",
    "CUSTOMER.DISPUTE.UPDATED": "dispute.changed",
    "CUSTOMER.DISPUTE.RESOLVED": "dispute.changed",
}
ORDER_STATES: dict[str, PaymentState] = {
    "CREATED": "payable",
    "SAVED": "payable",
    "PAYER_ACTION_REQUIRED": "payable",
    "APPROVED": "approved",
    "VOIDED": "canceled",
}
# Of an order that was captured, which is never captured a second time.
CAPTURE_STATES: dict[str, PaymentState] = {
    "COMPLETED": "paid",
    "PARTIALLY_REFUNDED": "paid",
    "REFUNDED": "paid",
    "DECLINED": "canceled",
    "FAILED": "canceled",
}
REFUND_STATUSES = {"COMPLETED": "succeeded", "FAILED": "failed", "CANCELLED": "canceled"}
LOST = ("RESOLVED_BUYER_FAVOUR", "ACCEPTED")
DECLINED = "The payment was declined. Please try another way to pay or ask your bank."
# What a payer may be told, by the issue (developer.paypal.com/api/rest/reference/orders/v2/errors).
DECLINES = {
    "payer_account_restricted": "The PayPal account cannot be used for this payment.",
    "payer_account_locked_or_closed": "The PayPal account cannot be used for this payment.",
    "transaction_limit_exceeded": "The amount is above what this PayPal account may pay.",
    "echeck": "The bank did not pay the eCheck.",
}
WHOLE = ("huf", "jpy", "twd")  # without decimals at PayPal; here HUF and TWD have two, as at Stripe


class AmountRefused(ValueError):
    """An amount that one of the two cannot write."""


def to_money(amount: int, currency: str) -> PayPalObject:
    """Our minor units as PayPal writes them. Raises ``AmountRefused``."""
    value = Decimal(amount).scaleb(0 if currency == "jpy" else -2)
    text = f"{value:f}" if currency not in WHOLE else f"{value:.0f}"
    if Decimal(text) != value:
        raise AmountRefused(f"{value} {currency} has decimals")
    return {"currency_code": currency.upper(), "value": text}


def from_money(money: PayPalObject) -> tuple[int, str]:
    """(our minor units, currency) of what PayPal writes. Raises ``AmountRefused``."""
    currency, value = match(r"[A-Z]{3}", money["currency_code"]), match(r"-?\d{1,20}(\.\d{1,8})?", money["value"])
    if currency is None or value is None:
        raise AmountRefused("no amount")
    amount = Decimal(value).scaleb(0 if currency == "JPY" else 2)
    if amount != amount.to_integral_value():
        raise AmountRefused(f"{value} {currency}")
    return int(amount), currency.lower()


def read_event(payload: str) -> GatewayEvent | None:
    """A verified text as an event; None for one that concerns nothing here. Raises ``EventRefused``."""
    try:
        event = json.loads(payload)
        kind = KINDS.get(event["event_type"])
        if kind is None:
            return None
        at = _time(event["create_time"])
        id = match(r"[A-Za-z0-9-]{1,255}", event["id"])
        if id is None:
            raise EventRefused("This is not an event.")
        return {**_describe(kind, event["resource"], at), "id": id, "type": event["event_type"]}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise EventRefused("This is not an event.") from error


def find_capture(order: PayPalObject) -> PayPalObject | None:
    """The money that was taken by an order, or is on its way."""
    found: list[PayPalObject] = (order["purchase_units"][0].get("payments") or {}).get("captures") or []
    return found[0] if found else None


def refunds_of(order: PayPalObject) -> list[PayPalObject]:
    return (order["purchase_units"][0].get("payments") or {}).get("refunds") or []


def state_of(order: PayPalObject) -> PaymentState:
    if capture := find_capture(order):
        return CAPTURE_STATES.get(capture["status"], "under_way")
    return ORDER_STATES.get(order["status"], "under_way")


def payment_facts(order: PayPalObject, asked_at: datetime, *, with_refunds: bool = False) -> list[GatewayEvent]:
    """What PayPal's answer about an order says, as events that happened by ``asked_at``."""
    now, capture, state = asked_at.isoformat(), find_capture(order), state_of(order)
    facts: list[GatewayEvent] = []
    if capture and state == "paid":
        untouched = capture["status"] == "COMPLETED"
        facts = [_describe("payment.succeeded", capture, _time(capture["update_time" if untouched else "create_time"]))]
    elif capture and state == "under_way":
        facts = [_describe("payment.processing", capture, _time(capture["create_time"]))]
    elif capture:
        facts = [_describe("payment.failed", capture, now)]
    elif state == "approved":
        facts = [_describe("payment.approved", order, _time(order.get("update_time") or order["create_time"]))]
    elif state == "payable" and order.get("payer") and order.get("update_time"):
        # Approved, and then declined. The seconds are whole, and it comes after all that led to it.
        at = datetime.fromisoformat(order["update_time"]) + timedelta(seconds=1)
        facts = [failed_fact(order, "instrument_declined", at)]
    if state == "canceled":
        facts.append(canceled_fact(order, asked_at))
    if capture and with_refunds:
        facts += [refund_event(refund, capture, asked_at) for refund in refunds_of(order)]
    # The order's own id: what hangs on it names it only by links.
    return [{**fact, "type": f"{fact['kind']}, as PayPal answered", "payment_id": order["id"]} for fact in facts]


def failed_fact(order: PayPalObject, code: str, at: datetime) -> GatewayEvent:
    """The payer's instrument was declined."""
    fact = _describe("payment.failed", order, at.isoformat())
    return {**fact, "failure_code": code, "failure_reason": DECLINES.get(code, DECLINED)}


def canceled_fact(order: PayPalObject, at: datetime) -> GatewayEvent:
    """It is void, or we take no money by it from now on."""
    return {**_describe("payment.canceled", order, at.isoformat()), "type": "payment.canceled, by us"}


def refund_event(refund: PayPalObject, capture: PayPalObject, at: datetime) -> GatewayEvent:
    """PayPal's answer about a refund as an event of now."""
    fact = _describe("refund.changed", refund, at.isoformat())
    return {**fact, "type": "refund.changed, as PayPal answered", "charge_id": capture["id"]}


def _describe(kind: str, thing: PayPalObject, at: str) -> GatewayEvent:
    """What an order, a capture, a refund or a case says at that time."""
    if kind == "dispute.changed":
        return _dispute(thing, at)
    units = thing.get("purchase_units") or [thing]
    is_told = kind != "payment.canceled" or units[0].get("amount")
    amount, currency = from_money(units[0]["amount"]) if is_told else (0, None)
    facts: GatewayEvent = {
        "gateway": "paypal",
        "kind": kind,
        "payment_id": None,
        "currency": currency,
        "metadata": _metadata(units[0].get("custom_id")),
        "occurred_at": at,
    }
    if kind == "refund.changed":
        return {**facts, "charge_id": _linked(thing, "captures"), "refund": _refund(thing, amount)}
    if "purchase_units" in thing:
        facts["payment_id"] = read_id(thing.get("order_id") or thing["id"])
        if capture := find_capture(thing):
            facts["charge_id"] = read_id(capture["id"])
    else:
        facts["payment_id"], facts["charge_id"] = _order_of(thing), read_id(thing["id"])
    facts["amount"] = amount
    if kind == "payment.succeeded":
        facts["payment_method"] = "paypal"
    elif kind == "payment.failed":
        code = str((thing.get("status_details") or {}).get("reason") or "declined").lower()
        facts["failure_code"] = match(r"[a-z0-9_]{1,64}", code) or "declined"
        facts["failure_reason"] = DECLINES.get(code, DECLINED)
    return facts


def _refund(thing: PayPalObject, amount: int) -> RefundFacts:
    return {
        "id": read_id(thing["id"]),
        "amount": amount,
        "status": REFUND_STATUSES.get(thing["status"], "pending"),
        # Of one that was made by hand it is the capture's, which names no refund of ours.
        "reference": match(UUID, thing.get("custom_id")),
        "created_at": _time(thing["create_time"]),
    }


def _dispute(thing: PayPalObject, at: str) -> GatewayEvent:
    disputed = thing["disputed_transactions"][0]
    amount, currency = from_money(thing["dispute_amount"])
    due_by = thing.get("seller_response_due_date")
    facts: DisputeFacts = {
        "id": read_id(thing["dispute_id"]),
        "status": _dispute_status(thing),
        "amount": amount,
        "reason": match(r"[a-z_]{1,60}", str(thing.get("reason")).lower()),
        "due_by": _time(due_by) if due_by else None,
        "withdrawals": 0,
        "reinstatements": 0,
        "created_at": _time(thing["create_time"]),
    }
    return {
        "gateway": "paypal",
        "kind": "dispute.changed",
        "payment_id": None,
        "charge_id": read_id(disputed["seller_transaction_id"]),
        "currency": currency,
        "metadata": _metadata(disputed.get("custom")),
        "occurred_at": at,
        "dispute": facts,
    }


def _dispute_status(thing: PayPalObject) -> str:
    is_inquiry = thing.get("dispute_life_cycle_stage") == "INQUIRY"
    if thing["status"] == "RESOLVED":
        outcome = (thing.get("dispute_outcome") or {}).get("outcome_code")
        return "lost" if outcome in LOST else "warning_closed" if is_inquiry else "won"
    is_ours = thing["status"] in ("OPEN", "WAITING_FOR_SELLER_RESPONSE")
    return ("warning_" if is_inquiry else "") + ("needs_response" if is_ours else "under_review")


def _metadata(custom_id: Any) -> dict[str, str | None]:
    return {"booking_id": None, "transaction_id": match(UUID, custom_id)}


def _order_of(capture: PayPalObject) -> str | None:
    related = (capture.get("supplementary_data") or {}).get("related_ids") or {}
    return match(r"[A-Z0-9]{1,64}", related.get("order_id")) or _linked(capture, "orders")


def _linked(thing: PayPalObject, kind: str) -> str | None:
    """The id of what something hangs on: refunds name their capture, captures their order, by the link «up»."""
    for link in thing.get("links") or []:
        if link["rel"] == "up" and (found := re.search(rf"/{kind}/([A-Z0-9]{{1,64}})$", link["href"], re.ASCII)):
            return found[1]
    return None


def _time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).isoformat()
