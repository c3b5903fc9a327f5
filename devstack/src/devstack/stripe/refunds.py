"""Refunds: money that goes back, what becomes of it, and the events that follow."""

import time
from typing import Any

from localstripe import resources

from . import currencies
from .charges import Charge, count_refunds, is_contested, left, taken
from .events import emit
from .intents import find_intent
from .methods import REFUND_FAILS, REFUND_PENDS, number_of
from .parameters import Refusal, invalid, merge_metadata, missing
from .state import action


class Refund(resources.StripeObject):
    object = "refund"
    _id_prefix = "re_"

    def __init__(self, charge: Charge, amount: int) -> None:
        super().__init__()
        self.amount, self.currency = amount, charge.currency
        self.balance_transaction = None
        self.charge, self.payment_intent = charge.id, charge.payment_intent
        self.destination_details = {"type": "card", "card": {"reference_status": "pending", "type": "refund"}}
        self.metadata: dict[str, str] = {}
        self.next_action: dict[str, Any] | None = None
        self.reason = self.receipt_number = self.source_transfer_reversal = self.transfer_reversal = None
        self.status = "succeeded"
        self._due: str | None = None


WEEK = 7 * 24 * 3600
# Status -> what it can become: pending and requires_action are on their way, and a bank takes back days later.
CHANGES = {
    "pending": ("succeeded", "failed", "canceled"),
    "requires_action": ("pending", "succeeded", "failed", "canceled"),
    "succeeded": ("failed",),
}
# What becomes of refunds made from now on: {"status": …, "count": n or None for all}; by the control API.
next_outcome: dict[str, Any] = {}
# Card number -> what becomes of its refunds after a while.
AFTERWARDS = {REFUND_PENDS: "refund_succeeded", REFUND_FAILS: "refund_failed"}


def create(params: dict[str, Any]) -> Refund:
    charge = _charge_to_refund(params)
    amount, metadata = _amount_to_refund(charge, params), merge_metadata({}, params.get("metadata", {}))
    number, outcome = number_of(charge.payment_method), _take_outcome()
    refund = Refund(charge, amount)
    refund.metadata, refund.reason = metadata, params.get("reason")
    if outcome in ("pending", "failed") or (outcome is None and number == REFUND_PENDS):
        refund.status = "pending"
    if outcome == "requires_action":
        refund.status, refund.next_action = "requires_action", _ask_payer()
    count_refunds(charge)
    emit("refund.created", refund)
    emit("charge.refunded", charge)
    if outcome == "failed":
        fail(refund)
    elif outcome is None and number in AFTERWARDS:
        resources.store.later(refund, AFTERWARDS[number])
    return refund


def _amount_to_refund(charge: Charge, params: dict[str, Any]) -> int:
    """What goes back, in minor units: as asked, or all that is left; never more than that.

    Nothing while a chargeback is open (docs.stripe.com/disputes/how-disputes-work), and nothing that one has taken.
    """
    rest = left(charge)
    if is_contested(charge) or (rest <= 0 and taken(charge) > 0):
        text = f"Charge {charge.id} cannot be refunded: the payer's bank has charged it back."
        raise Refusal(400, text, code="charge_disputed")
    if rest <= 0:
        raise Refusal(400, f"Charge {charge.id} has already been refunded.", code="charge_already_refunded")
    amount = params.get("amount", rest)
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
    if amount > rest:
        asked, most = (currencies.table.shown(each, charge.currency) for each in (amount, rest))
        text = f"Refund amount ({asked}) is greater than unrefunded amount on charge ({most})"
        raise Refusal(400, text, param="amount")
    return amount


def _charge_to_refund(params: dict[str, Any]) -> Charge:
    named = [name for name in ("charge", "payment_intent") if params.get(name)]
    if len(named) != 1:
        text = "One of the following params should be provided for this request: payment_intent or charge."
        raise invalid(text, "payment_intent", "parameter_missing")
    if "payment_intent" in named:
        intent = find_intent(params["payment_intent"], "payment_intent")
        if intent.amount_received == 0:
            text = f"This PaymentIntent ({intent.id}) does not have a successful charge to refund."
            raise Refusal(400, text, param="payment_intent")
        return resources.store.get(f"charge:{intent.latest_charge}")
    charge = resources.store.get(f"charge:{params['charge']}")
    if charge is None:
        raise missing("charge", params["charge"], "charge")
    if not charge.paid:
        raise Refusal(400, f"Charge {charge.id} cannot be refunded: it did not succeed.", param="charge")
    return charge


def _take_outcome() -> str | None:
    if not next_outcome:
        return None
    status, count = next_outcome["status"], next_outcome.get("count")
    if count is not None:
        next_outcome["count"] = count - 1
        if count <= 1:
            next_outcome.clear()
    return status


def _ask_payer() -> dict[str, Any]:
    """The payer is asked by mail where the money is to go."""
    asked = {"email_sent_at": int(time.time()), "email_sent_to": "payer@example.com"}
    return {"type": "display_details", "display_details": {"email_sent": asked, "expires_at": int(time.time()) + WEEK}}


@action
def refund_succeeded(refund: Refund) -> None:
    _become(refund, "succeeded")


@action
def refund_failed(refund: Refund) -> None:
    fail(refund)


def fail(refund: Refund, reason: str = "expired_or_canceled_card", status: str = "failed") -> None:
    """A refund that comes back, or is canceled: the charge is refundable again by its amount."""
    refund.failure_reason = reason
    _become(refund, status)


def _become(refund: Refund, status: str) -> None:
    """The events are refund.updated, refund.failed where it failed, and charge.refund.updated, each with the refund."""
    before, refund.status = refund.status, status
    refund._due = refund.next_action = None
    count_refunds(resources.store.get(f"charge:{refund.charge}"))
    emit("refund.updated", refund, status=before)
    if status == "failed":
        emit("refund.failed", refund, status=before)
    emit("charge.refund.updated", refund, status=before)


def change(refund: Refund, status: str) -> Refund:
    """Let a refund go on, as CHANGES allows."""
    if status not in CHANGES.get(refund.status, ()):
        raise Refusal(400, f"A {refund.status} refund cannot become {status}.")
    if status == "failed":
        fail(refund)
    elif status == "canceled":
        fail(refund, "merchant_request", status)
    else:
        _become(refund, status)
    return refund


def cancel(refund: Refund, _: dict[str, Any]) -> Refund:
    """POST /v1/refunds/:id/cancel, for refunds that wait for the payer and no others."""
    if refund.status != "requires_action":
        raise Refusal(400, f"Only a refund that requires action can be canceled, this one is {refund.status}.")
    return change(refund, "canceled")


def update(refund: Refund, params: dict[str, Any]) -> Refund:
    if "metadata" in params:
        before, refund.metadata = refund.metadata, merge_metadata(refund.metadata, params["metadata"])
        emit("refund.updated", refund, metadata=before)
    return refund
