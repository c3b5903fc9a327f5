"""Refunds of captures, and reversals, which PayPal makes by itself."""

from decimal import Decimal
from typing import Any

from . import errors, money, schema
from .account import Account, Capture, Dispute, Refund, now

# How tests name the statuses, for all gateways alike.
STATUSES = {"succeeded": "COMPLETED", "pending": "PENDING", "failed": "FAILED", "canceled": "CANCELLED"}
PAID = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")


def create(account: Account, capture: Capture, body: dict[str, Any]) -> Refund:
    """By the API or in the dashboard; without an amount all that is left."""
    schema.REFUND(body, "")
    amount = _amount(account, capture, body.get("amount"))
    contested = [each for each in account.disputes_of(capture) if each.status != "RESOLVED"]
    is_whole = amount == capture.amount - account.refunded(capture)
    # Before a case is escalated, giving all back is a way to end it.
    if any(each.stage != "INQUIRY" for each in contested) or contested and not is_whole:
        raise errors.unprocessable("TRANSACTION_DISPUTED", "There is an open case on this transaction.")
    status = _next_status(account)
    made = account.store.add(Refund(capture, amount, status, body.get("custom_id"), body.get("note_to_payer")))
    recount(account, capture)
    if status == "COMPLETED":
        _tell(account, made)
        for each in contested:
            _end_by_refund(account, each)
    return made


def _amount(account: Account, capture: Capture, asked: Any) -> Decimal:
    if capture.status == "PENDING":
        raise errors.unprocessable("PENDING_CAPTURE", "The capture is pending.")
    if capture.status not in PAID:
        raise errors.unprocessable("REFUND_NOT_ALLOWED", "The capture cannot be refunded.")
    left = capture.amount - account.refunded(capture)
    if left <= 0:
        raise errors.unprocessable("CAPTURE_FULLY_REFUNDED", "The capture was refunded in full.")
    if asked is None:
        return left
    currency, amount = money.read(asked, "/amount")
    if currency != capture.currency:
        raise errors.unprocessable("REFUND_CAPTURE_CURRENCY_MISMATCH", "The capture is in another currency.")
    if amount > left:
        raise errors.unprocessable("REFUND_AMOUNT_EXCEEDED", "So much is not left of the capture.")
    return amount


def _next_status(account: Account) -> str:
    begin = account.refunds_begin
    if not begin or begin["count"] == 0:
        return "COMPLETED"
    if begin["count"] is not None:
        begin["count"] -= 1
    return STATUSES[begin["status"]]


def _end_by_refund(account: Account, dispute: Dispute) -> None:
    known = account.find(Dispute, dispute.id)
    known.status, known.outcome, known.update_time = "RESOLVED", "RESOLVED_BUYER_FAVOUR", now()
    account.emit("CUSTOMER.DISPUTE.RESOLVED", known, account.show(known), f"A dispute was resolved: {known.id}")


def change(account: Account, refund: Refund, status: str) -> Refund:
    """A pending refund comes to its end. Of one that does not go through PayPal sends no event."""
    if refund.status != "PENDING" or STATUSES.get(status) in (None, "PENDING"):
        raise errors.unprocessable("REFUND_NOT_PENDING", "Only a pending refund changes: succeeded, failed, canceled.")
    refund.status, refund.update_time = STATUSES[status], now()
    recount(account, account.find(Capture, refund.capture))
    if refund.status == "COMPLETED":
        _tell(account, refund)
    return refund


def reverse(account: Account, capture: Capture, amount: Decimal | None = None) -> Refund | None:
    """PayPal takes the money back, at most what is left; None where nothing is."""
    if capture.status not in PAID:
        raise errors.unprocessable("CAPTURE_NOT_PAID", "Only a completed capture can be reversed.")
    left = capture.amount - account.refunded(capture)
    taken = left if amount is None else min(amount, left)
    if taken <= 0:
        return None
    made = account.store.add(Refund(capture, taken, "COMPLETED", None, "Payment reversed"))
    recount(account, capture)
    shown = account.show(made)
    account.emit("PAYMENT.CAPTURE.REVERSED", made, shown, f"A {shown['amount']['value']} {made.currency} was reversed")
    return made


def recount(account: Account, capture: Capture) -> None:
    gone = sum((each.amount for each in account.refunds_of(capture) if each.status == "COMPLETED"), Decimal(0))
    capture.status = "COMPLETED" if gone <= 0 else "REFUNDED" if gone >= capture.amount else "PARTIALLY_REFUNDED"
    capture.update_time = now()


def _tell(account: Account, refund: Refund) -> None:
    shown = account.show(refund)
    text = f"A {shown['amount']['value']} {refund.currency} capture payment was refunded"
    account.emit("PAYMENT.CAPTURE.REFUNDED", refund, shown, text)
