"""Refunds and disputes: money that goes back, and `amount_refunded` and the events that follow it."""

from typing import Any

from localstripe import resources

from . import currencies
from .events import emit
from .intents import Charge, find_intent
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
        self.reason = self.receipt_number = self.source_transfer_reversal = self.transfer_reversal = None
        self.status = "succeeded"
        self._due: str | None = None


class Dispute(resources.StripeObject):
    object = "dispute"
    _id_prefix = "dp_"

    def __init__(self, charge: Charge, amount: int, reason: str) -> None:
        super().__init__()
        self.amount, self.currency = amount, charge.currency
        self.balance_transactions: list[Any] = []
        self.charge, self.payment_intent = charge.id, charge.payment_intent
        self.evidence: dict[str, Any] = {}
        self.evidence_details = {"due_by": self.created + 7 * 24 * 3600, "has_evidence": False, "past_due": False}
        self.is_charge_refundable = False
        self.metadata: dict[str, str] = {}
        self.reason, self.status = reason, "needs_response"


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
    _move(charge, amount)
    emit("refund.created", refund)
    emit("charge.refunded", charge)
    if outcome == "failed":
        refund_failed(refund)
    elif outcome is None and number in AFTERWARDS:
        resources.store.later(refund, AFTERWARDS[number])
    return refund


def _amount_to_refund(charge: Charge, params: dict[str, Any]) -> int:
    """What goes back, in minor units: as asked, or all that is left; never more than that."""
    rest = charge.amount - charge.amount_refunded
    if charge.disputed:
        text = f"Charge {charge.id} has been charged back; cannot issue a refund."
        raise Refusal(400, text, code="charge_disputed")
    if rest == 0:
        raise Refusal(400, f"Charge {charge.id} has already been refunded.", code="charge_already_refunded")
    amount = params.get("amount", rest)
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
    if amount > rest:
        asked, left = (currencies.table.shown(each, charge.currency) for each in (amount, rest))
        text = f"Refund amount ({asked}) is greater than unrefunded amount on charge ({left})"
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


def _move(charge: Charge, amount: int) -> None:
    charge.amount_refunded += amount
    charge.refunded = charge.amount_refunded == charge.amount


@action
def refund_succeeded(refund: Refund) -> None:
    before, refund.status = refund.status, "succeeded"
    emit("refund.updated", refund, status=before)
    emit("charge.refund.updated", refund, status=before)


@action
def refund_failed(refund: Refund, reason: str = "expired_or_canceled_card") -> None:
    """A refund that comes back: the charge is refundable again by its amount."""
    before, refund.status = refund.status, "failed"
    refund.failure_reason = reason
    _move(resources.store.get(f"charge:{refund.charge}"), -refund.amount)
    emit("refund.updated", refund, status=before)
    emit("refund.failed", refund, status=before)
    emit("charge.refund.updated", refund, status=before)


def change(refund: Refund, status: str) -> Refund:
    """Let a refund go on: pending -> succeeded or failed, succeeded -> failed (as banks do days later)."""
    if (refund.status, status) not in (("pending", "succeeded"), ("pending", "failed"), ("succeeded", "failed")):
        raise Refusal(400, f"A {refund.status} refund cannot become {status}.")
    refund._due = None
    (refund_succeeded if status == "succeeded" else refund_failed)(refund)
    return refund


def update(refund: Refund, params: dict[str, Any]) -> Refund:
    if "metadata" in params:
        before, refund.metadata = refund.metadata, merge_metadata(refund.metadata, params["metadata"])
        emit("refund.updated", refund, metadata=before)
    return refund


@action
def charge_disputed(charge: Charge) -> None:
    dispute(charge)


def dispute(charge: Charge, amount: int | None = None, reason: str = "fraudulent") -> Dispute:
    if not charge.paid or charge.disputed:
        raise Refusal(400, f"Charge {charge.id} cannot be disputed: it is not paid, or is disputed already.")
    charge.disputed = True
    made = Dispute(charge, charge.amount if amount is None else amount, reason)
    emit("charge.dispute.created", made)
    emit("charge.dispute.funds_withdrawn", made)
    return made


def close(made: Dispute, status: str) -> Dispute:
    if made.status in ("won", "lost") or status not in ("won", "lost"):
        raise Refusal(400, f"A dispute with a status of {made.status} cannot be closed as {status}.")
    made.status = status
    if status == "won":
        resources.store.get(f"charge:{made.charge}").disputed = False
        emit("charge.dispute.funds_reinstated", made)
    emit("charge.dispute.closed", made)
    return made


def accept(made: Dispute, _: dict[str, Any]) -> Dispute:
    """POST /v1/disputes/:id/close is the merchant giving in."""
    return close(made, "lost")
