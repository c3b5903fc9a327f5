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
    gateway: NotRequired[str | None]


class CaptureRequest(TypedDict):
    """The body that asks for the money of an approved payment; ``proof`` is what the page was handed."""

    transactionId: str
    proof: NotRequired[dict[str, str] | None]


class RefundRequest(TypedDict):
    bookingId: str
    reason: str
    amount: NotRequired[int | None]
    transactionId: NotRequired[str | None]
    again: NotRequired[bool]


class Review(TypedDict):
    """What a person says of a flagged transaction."""

    review: str
    note: str


class TransactionsQuery(Page):
    """The query of the list of transactions."""

    status: NotRequired[str]
    gateway: NotRequired[str]
    bookingId: NotRequired[str]
    needs_review: NotRequired[bool]
    from_: NotRequired[datetime]
    to: NotRequired[datetime]
    q: NotRequired[str | None]


class PaymentTask(TypedDict):
    """A transaction of ours and what the gateway needs to know of it."""

    transaction_id: str
    booking_id: BookingId
    gateway: str
    amount: int
    currency: str
    status: str
    attempt: int
    payment_id: str | None
    is_wanted: bool  # else it is only looked at: it was superseded, or the price is another by now
    customer_id: str | None
    customer_email: str | None
    customer_name: str | None
    gateway_customer_id: str | None
    cancel: list["UnsettledPayment"]  # outdated payments of the booking, to be canceled before


class FoundCapture(TypedDict):
    """A payment whose money a page asks to be taken; ``status`` as in the table transactions."""

    transaction_id: str
    booking_id: BookingId | None
    gateway: str
    payment_id: str
    status: str


class CaptureTask(TypedDict):
    """An approved payment, and what the gateway needs to know to take its money."""

    transaction_id: str
    gateway: str
    payment_id: str
    amount: int
    currency: str
    attempt: int


class RefundTask(TypedDict):
    """A reserved refund and what the gateway needs to know of it."""

    refund_id: str
    transaction_id: str
    booking_id: BookingId
    gateway: str
    payment_id: str
    charge_id: str | None  # the gateway's id of the money taken, where that is another than the payment's
    amount: int
    currency: str
    reason: str
    attempt: int
    requested_by: str
    is_resumed: bool
    is_repeated: bool  # the same request led to this one before, and it is not to be asked for
    gateway_refund_id: str | None
    status: str


class RefundFacts(TypedDict):
    id: str
    amount: int
    status: str  # pending, succeeded, failed, canceled
    reference: str | None  # our refund's id
    created_at: str


class DisputeFacts(TypedDict):
    id: str
    status: str  # as in the table disputes
    amount: int
    reason: str | None
    due_by: str | None
    withdrawals: int  # how often its amount was taken
    reinstatements: int  # and given back
    created_at: str


class GatewayEvent(TypedDict):
    """What happened at a gateway, in our words.

    ``kind``: payment.approved, payment.succeeded, payment.processing, payment.failed, payment.canceled,
    charge.refunded, refund.changed, dispute.changed. ``id`` is there for what the gateway sent, not for what it
    answered. ``payment_id`` is None where it names the ``charge_id`` alone.
    """

    gateway: str
    kind: str
    payment_id: str | None
    currency: str | None
    metadata: dict[str, str | None]
    charge_id: NotRequired[str | None]
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
    """What became of an event: processed, duplicate, foreign, unmatched or failed (``error`` is for the log)."""

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
    booking_id: BookingId | None
    gateway: str
    gateway_payment_id: str | None
    amount: int
    amount_refunded: int
    amount_withdrawn: int
    amount_left: int
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

    gateway_charge_id: str | None
    customer_id: str | None
    failure_code: str | None
    needs_review: bool
    review_reason: str | None
    dispute_status: str | None
    metadata: dict[str, Any]
    updated_at: str
    bookings: PaidBooking | None


