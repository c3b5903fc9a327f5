"""The merchant's account: what becomes of orders, payments, refunds and disputes, and the events that tell of it."""

import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import Any

from devstack.gateway import Event, action, random_id

from .deliveries import Deliveries
from .objects import Dispute, Order, Payment, Refund
from .parameters import check_amount, refusal

FINISHED = ("won", "lost", "closed")
DECLINED = ("BAD_REQUEST_ERROR", "Your payment was declined by the bank.", "bank", "payment_authorization")
REASON = "payment_failed"


@dataclass
class Habits:
    """What the documents leave to the account, or open.

    deduct_at_onset: a chargeback takes the money when it begins, and not only when it is lost.
    repeated_receipts: an order of a receipt that was used, with unique_receipt, is the one made before ("returned"),
    or is refused ("refused"); the documents say both.
    refunds_refused: a sentence with which refunds are refused, as while the balance is too low.
    """

    deduct_at_onset: bool = True
    repeated_receipts: str = "returned"
    refunds_refused: str | None = None
    next_refunds: dict[str, Any] = field(default_factory=dict)  # {"status", "count"}


class Account:
    """One per process, for the actions that happen by themselves after a while: `Account.current`."""

    current: "Account"

    def __init__(self, deliveries: Deliveries, key_id: str, key_secret: str) -> None:
        self.deliveries, self.store = deliveries, deliveries.store
        self.key_id, self.key_secret = key_id, key_secret
        self.habits = Habits()
        Account.current = self

    def find(self, kind: str, id: str) -> Any:
        found = self.store.get(f"{kind}:{id}")
        if found is None:
            raise refusal(400, "The id provided does not exist")
        return found

    def tell(self, type: str, *things: Any) -> Event:
        """Record that something happened, and send it."""
        payload = {
            "entity": "event",
            "account_id": "acc_Local000000000",
            "event": type,
            "contains": [thing.object for thing in things],
            "payload": {thing.object: {"entity": thing.export()} for thing in things},
            "created_at": int(time.time()),
        }
        event: Event = self.store.add(Event(random_id(14), type, payload))
        self.deliveries.start(event.id)
        return event

    # --- orders and payments

    def create_order(self, params: dict[str, Any]) -> Order:
        amount, currency, receipt = params["amount"], params["currency"], params.get("receipt")
        check_amount(amount, currency)
        if params.get("partial_payment"):
            raise refusal(400, "The local Razorpay does not model partial payments.", field="partial_payment")
        if params.get("unique_receipt"):
            if not receipt:
                raise refusal(400, "receipt: is required.", field="receipt")
            known = next((order for order in self.store.of_kind("order") if order.receipt == receipt), None)
            if known is not None:
                is_same = (known.amount, known.currency) == (amount, currency)
                if is_same and self.habits.repeated_receipts == "returned":
                    return known
                raise refusal(400, "Order receipt should be unique.", field="receipt")
        capture = params.get("payment") or ("automatic" if params.get("payment_capture", True) else "manual")
        order: Order = self.store.add(Order(amount, currency, receipt, params.get("notes", {}), capture))
        return order

    def payments_of(self, order: Order) -> list[Payment]:
        """Oldest first."""
        return [each for each in self.store.of_kind("payment") if each.order_id == order.id]

    def attempt(self, order: Order, method: str, details: dict[str, Any]) -> Payment:
        """Somebody begins to pay; refused where the order is paid, or another attempt is as good as paid."""
        if order.status == "paid":
            raise refusal(400, "Payment already done for this order.")
        if any(each.status == "authorized" for each in self.payments_of(order)):
            raise refusal(400, "Payment already in progress for this order.")
        payment: Payment = self.store.add(Payment(order, method, details))
        order.status, order.attempts = "attempted", order.attempts + 1
        return payment

    def authorize(self, payment: Payment, *, capture: bool = True) -> None:
        """The bank agrees, be it late; captured at once where nobody else paid the order meanwhile."""
        order = self.find("order", payment.order_id)
        payment._due = payment.error_code = payment.error_description = payment.error_source = None
        payment.error_step = payment.error_reason = None
        payment.status = "authorized"
        self.tell("payment.authorized", payment)
        if capture and order._capture == "automatic" and order.status != "paid":
            self.capture(payment)

    def capture(self, payment: Payment) -> None:
        order = self.find("order", payment.order_id)
        payment.status, payment.captured = "captured", True
        payment.fee, payment.tax = payment.amount // 50, payment.amount // 50 * 18 // 100
        order.status, order.amount_paid, order.amount_due = "paid", order.amount, 0
        self.tell("payment.captured", payment)
        self.tell("order.paid", payment, order)

    def capture_asked(self, payment: Payment, params: dict[str, Any]) -> Payment:
        """POST /payments/:id/capture."""
        if payment.captured:
            raise refusal(400, "This payment has already been captured")
        if payment.status != "authorized":
            text = "Only payments which have been authorized and not yet captured can be captured"
            raise refusal(400, text)
        if params["amount"] != payment.amount or params["currency"] != payment.currency:
            raise refusal(400, "Capture amount must be equal to the amount authorized", field="amount")
        if self.find("order", payment.order_id).status == "paid":
            raise refusal(400, "Payment already done for this order.")
        self.capture(payment)
        return payment

    def fail(self, payment: Payment) -> None:
        payment.status, payment._due, payment.error_reason = "failed", None, REASON
        payment.error_code, payment.error_description, payment.error_source, payment.error_step = DECLINED
        self.tell("payment.failed", payment)

    def proof_of(self, payment: Payment) -> dict[str, str]:
        """What checkout.js hands to the page of a payment that is paid."""
        message = f"{payment.order_id}|{payment.id}".encode()
        signature = hmac.new(self.key_secret.encode(), message, hashlib.sha256).hexdigest()
        return {
            "razorpay_payment_id": payment.id,
            "razorpay_order_id": payment.order_id,
            "razorpay_signature": signature,
        }

    # --- refunds

    def refunds_of(self, payment: Payment) -> list[Refund]:
        return [each for each in self.store.of_kind("refund") if each.payment_id == payment.id]

    def refund(self, payment: Payment, params: dict[str, Any]) -> Refund:
        if not payment.captured:
            raise refusal(400, "The payment status should be captured for action to be taken")
        left = payment.amount - payment.amount_refunded
        if not left:
            raise refusal(400, "The payment has been fully refunded already")
        amount = params.get("amount", left)
        check_amount(amount, payment.currency)
        if amount > left:
            text = "The total refund amount is greater than the refund payment amount"
            raise refusal(400, text)
        if any(
            each.phase != "retrieval" and each.status not in ("won", "closed") for each in self.disputes_of(payment)
        ):
            raise refusal(400, "This payment is disputed and cannot be refunded")
        if self.habits.refunds_refused:
            raise refusal(400, self.habits.refunds_refused)
        made: Refund = self.store.add(Refund(payment, amount, params))
        status = self._next_status()
        if status == "succeeded":
            made.status, made.acquirer_data = "processed", {"arn": random_id(12)}
        self._count(payment)
        self.tell("refund.created", made, payment)
        if status == "succeeded":
            self.tell("refund.processed", made, payment)
        elif status == "failed":
            self.store.later(made, refund_fails.__name__)
        return made

    def _next_status(self) -> str:
        said = self.habits.next_refunds
        if not said.get("status"):
            return "succeeded"
        status, count = said["status"], said.get("count")
        if count is not None:
            said["count"] = count - 1
            if count <= 1:
                said.clear()
        return str(status)

    def finish_refund(self, made: Refund, status: str) -> Refund:
        """pending -> processed or failed, processed -> failed: a bank may take back what it was sent."""
        word = {"succeeded": "processed"}.get(status, status)
        if word not in {"pending": ("processed", "failed"), "processed": ("failed",)}.get(made.status, ()):
            raise refusal(400, f"A {made.status} refund cannot become {status}.")
        payment = self.find("payment", made.payment_id)
        made.status, made._due = word, None
        self._count(payment)
        self.tell(f"refund.{word}", made, payment)
        return made

    def slow_down(self, made: Refund) -> Refund:
        """What was to be instant goes the normal way."""
        made.speed_processed = "normal"
        self.tell("refund.speed_changed", made, self.find("payment", made.payment_id))
        return made

    def _count(self, payment: Payment) -> None:
        payment.amount_refunded = sum(each.amount for each in self.refunds_of(payment) if each.status != "failed")
        is_whole = payment.amount_refunded == payment.amount
        payment.refund_status = "full" if is_whole else "partial" if payment.amount_refunded else None
        payment.status = "refunded" if is_whole else "captured"

    def expire(self, payment: Payment) -> Refund:
        """What was authorized and not captured in time goes back by itself; the payment was never captured."""
        if payment.status != "authorized":
            raise refusal(400, f"Only an authorized payment expires, this one is {payment.status}.")
        made: Refund = self.store.add(Refund(payment, payment.amount, {}))
        made.status = "processed"
        payment.status, payment.amount_refunded, payment.refund_status = "refunded", payment.amount, "full"
        self.tell("refund.created", made, payment)
        self.tell("refund.processed", made, payment)
        return made

    # --- disputes

    def disputes_of(self, payment: Payment) -> list[Dispute]:
        return [each for each in self.store.of_kind("dispute") if each.payment_id == payment.id]

    def dispute(self, payment: Payment, amount: int | None, phase: str, reason_code: str) -> Dispute:
        if not payment.captured:
            raise refusal(400, "Only a captured payment is disputed.")
        if any(each.status not in FINISHED for each in self.disputes_of(payment)):
            raise refusal(400, "A dispute of this payment is open already.")
        left = payment.amount - payment.amount_refunded - self.withdrawn(payment)
        amount = left if amount is None else amount
        if not 0 < amount <= payment.amount:
            raise refusal(400, "Nothing is left of this payment to dispute.")
        taken = amount if phase != "retrieval" and self.habits.deduct_at_onset else 0
        made: Dispute = self.store.add(Dispute(payment, amount, phase, reason_code, taken))
        self._tell_of(made, "created")
        return made

    def withdrawn(self, payment: Payment) -> int:
        return sum(each._withdrawn for each in self.disputes_of(payment))

    def review(self, made: Dispute) -> Dispute:
        """Evidence is handed in."""
        self._must_be(made, "open")
        made.status = "under_review"
        made.evidence = made.evidence | {"summary": "The guest travelled.", "submitted_at": int(time.time())}
        return self._tell_of(made, "under_review")

    def ask_again(self, made: Dispute) -> Dispute:
        self._must_be(made, "under_review")
        made.status = "open"
        return self._tell_of(made, "action_required")

    def close(self, made: Dispute, status: str) -> Dispute:
        """won or lost; closed is an end without either, of what took no money."""
        self._must_be(made, "open", "under_review")
        if status not in FINISHED or status == "closed" and made._withdrawn:
            raise refusal(400, f"This dispute cannot end as {status}.")
        made.status = status
        made._withdrawn = made.amount_deducted = made.amount if status == "lost" else 0
        return self._tell_of(made, status)

    def _must_be(self, made: Dispute, *statuses: str) -> None:
        if made.status not in statuses:
            raise refusal(400, f"This dispute is {made.status}.")

    def _tell_of(self, made: Dispute, what: str) -> Dispute:
        self.tell(f"payment.dispute.{what}", self.find("payment", made.payment_id), made)
        return made


@action
def payment_paid(payment: Payment) -> None:
    Account.current.authorize(payment)


@action
def refund_fails(made: Refund) -> None:
    Account.current.finish_refund(made, "failed")
