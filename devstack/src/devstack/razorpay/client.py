"""A control client for tests and demonstrations."""

from typing import Any

from devstack import gateway
from devstack.gateway.client import wait_for

from .deliveries import sign

__all__ = ["Control", "RazorpayRefused", "signed", "wait_for"]


class RazorpayRefused(gateway.GatewayRefused):
    """An error answer of the control API."""


class Control(gateway.Control):
    """Turns the local Razorpay at `url`, untouched by outages. A payment is named by its order's id."""

    refused = RazorpayRefused

    def authorize(self, payment_id: str, capture: bool = False) -> dict[str, Any]:
        """The last attempt, which failed or waits, was paid after all; captured only if told so. Gives the payment."""
        return self.do("authorize", payment_id=payment_id, capture=capture)

    def expire(self, payment_id: str) -> dict[str, Any]:
        """What was authorized and never captured goes back to the payer; gives the refund."""
        return self.do("expire", payment_id=payment_id)

    def ask_again(self, dispute_id: str) -> dict[str, Any]:
        """The evidence was not enough. Event: payment.dispute.action_required."""
        return self.do("ask_again", dispute_id=dispute_id)

    def set(self, **habits: Any) -> dict[str, Any]:
        """deduct_at_onset, repeated_receipts, refunds_refused; see account.Habits."""
        return self.do("set", **habits)

    def payments(self, payment_id: str) -> list[dict[str, Any]]:
        """The attempts to pay an order, oldest first."""
        return [each for each in self.ledger()["payments"] if each["order_id"] == payment_id]


def signed(payload: bytes, secret: str, event_id: str = "Event000000000") -> dict[str, str]:
    """Headers with which `payload` passes as Razorpay's."""
    return {
        "Content-Type": "application/json",
        "X-Razorpay-Signature": sign(payload, secret),
        "x-razorpay-event-id": event_id,
    }
