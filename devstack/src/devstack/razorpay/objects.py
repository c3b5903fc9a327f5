"""Razorpay's objects, each as its entity in the documents."""

import time
from typing import Any

from devstack.gateway import Thing, random_id

DAY = 24 * 3600
PREFIXES = {"order": "order", "payment": "pay", "refund": "rfnd", "dispute": "disp"}


class Entity(Thing):
    def __init__(self) -> None:
        self.id = f"{PREFIXES[self.object]}_{random_id(14)}"
        self.entity = self.object

    def export(self) -> dict[str, Any]:
        """Empty notes are a list, as PHP has them."""
        shown = super().export()
        return shown | ({"notes": shown["notes"] or []} if "notes" in shown else {})


class Order(Entity):
    object = "order"

    def __init__(self, amount: int, currency: str, receipt: str | None, notes: dict[str, str], capture: str) -> None:
        super().__init__()
        self.amount, self.amount_paid, self.amount_due = amount, 0, amount
        self.currency, self.receipt, self.offer_id = currency, receipt, None
        self.status, self.attempts = "created", 0
        self.notes, self.created_at = notes, int(time.time())
        self._capture = capture


class Payment(Entity):
    object = "payment"

    def __init__(self, order: Order, method: str, details: dict[str, Any]) -> None:
        super().__init__()
        self.amount, self.currency = order.amount, order.currency
        self.status = "created"
        self.order_id, self.invoice_id, self.international, self.method = order.id, None, False, method
        self.amount_refunded = 0
        self.refund_status: str | None = None
        self.captured = False
        self.description: str | None = details.get("description")
        self.card_id = f"card_{random_id(14)}" if method == "card" else None
        self.bank = self.wallet = None
        self.vpa: str | None = details.get("vpa")
        self.email, self.contact = (
            details.get("email") or "void@razorpay.com",
            details.get("contact") or "+919000090000",
        )
        # Those of the checkout's options; the order's are the order's own.
        self.notes: dict[str, str] = details.get("notes") or {}
        self.fee: int | None = None
        self.tax: int | None = None
        self.error_code: str | None = None
        self.error_description: str | None = None
        self.error_source: str | None = None
        self.error_step: str | None = None
        self.error_reason: str | None = None
        self.acquirer_data = {"rrn": None} if method == "upi" else {"auth_code": None}
        self.created_at = int(time.time())


class Refund(Entity):
    object = "refund"

    def __init__(self, payment: Payment, amount: int, params: dict[str, Any]) -> None:
        super().__init__()
        self.amount, self.currency, self.payment_id = amount, payment.currency, payment.id
        self.notes, self.receipt = params.get("notes", {}), params.get("receipt")
        self.acquirer_data: dict[str, str | None] = {"arn": None}
        self.created_at, self.batch_id = int(time.time()), None
        self.status = "pending"
        self.speed_requested = params.get("speed", "normal")
        self.speed_processed = "instant" if self.speed_requested == "optimum" else "normal"


class Dispute(Entity):
    object = "dispute"

    def __init__(self, payment: Payment, amount: int, phase: str, reason_code: str, withdrawn: int) -> None:
        super().__init__()
        self.payment_id, self.amount, self.currency = payment.id, amount, payment.currency
        self.amount_deducted = self._withdrawn = withdrawn
        self.reason_code, self.reason_description = reason_code, reason_code.replace("_", " ").capitalize()
        self.created_at = int(time.time())
        self.respond_by = self.created_at + 3 * DAY
        self.status, self.phase = "open", phase
        self.evidence: dict[str, Any] = {"amount": amount, "summary": None, "submitted_at": None}
