"""Disputes: an inquiry that only asks, a chargeback that takes the money, its end, and an appeal against that."""

import time
from typing import Any

from localstripe import resources

from .charges import Charge, is_contested, left, refunds_of
from .events import emit
from .methods import number_of
from .parameters import Refusal
from .refunds import fail
from .state import action

DAY = 24 * 3600
FEE = 1500  # what Stripe takes for a chargeback, in minor units; it is not given back
INQUIRY = ("warning_needs_response", "warning_under_review")
CHARGEBACK = ("needs_response", "under_review")
# Reason -> Visa's code for it; None where the networks have none (docs.stripe.com/disputes/categories).
REASONS: dict[str, str | None] = {
    "fraudulent": "10.4",
    "unrecognized": "10.4",
    "product_not_received": "13.1",
    "subscription_canceled": "13.2",
    "product_unacceptable": "13.3",
    "credit_not_processed": "13.6",
    "duplicate": "12.6",
} | dict.fromkeys(
    """bank_cannot_process check_returned customer_initiated debit_not_authorized general incorrect_account_details
    insufficient_funds noncompliant""".split()
)


class Dispute(resources.StripeObject):
    object = "dispute"
    _id_prefix = "dp_"

    def __init__(self, charge: Charge, amount: int, reason: str, inquiry: bool) -> None:
        super().__init__()
        self.amount, self.currency = amount, charge.currency
        self.balance_transactions: list[dict[str, Any]] = []
        self.charge, self.payment_intent = charge.id, charge.payment_intent
        self.enhanced_eligibility_types: list[str] = []
        self.evidence: dict[str, Any] = {}
        self.evidence_details = {
            "due_by": self.created + 7 * DAY,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        }
        self.intended_submission_method = None
        self.metadata: dict[str, str] = {}
        self.network_reason_code = REASONS[reason] if number_of(charge.payment_method) else None
        self.payment_method_details = self._details(charge, inquiry)
        self.reason, self.status = reason, "warning_needs_response" if inquiry else "needs_response"

    def _details(self, charge: Charge, inquiry: bool) -> dict[str, Any] | None:
        if charge.payment_method_details["type"] != "card":
            return None
        brand = charge.payment_method_details["card"].get("brand", "unknown")
        code = {"network": brand, "network_reason_code": self.network_reason_code}
        return {"type": "card", "card": {"brand": brand, "case_type": "inquiry" if inquiry else "chargeback", **code}}

    @property
    def is_charge_refundable(self) -> bool:
        charge = resources.store.get(f"charge:{self.charge}")
        return not is_contested(charge) and left(charge) > 0

    def _withdrawn(self) -> int:
        """What it has taken and not given back, in minor units, without the fee."""
        return -sum(each["amount"] for each in self.balance_transactions)

    def _book(self, amount: int, fee: int = 0) -> None:
        """A movement on the account's balance: below zero it leaves."""
        word = "withdrawal" if amount < 0 else "reversal"
        fees = [{"amount": fee, "application": None, "currency": self.currency, "type": "stripe_fee"}] if fee else []
        entry = {
            "id": "txn_" + resources.random_id(24),
            "object": "balance_transaction",
            "amount": amount,
            "balance_type": "payments",
            "created": int(time.time()),
            "available_on": int(time.time()),
            "currency": self.currency,
            "description": f"Chargeback {word} for {self.charge}",
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [each | {"description": "Dispute fee"} for each in fees],
            "net": amount - fee,
            "reporting_category": "dispute" if amount < 0 else "dispute_reversal",
            "source": self.id,
            "status": "available",
            "type": "adjustment",
        }
        self.balance_transactions = [*self.balance_transactions, entry]


@action
def charge_disputed(charge: Charge) -> None:
    create(charge)


@action
def charge_inquired(charge: Charge) -> None:
    create(charge, inquiry=True)


def create(charge: Charge, amount: int | None = None, reason: str = "fraudulent", inquiry: bool = False) -> Dispute:
    """`amount` in minor units, default what is left of the charge; a bank may take another sum, even a higher one."""
    if reason not in REASONS:
        raise Refusal(400, f"reason is one of {', '.join(sorted(REASONS))}", param="reason")
    _check_disputable(charge)
    if not inquiry:
        _fail_pending_refunds(charge)
    amount = left(charge) if amount is None else amount
    if amount < 1:
        raise Refusal(400, f"Nothing is left of charge {charge.id} to dispute.", param="amount")
    charge.disputed = True
    made = Dispute(charge, amount, reason, inquiry)
    emit("charge.dispute.created", made)
    if not inquiry:
        _withdraw(made, FEE)
    return made


