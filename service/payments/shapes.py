"""What travels between views, gateway and database, by its keys. Amounts are minor units, times ISO 8601."""

from datetime import datetime
from typing import Any, NotRequired, TypedDict

from service.ids import BookingId
from service.pagination import Page


class PaymentRequest(TypedDict):
    """The body that asks for a payment; what is left out is the booking's."""

    bookingId: str
    amount: NotRequired[int | None]
    currency: NotRequired[str | None]
    email: NotRequired[str | None]
    name: NotRequired[str | None]


class RefundRequest(TypedDict):
    bookingId: str
    reason: str
    amount: NotRequired[int | None]


class TransactionsQuery(Page):
    """The query of the list of transactions."""

    status: NotRequired[str]
    gateway: NotRequired[str]
    bookingId: NotRequired[str]
    from_: NotRequired[datetime]
    to: NotRequired[datetime]
    q: NotRequired[str | None]


class PaymentTask(TypedDict):
    """A transaction of ours and what the gateway needs to know of it."""

    transaction_id: str
    booking_id: BookingId
    amount: int
    currency: str
    status: str
    attempt: int
    payment_id: str | None
    customer_id: str | None
    customer_email: str | None
    gateway_customer_id: str | None
    cancel: list[str]  # outdated payments of the booking, to be canceled before


class RefundTask(TypedDict):
    """A reserved refund and what the gateway needs to know of it."""

    refund_id: str
    transaction_id: str
    booking_id: BookingId
    payment_id: str
    amount: int
    currency: str
    reason: str
    attempt: int
    requested_by: str
    is_resumed: bool
    gateway_refund_id: NotRequired[str | None]  # in the work of reconciliation


class RefundFacts(TypedDict):
    id: str
    amount: int
    status: str  # pending, succeeded, failed, canceled
    reference: str | None  # our refund's id
    created_at: str


class DisputeFacts(TypedDict):
    status: str | None
    is_closed: bool
    amount: int


class GatewayEvent(TypedDict):
    """What happened at a gateway, in our words.

    ``kind``: payment.succeeded, payment.processing, payment.failed, payment.canceled, charge.refunded, refund.changed,
    dispute.changed. ``id`` is there for what the gateway sent, not for what it answered.
    """

    gateway: str
    kind: str
    payment_id: str
    currency: str | None
    metadata: dict[str, str | None]
    id: NotRequired[str]
    type: NotRequired[str]
    occurred_at: NotRequired[str]
    amount: NotRequired[int]
    payment_method: NotRequired[str | None]
    failure_code: NotRequired[str]
    failure_reason: NotRequired[str]
    charge_refunded: NotRequired[int]
    refund: NotRequired[RefundFacts]
    dispute: NotRequired[DisputeFacts]


class Attachment(TypedDict):
    """The payment that stands for a transaction, and whether it may be handed out."""

    payment_id: str
    is_live: bool


class Verdict(TypedDict):
    """What became of an event: processed, duplicate, unmatched or failed (``error`` is for the log)."""

    verdict: str
    transaction_id: NotRequired[str | None]
    error: NotRequired[str | None]


class Refund(TypedDict):
    refund_id: str
    transaction_id: str
    gateway_refund_id: str | None
    amount: int
    status: str


class Transaction(TypedDict):
    """What the owner of a booking sees of a transaction."""

    id: str
    booking_id: BookingId
    gateway: str
    gateway_payment_id: str | None
    amount: int
    amount_refunded: int
    currency: str
    status: str
    payment_method: str | None
    created_at: str
    completed_at: str | None


class BookingPayment(TypedDict):
    bookingId: BookingId
    paymentStatus: str
    amount: int
    currency: str
    transaction: Transaction | None


class PaidBooking(TypedDict):
    id: BookingId
    name: str
    email: str
    package: str | None


class StaffTransaction(Transaction):
    """A transaction as staff sees it."""

    customer_id: str | None
    failure_code: str | None
    needs_review: bool
    review_reason: str | None
    dispute_status: str | None
    metadata: dict[str, Any]
    updated_at: str
    bookings: PaidBooking


class TransactionDetail(StaffTransaction):
    transaction_audit_logs: list[dict[str, Any]]
    refunds: list[dict[str, Any]]


class TransactionsPage(TypedDict):
    total: int
    transactions: list[StaffTransaction]


class UnsettledPayment(TypedDict):
    transaction_id: str
    payment_id: str
    is_unwanted: bool  # another has taken its place


class WaitingEvent(TypedDict):
    id: str
    payload: str


class Work(TypedDict):
    """What reconciliation has to do."""

    events: list[WaitingEvent]
    payments: list[UnsettledPayment]
    refunds: list[RefundTask]
