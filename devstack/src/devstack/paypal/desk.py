"""What payers, banks, PayPal and the dashboard do, by the verbs that all stand-ins have; amounts in minor units."""

from decimal import Decimal
from typing import Any

from . import disputes, errors, money, orders, refunds
from .account import Account, Capture, Dispute, Order, Refund
from .tokens import Tokens

FUNDINGS: dict[str, orders.Funding] = {
    "paid": "balance",
    "approved": "balance",
    "declined": "declined",
    "slow": "echeck",
}


class Desk:
    def __init__(self, account: Account, tokens: Tokens) -> None:
        self.account, self.tokens = account, tokens

    def pay(self, payment_id: str, how: str = "paid") -> dict[str, Any]:
        """The payer approves; what comes of it shows at the capture, which is the application's."""
        if how not in FUNDINGS:
            raise ValueError(f"how is one of {', '.join(FUNDINGS)}")
        order = orders.approve(self.account, self.account.find(Order, payment_id), FUNDINGS[how])
        return {"status": order.status, "proof": None}

    def settle(self, payment_id: str, outcome: str = "succeeded") -> dict[str, Any]:
        return self.account.show(orders.settle(self.account, self.account.find(Order, payment_id), outcome))

    def refund(self, payment_id: str, amount: int | None = None) -> dict[str, Any]:
        capture = self._capture(payment_id)
        body = {} if amount is None else {"amount": money.write(capture.currency, self._decimal(capture, amount))}
        return self.account.show(refunds.create(self.account, capture, body))

    def change_refund(self, refund_id: str, status: str) -> dict[str, Any]:
        return self.account.show(refunds.change(self.account, self.account.find(Refund, refund_id), status))

    def next_refunds(self, status: str | None, count: int | None = None) -> dict[str, Any]:
        if status is not None and status not in refunds.STATUSES:
            raise ValueError(f"status is one of {', '.join(refunds.STATUSES)} or null")
        self.account.refunds_begin = {"status": status, "count": count} if status else {}
        return self.account.refunds_begin

    def reverse(self, payment_id: str, amount: int | None = None) -> dict[str, Any]:
        capture = self._capture(payment_id)
        made = refunds.reverse(self.account, capture, None if amount is None else self._decimal(capture, amount))
        if made is None:
            raise errors.unprocessable("NOTHING_TO_REVERSE", "Nothing is left of the capture.")
        return self.account.show(made)

    def dispute(self, payment_id: str, amount: int | None = None, inquiry: bool = False) -> dict[str, Any]:
        capture = self._capture(payment_id)
        disputed = None if amount is None else self._decimal(capture, amount)
        return self._case(disputes.create(self.account, capture, disputed, inquiry=inquiry))

    def respond(self, dispute_id: str) -> dict[str, Any]:
        return self._case(disputes.respond(self.account, self.account.find(Dispute, dispute_id)))

    def escalate(self, dispute_id: str) -> dict[str, Any]:
        return self._case(disputes.escalate(self.account, self.account.find(Dispute, dispute_id)))

    def close_dispute(self, dispute_id: str, status: str = "won") -> dict[str, Any]:
        return self._case(disputes.close(self.account, self.account.find(Dispute, dispute_id), status))

    def appeal(self, dispute_id: str, status: str = "won") -> dict[str, Any]:
        raise errors.unmodelled("appeals: what they book is not documented")

    def books(self) -> dict[str, dict[str, Any]]:
        """The money by order. What a lost dispute took is a reversal, and that a refund."""
        return {order.id: self._book(order) for order in self.account.all(Order)}

    def refunds(self) -> list[dict[str, Any]]:
        found = []
        for refund in self.account.all(Refund):
            capture = self.account.find(Capture, refund.capture)
            found.append(
                {
                    "id": refund.id,
                    "payment_id": capture.order,
                    "amount": money.to_minor(refund.currency, refund.amount),
                    "status": {"COMPLETED": "succeeded", "CANCELLED": "canceled"}.get(
                        refund.status, refund.status.lower()
                    ),
                    "reference": refund.custom_id if refund.custom_id != capture.custom_id else None,
                }
            )
        return found

    def expire(self, payment_id: str) -> dict[str, Any]:
        """As after the hours that an order waits for its capture."""
        self.account.find(Order, payment_id)._opened = 0.0
        return {}

    def expire_tokens(self) -> dict[str, Any]:
        self.tokens.forget()
        return {}

    def endpoint(self, **changes: Any) -> dict[str, Any]:
        """The webhook as in the dashboard: id, event_types."""
        if unknown := changes.keys() - {"id", "event_types"}:
            raise ValueError(f"unknown: {', '.join(unknown)}")
        self.account.deliveries.set(**changes)
        return self.account.deliveries.endpoint

    def sign(self, payload: str, timestamp: float | None = None) -> dict[str, str]:
        return self.account.deliveries.sign(payload.encode(), timestamp)

    def _capture(self, payment_id: str) -> Capture:
        capture = self.account.capture_of(self.account.find(Order, payment_id))
        if capture is None:
            raise errors.unprocessable("ORDER_NOT_CAPTURED", "Nothing was captured of this order.")
        return capture

    def _case(self, dispute: Dispute) -> dict[str, Any]:
        return {"id": dispute.id} | self.account.show(dispute)

    def _decimal(self, capture: Capture, amount: int) -> Decimal:
        return money.from_minor(capture.currency, amount)

    def _book(self, order: Order) -> dict[str, Any]:
        capture = self.account.capture_of(order)
        paid = refunded = Decimal(0)
        if capture is not None and capture.status in refunds.PAID:
            paid, refunded = capture.amount, self.account.refunded(capture)
        return {
            "currency": order._currency.lower(),
            "paid": money.to_minor(order._currency, paid),
            "refunded": money.to_minor(order._currency, refunded),
            "withdrawn": 0,
        }