def escalate(made: Dispute) -> Dispute:
    """The bank takes the money after all: a chargeback follows the inquiry. Not after a refund of the whole charge."""
    if made.status not in INQUIRY:
        raise Refusal(400, f"Only an open inquiry escalates, this dispute has a status of {made.status}.")
    charge = resources.store.get(f"charge:{made.charge}")
    _fail_pending_refunds(charge)
    if left(charge) <= 0:
        raise Refusal(400, f"Charge {charge.id} is refunded in full: no inquiry about it escalates.")
    made.amount = min(made.amount, left(charge))
    if made.payment_method_details:
        card = made.payment_method_details["card"] | {"case_type": "chargeback"}
        made.payment_method_details = {"type": "card", "card": card}
    made.evidence_details = made.evidence_details | {"due_by": int(time.time()) + 7 * DAY}
    _move(made, "needs_response")
    _withdraw(made, FEE)
    return made


def respond(made: Dispute) -> Dispute:
    """Evidence is handed in, as in the dashboard."""
    reviewed = {"needs_response": "under_review", "warning_needs_response": "warning_under_review"}
    if made.status not in reviewed:
        raise Refusal(400, f"A dispute with a status of {made.status} takes no response.")
    sent = {"has_evidence": True, "submission_count": 1, "submission_method": "manual"}
    made.evidence_details = made.evidence_details | sent
    _move(made, reviewed[made.status])
    return made


def close(made: Dispute, status: str) -> Dispute:
    """A chargeback ends won or lost, an inquiry as warning_closed."""
    ends = {**dict.fromkeys(CHARGEBACK, ("won", "lost")), **dict.fromkeys(INQUIRY, ("warning_closed",))}
    if status not in ends.get(made.status, ()):
        raise Refusal(400, f"A dispute with a status of {made.status} cannot be closed as {status}.")
    made.status = status
    if status == "won":
        _reinstate(made)
    emit("charge.dispute.closed", made)
    return made


def accept(made: Dispute, _: dict[str, Any]) -> Dispute:
    """POST /v1/disputes/:id/close is the merchant giving in. An inquiry that is given in to has taken nothing."""
    if made.status not in INQUIRY + CHARGEBACK:
        raise Refusal(400, f"This dispute is closed already, with a status of {made.status}.")
    made.status = "lost"
    emit("charge.dispute.closed", made)
    return made


def appeal(made: Dispute, status: str) -> Dispute:
    """The end is turned round: a lost dispute is won, or a won one is lost."""
    if (made.status, status) not in (("lost", "won"), ("won", "lost")):
        raise Refusal(400, f"No appeal makes a dispute with a status of {made.status} {status}.")
    _move(made, status)
    if status == "lost":
        _withdraw(made)
    elif made._withdrawn():
        _reinstate(made)
    return made


def _check_disputable(charge: Charge) -> None:
    if not charge.paid:
        raise Refusal(400, f"Charge {charge.id} cannot be disputed: it is not paid.")
    open_ones = [each.id for each in _open_ones(charge)]
    if open_ones:
        raise Refusal(400, f"Charge {charge.id} cannot be disputed again while {open_ones[0]} is open.")
    if charge.amount == sum(refund.amount for refund in refunds_of(charge) if refund.status == "succeeded"):
        raise Refusal(400, f"Charge {charge.id} cannot be disputed: it is refunded in full.")


def _open_ones(charge: Charge) -> list[Dispute]:
    found = resources.store.of_kind("dispute")
    return [each for each in found if each.charge == charge.id and each.status in INQUIRY + CHARGEBACK]


def _fail_pending_refunds(charge: Charge) -> None:
    """A chargeback takes the money before a refund that still waits does (docs.stripe.com/refunds#failed-refunds)."""
    for refund in refunds_of(charge):
        if refund.status == "pending":
            fail(resources.store.get(f"refund:{refund.id}"), "charge_for_pending_refund_disputed")


def _move(made: Dispute, status: str) -> None:
    before, made.status = made.status, status
    emit("charge.dispute.updated", made, status=before)


def _withdraw(made: Dispute, fee: int = 0) -> None:
    made._book(-made.amount, fee)
    emit("charge.dispute.funds_withdrawn", made)


def _reinstate(made: Dispute) -> None:
    made._book(made._withdrawn())
    emit("charge.dispute.funds_reinstated", made)
