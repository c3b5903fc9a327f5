"""The port: what a payment gateway does for us, in our words. Statuses, SQL and views know only these.

The gateways behind it are in service/payments/gateways.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol

from service.config import Config
from service.errors import BadInput, ServiceError, Unavailable
from service.payments.shapes import CaptureTask, GatewayEvent, PaymentTask, RefundTask

# payable: waits for a way to pay · unconfirmed: waits for the payer, who may have to answer the bank · approved: the
# payer agreed, and we take the money · under_way: the money may be on its way
PaymentState = Literal["payable", "unconfirmed", "approved", "under_way", "paid", "canceled"]
Hosts = Mapping[str, tuple[str, ...]]  # by directive of the content policy


@dataclass(frozen=True)
class Payment:
    """A payment at the gateway; ``amount`` in our minor units. ``facts`` tell its state in the words of events.

    ``status`` is the gateway's own word, for the page that asked; decide by ``state``. ``checkout`` is what the page
    needs to let somebody pay: Stripe's client secret, PayPal's address, the options of Razorpay's checkout.js.
    """

    id: str
    status: str
    state: PaymentState
    amount: int
    currency: str
    checkout: Mapping[str, Any]
    customer_id: str | None = None
    facts: list[GatewayEvent] = field(default_factory=list)


class Gateway(Protocol):
    """One gateway. Every method may raise ``GatewayError``; times are UTC, amounts our minor units."""

    name: ClassVar[str]  # of its file, in addresses and in the database
    label: ClassVar[str]  # for people
    lists_events: ClassVar[bool]  # else reconciliation asks payment by payment
    has_customers: ClassVar[bool]
    verifies_by_asking: ClassVar[bool]  # an event is verified by a call, before which it is kept
    publishable_key: str | None

    def __init__(self, config: Config) -> None: ...

    @staticmethod
    def is_configured(config: Config) -> bool: ...

    @staticmethod
    def find_gaps(config: Config) -> list[str]:
        """What is configured by half, in sentences for /api/ready."""

    @staticmethod
    def find_hosts(config: Config) -> Hosts:
        """What a page of the site loads where it lets people pay by it."""

    def create_payment(self, task: PaymentTask) -> Payment:
        """Make the payment of begin_payment()'s task, or find the one made under the same idempotency key."""

    def retrieve_payment(self, payment_id: str, *, with_refunds: bool = False) -> Payment:
        """The payment as it is. ``with_refunds``: its facts hold all of what went back."""

    def check_proof(self, payment_id: str, proof: Mapping[str, str] | None) -> None:
        """Look at what the page was handed by the gateway, where it hands out anything. Raises ``ProofRefused``."""

    def capture_payment(self, task: CaptureTask) -> Payment:
        """Take the money of an approved payment, once however often it is asked. One that was declined is payable."""

    def cancel_payment(self, payment_id: str) -> Payment:
        """Cancel it where it is not paid yet; the payment as it is then.

        Where the gateway cannot, it is canceled for us, who then take no money by it.
        """

    def refund_payment(self, task: RefundTask) -> GatewayEvent:
        """Make the refund of reserve_refund()'s task, or find the one made before; as a refund.changed event."""

    def verify_event(self, body: bytes, headers: Mapping[str, str]) -> str:
        """The text of an event that the gateway signed, with its id in it; headers by names in lower case.

        Raises ``EventRefused``.
        """

    def read_event(self, payload: str) -> GatewayEvent | None:
        """A verified event in our words; None for one that concerns nothing here. Raises ``EventRefused``."""

    def create_customer(self, task: PaymentTask) -> str:
        """The gateway's id of the customer of the task's booking, who has none there yet."""

    def delete_customer(self, gateway_customer_id: str) -> None:
        """Erase the person there, too; fine where it is gone already."""

    def retrieve_event(self, event_id: str) -> str:
        """The text of an event. Raises ``NotFound``, also of one that the gateway has forgotten since."""

    def list_events(self, since: datetime, *, is_undelivered: bool) -> Iterator[tuple[str, str]]:
        """(id, text) of the events that concern us, newest first; nothing where it cannot tell (``lists_events``)."""

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


class ProofRefused(BadInput):
    code, message = "payment_proof_refused", "The payment service did not sign this."


class GatewayUnknown(BadInput):
    code, message = "gateway_unknown", "There is no such way to pay."


class PaymentsNotConfigured(Unavailable):
    code = "payments_not_configured"
    message = "Online payment is not set up yet. Please contact us."
