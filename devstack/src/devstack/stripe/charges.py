"""Charges, and what is left of each after refunds and disputes."""

from typing import Any

from localstripe import resources

from . import account, currencies
from .events import emit
from .methods import find_method


class Charge(resources.StripeObject):
    object = "charge"
    _id_prefix = "ch_"

    def __init__(self, amount: int, currency: str, method: Any, intent: Any = None) -> None:
        """A pending charge; without an `intent` it is one that another way of taking money made."""
        super().__init__()
        self.amount, self.currency = amount, currency
        self.amount_captured = self.amount_refunded = 0
        self.application = self.application_fee = self.application_fee_amount = self.balance_transaction = None
        self.billing_details = dict(getattr(method, "billing_details", None) or {})
        self.calculated_statement_descriptor = "LOCAL STRIPE"
        self.captured = self.disputed = self.paid = self.refunded = False
        self.customer, self.description = getattr(intent, "customer", None), getattr(intent, "description", None)
        self.failure_balance_transaction = self.failure_code = self.failure_message = None
        self.fraud_details: dict[str, Any] = {}
        self.metadata = dict(intent.metadata) if intent else {}
        self.outcome: dict[str, Any] | None = None
        self.payment_intent, self.payment_method = getattr(intent, "id", None), method.id
        self.payment_method_details = {method.type: getattr(method, method.type, {}), "type": method.type}
        self.receipt_email, self.receipt_number = getattr(intent, "receipt_email", None), None
        self.receipt_url = self.review = self.shipping = self.source = self.transfer_group = None
        self.statement_descriptor = None
        self.statement_descriptor_suffix = getattr(intent, "statement_descriptor_suffix", None)
        self.status = "pending"


def succeed(charge: Charge) -> None:
    charge.status, charge.paid, charge.captured, charge.amount_captured = "succeeded", True, True, charge.amount
    charge.outcome = {"network_status": "approved_by_network", "type": "authorized", "risk_level": "normal"}
    emit("charge.succeeded", charge)


def foreign(amount: int, currency: str) -> Charge:
    """A card payment taken without an intent, as in the dashboard or through the API of old."""
    currency = currencies.table.check(amount, currency)
    charge = Charge(amount, currency, find_method("pm_card_visa"))
    succeed(charge)
    return charge


def refunds_of(charge: Charge) -> list[Any]:
    return [refund for refund in resources.store.of_kind("refund") if refund.charge == charge.id]


def disputes_of(charge: Charge) -> list[Any]:
    return [dispute for dispute in resources.store.of_kind("dispute") if dispute.charge == charge.id]


def is_live(refund: Any) -> bool:
    """Whether the refund's money is with the payer, or on its way."""
    return refund.status not in ("failed", "canceled")


def left(charge: Charge) -> int:
    """What neither a refund nor a dispute has taken, in minor units; below zero where a bank took more than there was.

    Refunds on their way count; what a bank gave back after a dispute does not.
    """
    return charge.amount - sum(refund.amount for refund in refunds_of(charge) if is_live(refund)) - taken(charge)


def taken(charge: Charge) -> int:
    """What banks have taken back, in minor units."""
    return sum(dispute._withdrawn() for dispute in disputes_of(charge))


def is_contested(charge: Charge) -> bool:
    """Whether a chargeback is open: until it is decided nothing of the charge can be refunded."""
    return any(dispute.status in ("needs_response", "under_review") for dispute in disputes_of(charge))


def count_refunds(charge: Charge) -> None:
    """Set amount_refunded and refunded after a refund was made, or did not go through."""
    kept = account.current.keeps_failed_refunds
    total = sum(refund.amount for refund in refunds_of(charge) if kept or is_live(refund))
    charge.amount_refunded = min(total, charge.amount)
    charge.refunded = charge.amount_refunded == charge.amount
