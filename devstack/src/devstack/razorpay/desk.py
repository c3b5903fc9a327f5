"""The verbs of the control API: what payers, banks and the dashboard do, with JSON in and out."""

from typing import Any

from .account import Account
from .objects import Dispute, Order, Payment
from .parameters import refusal


class Desk:
    """A `payment_id` is the order's, as applications know it; the payment's own is taken, too."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def pay(self, payment_id: str, how: str = "paid") -> dict[str, Any]:
        details = {"vpa": "success@razorpay"}
        return self._pay(self._order(payment_id), how, "upi", details)

    def _pay(self, order: Order, how: str, method: str, details: dict[str, Any]) -> dict[str, Any]:
        if how not in ("paid", "declined", "slow", "approved"):
            raise ValueError("how is paid, declined, slow or approved")
        payment = self._account.attempt(order, method, details)
        if how == "declined":
            self._account.fail(payment)
        elif how in ("paid", "approved"):
            self._account.authorize(payment, capture=how == "paid")
        is_paid = payment.status in ("authorized", "captured")
        return {
            "status": payment.status,
            "payment_id": payment.id,
            "proof": self._account.proof_of(payment) if is_paid else None,
        }

    def settle(self, payment_id: str, outcome: str = "succeeded") -> dict[str, Any]:
        payment = self._last(payment_id, "created")
        if outcome == "succeeded":
            self._account.authorize(payment)
        elif outcome == "failed":
            self._account.fail(payment)
        else:
            raise ValueError("outcome is succeeded or failed")
        return payment.export()

    def authorize(self, payment_id: str, capture: bool = False) -> dict[str, Any]:
        payment = self._last(payment_id, "failed", "created")
        self._account.authorize(payment, capture=capture)
        return payment.export()

    def expire(self, payment_id: str) -> dict[str, Any]:
        return self._account.expire(self._last(payment_id, "authorized")).export()

    def refund(self, payment_id: str, amount: int | None = None, speed: str = "normal") -> dict[str, Any]:
        params: dict[str, Any] = {"speed": speed} | ({"amount": amount} if amount is not None else {})
        return self._account.refund(self._last(payment_id, "captured", "refunded"), params).export()

    def change_refund(self, refund_id: str, status: str) -> dict[str, Any]:
        """succeeded, failed, or normal: what was to be instant goes the normal way."""
        made = self._account.find("refund", refund_id)
        if status == "normal":
            return self._account.slow_down(made).export()
        return self._account.finish_refund(made, status).export()

    def next_refunds(self, status: str | None, count: int | None = None) -> dict[str, Any]:
        if status not in (None, "succeeded", "pending", "failed"):
            raise ValueError("status is succeeded, pending, failed or null")
        said = self._account.habits.next_refunds = {"status": status, "count": count} if status else {}
        return said

    def dispute(
        self, payment_id: str, amount: int | None = None, inquiry: bool = False, reason: str = "goods_not_provided"
    ) -> dict[str, Any]:
        phase = "retrieval" if inquiry else "chargeback"
        payment = self._last(payment_id, "captured", "refunded")
        return self._account.dispute(payment, amount, phase, reason).export()

    def respond(self, dispute_id: str) -> dict[str, Any]:
        return self._account.review(self._dispute(dispute_id)).export()

    def ask_again(self, dispute_id: str) -> dict[str, Any]:
        return self._account.ask_again(self._dispute(dispute_id)).export()

    def escalate(self, dispute_id: str) -> dict[str, Any]:
        """The inquiry ends, and a chargeback of its own follows."""
        made = self._dispute(dispute_id)
        if made.phase != "retrieval":
            raise refusal(400, "Only an inquiry escalates.")
        self._account.close(made, "closed")
        payment = self._account.find("payment", made.payment_id)
        return self._account.dispute(payment, None, "chargeback", made.reason_code).export()

    def close_dispute(self, dispute_id: str, status: str = "won") -> dict[str, Any]:
        """won or lost, closed (warning_closed, as elsewhere) of what took no money."""
        ended = {"warning_closed": "closed"}.get(status, status)
        return self._account.close(self._dispute(dispute_id), ended).export()

    def set(self, **habits: Any) -> dict[str, Any]:
        known = self._account.habits
        for name, value in habits.items():
            if not hasattr(known, name):
                raise ValueError(f"{name} is no habit")
            setattr(known, name, value)
        return vars(known)

    def books(self) -> dict[str, dict[str, Any]]:
        found = {}
        for order in self._account.store.of_kind("order"):
            payments = [each for each in self._account.payments_of(order) if each.captured]
            refunds = [each for payment in payments for each in self._account.refunds_of(payment)]
            found[order.id] = {
                "currency": order.currency.lower(),
                "paid": sum(each.amount for each in payments),
                "refunded": sum(each.amount for each in refunds if each.status != "failed"),
                "withdrawn": sum(self._account.withdrawn(payment) for payment in payments),
            }
        return found

    def refunds(self) -> list[dict[str, Any]]:
        return [
            {
                "id": refund.id,
                "payment_id": self._account.find("payment", refund.payment_id).order_id,
                "amount": refund.amount,
                "status": {"processed": "succeeded"}.get(refund.status, refund.status),
                "reference": refund.notes.get("refund_id") if isinstance(refund.notes, dict) else None,
            }
            for refund in self._account.store.of_kind("refund")
            if self._account.find("payment", refund.payment_id).captured
        ]

    def _order(self, id: str) -> Order:
        found: Order = self._account.find("order", id)
        return found

    def _dispute(self, id: str) -> Dispute:
        found: Dispute = self._account.find("dispute", id)
        return found

    def _last(self, id: str, *statuses: str) -> Payment:
        """The newest attempt of an order that has one of these statuses; or the payment of that id."""
        if id.startswith("pay_"):
            tried = [self._account.find("payment", id)]
        else:
            tried = self._account.payments_of(self._order(id))
        found = [each for each in tried if each.status in statuses]
        if not found:
            raise refusal(400, f"There is no payment of {id} that is {' or '.join(statuses)}.")
        last: Payment = self._account.find("payment", found[-1].id)
        return last
