"""The port: what a payment gateway does for us, in our words. Statuses, SQL and views know only these.

The gateways behind it are in service/payments/gateways.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from service.errors import ServiceError, Unavailable
from service.payments.shapes import GatewayEvent, PaymentTask, RefundTask

# payable: waits for a way to pay · unconfirmed: waits for the payer, who may have to answer the bank · under_way: the
# money may be on its way
PaymentState = Literal["payable", "unconfirmed", "under_way", "paid", "canceled"]


@dataclass(frozen=True)
class Payment:
    """A payment at the gateway; ``amount`` in minor units. ``facts`` tell its state in the words of events.

    ``status`` is the gateway's own word, for the page that asked; decide by ``state``.
    """

    id: str
    client_secret: str
    status: str
    state: PaymentState
    amount: int
    currency: str
    customer_id: str | None = None
    facts: list[GatewayEvent] = field(default_factory=list)


class Gateway(Protocol):
    """One gateway. Every method may raise ``GatewayError``; times are UTC, amounts minor units."""

    def create_payment(self, task: PaymentTask) -> Payment:
        """Make the payment of begin_payment()'s task, or find the one made under the same idempotency key."""

    def retrieve_payment(self, payment_id: str, *, with_refunds: bool = False) -> Payment: ...

    def cancel_payment(self, payment_id: str) -> Payment:
        """Cancel it where it is not paid yet; the payment as it is then."""

    def refund_payment(self, task: RefundTask) -> GatewayEvent:
        """Make the refund of reserve_refund()'s task, or find the one made before; as a refund.changed event."""

    def verify_event(self, body: bytes, signature: str | None) -> str:
        """The text of an event that the gateway signed. Raises ``EventRefused``."""

    def read_event(self, payload: str) -> GatewayEvent | None:
        """A verified event in our words; None for one that concerns nothing here. Raises ``EventRefused``."""

    def create_customer(self, task: PaymentTask) -> str:
        """The gateway's id of the customer of the task's booking, who has none there yet."""

    def delete_customer(self, gateway_customer_id: str) -> None:
        """Erase the person there, too; fine where it is gone already."""

    def retrieve_event(self, event_id: str) -> str:
        """The text of an event. Raises ``NotFound``, also of one that the gateway has forgotten since."""

    def list_events(self, since: datetime, *, is_undelivered: bool) -> Iterator[tuple[str, str]]:
        """(id, text) of the events that concern us, newest first."""

    def find_faults(self, amount: int, currency: str) -> list[str]:
        """Make, read and cancel a payment to try the account, and look at its webhooks: a sentence per fault."""


class GatewayError(ServiceError):
    """The gateway did not do what was asked.

    ``is_final``: it looked at what was asked and refused it, so that it surely did nothing. ``is_replayed``: it answers
    the same under the same idempotency key.
    """

    status, code = 502, "payment_gateway_error"
    message = "The payment service had a problem. Please try again in a moment."

    def __init__(
        self, message: str | None = None, *, is_final: bool = False, is_replayed: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(message, **kwargs)
        self.is_final, self.is_replayed = is_final, is_replayed


class EventRefused(ServiceError):
    """What came to the webhook is no event that the gateway signed for us just now."""

    status, code, message = 400, "webhook_refused", "This is not a signed event."


class PaymentsNotConfigured(Unavailable):
    code = "payments_not_configured"
    message = "Online payment is not set up yet. Please contact us."