class TransactionDetail(StaffTransaction):
    transaction_audit_logs: list[dict[str, Any]]
    refunds: list[dict[str, Any]]
    disputes: list[dict[str, Any]]


class TransactionsPage(TypedDict):
    total: int
    transactions: list[StaffTransaction]


class UnsettledPayment(TypedDict):
    transaction_id: str
    gateway: str
    payment_id: str


class WaitingEvent(TypedDict):
    id: str
    gateway: str
    payload: str


class KeptEvent(TypedDict):
    gateway: str
    payload: str | None  # None after 90 days


class UnverifiedEvent(TypedDict):
    """What came to the webhook of a gateway that was not there to say whether it had sent it."""

    key: str
    gateway: str
    body: str
    headers: dict[str, str]


class GatewayCustomer(TypedDict):
    gateway: str
    gateway_customer_id: str


class ClaimedWork(TypedDict):
    """What is to be done at the gateways now."""

    verify: list[UnverifiedEvent]
    cancel: list[UnsettledPayment]
    capture: list[UnsettledPayment]
    ask: list[UnsettledPayment]
    refunds: list[RefundTask]


class Work(TypedDict):
    """What reconciliation has to do."""

    began_at: str
    since: str | None
    events: list[WaitingEvent]
    payments: list[UnsettledPayment]
    untold_refunds: list[UnsettledPayment]
    unlisted: list[UnsettledPayment]
    refunds: list[RefundTask]
    customers: list[GatewayCustomer]


class Flag(TypedDict):
    transaction_id: str
    review_reason: str


class Backlog(TypedDict):
    """What waits: events of the gateway without effect yet, flags and disputes that want a person."""

    waiting: int
    oldest_seconds: int
    unmatched: int
    needs_review: int
    disputes: int


class Reconciled(TypedDict):
    backlog: Backlog
    found: int
    flagged: list[Flag]


# --- The desk of staff: /staff/payments


class OpenDispute(TypedDict):
    """A dispute that is to be answered."""

    id: str
    transaction_id: str
    gateway_dispute_id: str
    amount: int
    currency: str
    reason: str | None
    status: str
    due_by: str | None
    created_at: str
    bookings: PaidBooking | None


class TroubledRefund(TypedDict):
    """A refund that somebody has to look after."""

    id: str
    transaction_id: str
    amount: int
    currency: str
    status: str  # failed, or reserved: nobody knows whether it was made
    reason: str | None
    requested_by: str
    last_error: str | None
    created_at: str
    bookings: PaidBooking | None


class IdleEvent(TypedDict):
    """An event of a gateway that had no effect yet."""

    id: str
    gateway: str
    type: str
    state: str
    attempts: int
    last_error: str | None
    transaction_id: str | None
    received_at: str
    is_given_up: bool


class DeadMail(TypedDict):
    """A mail that cannot be sent."""

    id: str
    template: str
    recipient: str
    booking_id: BookingId | None
    last_error: str | None
    finished_at: str


class Desk(TypedDict):
    """What needs a person: of each kind the newest, and how many there are. ``exponents``: decimals other than two."""

    totals: dict[str, int]
    transactions: list[StaffTransaction]
    disputes: list[OpenDispute]
    refunds: list[TroubledRefund]
    events: list[IdleEvent]
    emails: list[DeadMail]
    exponents: dict[str, int]


class Period(TypedDict):
    """The query of an export; ``to`` is not included."""

    from_: datetime
    to: datetime


class ExportedTransaction(TypedDict):
    """A transaction as a row of a table, amounts in currency units as text, times in UTC."""

    id: str
    created_at: str
    completed_at: str | None
    status: str
    currency: str
    amount: str
    amount_refunded: str
    amount_withdrawn: str
    amount_left: str | None  # of what was paid
    payment_method: str | None
    gateway: str
    gateway_payment_id: str | None
    failure_code: str | None
    review_reason: str | None
    dispute_status: str | None
    booking_id: BookingId | None
    name: str | None
    email: str | None
    package: str | None
