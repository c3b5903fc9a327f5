"""What payments ask and answer: forms only; amounts are minor units."""

from collections import ChainMap
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from marshmallow import ValidationError, fields, validate

from service.fields import Described, EmailAddress, Flag, Integer, RecordId, Schema, Text, UuidText
from service.pagination import PageSchema, PaginationSchema
from service.payments.gateways import ADAPTERS

STATUSES = ("pending", "processing", "completed", "failed", "refunded")
GATEWAYS: ChainMap[str, Any] = ChainMap({"manual": None}, ADAPTERS)  # of a transaction; asked anew each time


def currency(**kwargs: Any) -> Text:
    return Text(validate=validate.Regexp(r"^[A-Za-z]{3}$", error="Must be a code of three letters."), max=3, **kwargs)


class Moment(fields.Field[datetime]):
    """A day or a moment in ISO 8601, UTC where no offset is given; as the end of a span a day means its end."""

    def __init__(self, *, is_end: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.is_end = is_end

    def described(self, described: Described) -> Described:
        formats = [{"type": "string", "format": name} for name in ("date", "date-time")]
        return {**described, "anyOf": formats}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            if len(value) == len("2026-01-31"):
                day = date.fromisoformat(value) + timedelta(days=self.is_end)
                return datetime.combine(day, time.min, UTC)
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValidationError("Must be a day or a moment, as 2026-01-31 or 2026-01-31T12:00:00Z.") from error


class CreatePaymentIntentSchema(Schema):
    bookingId = RecordId(required=True)
    amount = Integer(min=1, allow_none=True, metadata={"description": "Checked against the booking's, which counts"})
    currency = currency(allow_none=True)
    email = EmailAddress(allow_none=True)
    name = Text(max=200, empty_is_none=True)
    gateway = Text(max=40, allow_none=True, metadata={"description": "One of GET /gateways; default: its first"})


class PaymentIntentSchema(Schema):
    paymentIntentId = fields.String()
    clientSecret = fields.String(
        allow_none=True, metadata={"description": "For Stripe.js; whoever holds it may pay. Null for other gateways"}
    )
    amount = fields.Integer()
    currency = fields.String()
    status = fields.String(metadata={"description": "The gateway's word for the payment"})
    transactionId = fields.String()
    stripeCustomerId = fields.String(allow_none=True)
    email = fields.String(allow_none=True)
    name = fields.String(allow_none=True)
    gateway = fields.String()
    checkout = fields.Dict(
        metadata={
            "description": "What the page needs: Stripe's clientSecret, PayPal's approveUrl, the options of Razorpay's"
            " checkout.js"
        }
    )


class CapturePaymentSchema(Schema):
    transactionId = UuidText(required=True)
    proof = fields.Dict(
        keys=fields.String(validate=validate.Length(max=100)),
        values=fields.String(validate=validate.Length(max=500)),
        allow_none=True,
        validate=validate.Length(max=10),
        metadata={"description": "What Razorpay's checkout.js handed to the page; the others hand out nothing"},
    )


class CapturedSchema(Schema):
    transactionId = fields.String()
    bookingId = fields.Raw(allow_none=True)
    gateway = fields.String()
    status = fields.String(
        validate=validate.OneOf(["paid", "processing"]),
        metadata={"description": "processing: the money is on its way, and an event will tell of it"},
    )


class GatewaySchema(Schema):
    name = fields.String()
    label = fields.String(metadata={"description": "For people"})
    publishableKey = fields.String(allow_none=True)


class GatewaysSchema(Schema):
    gateways = fields.List(fields.Nested(GatewaySchema), metadata={"description": "The first is the default"})


class ReceivedSchema(Schema):
    received = fields.Boolean()


class CreateRefundSchema(Schema):
    bookingId = RecordId(required=True)
    reason = Text(required=True, min=1, max=500, multiline=True)
    amount = Integer(min=1, allow_none=True, metadata={"description": "Default: all that is left"})
    transactionId = UuidText(allow_none=True)  # which payment, where the booking has several
    again = Flag(metadata={"description": "Another refund like one of the last ten minutes, not that one's answer"})


class RefundSchema(Schema):
    success = fields.Boolean()
    refundId = fields.String(metadata={"description": "The gateway's id"})
    amount = fields.Integer()
    status = fields.String(metadata={"description": "pending, succeeded, failed or canceled, as the gateway says"})
    repeated = fields.Boolean(metadata={"description": "The same request was made before, and this is what it led to"})


class ReviewSchema(Schema):
    review = fields.String(required=True, validate=validate.OneOf(["resolved"]))
    note = Text(required=True, min=1, max=500, multiline=True)


class PaidBookingSchema(Schema):
    id = fields.Raw()
    name = fields.String(allow_none=True)
    email = fields.String(allow_none=True)
    package = fields.String(allow_none=True)


class PaymentSchema(Schema):
    """What the owner of a booking sees of its transaction."""

    id = fields.String()
    booking_id = fields.Raw(allow_none=True)
    gateway = fields.String(validate=validate.OneOf(GATEWAYS))
    gateway_payment_id = fields.String(allow_none=True)
    amount = fields.Integer()
    amount_refunded = fields.Integer()
    amount_withdrawn = fields.Integer(metadata={"description": "Taken by disputes, and not given back"})
    amount_left = fields.Integer()
    currency = fields.String()
    status = fields.String(validate=validate.OneOf(STATUSES))
    payment_method = fields.String(allow_none=True)
    created_at = fields.String()
    completed_at = fields.String(allow_none=True)


class BookingPaymentSchema(Schema):
    bookingId = fields.Raw()
    paymentStatus = fields.String()
    amount = fields.Integer()
    currency = fields.String()
    transaction = fields.Nested(PaymentSchema, allow_none=True)


class TransactionSchema(PaymentSchema):
    gateway_charge_id = fields.String(
        allow_none=True, metadata={"description": "Its id of the money taken, where that is another"}
    )
    customer_id = fields.String(allow_none=True)
    failure_code = fields.String(allow_none=True)
    needs_review = fields.Boolean()
    review_reason = fields.String(allow_none=True)
    dispute_status = fields.String(allow_none=True)
    metadata = fields.Dict()
    updated_at = fields.String()
    bookings = fields.Nested(PaidBookingSchema, allow_none=True)


class AuditLogSchema(Schema):
    id = fields.Integer()
    transaction_id = fields.String()
    old_status = fields.String(allow_none=True)
    new_status = fields.String()
    amount = fields.Integer()
    amount_refunded = fields.Integer()
    amount_withdrawn = fields.Integer()
    dispute_status = fields.String(allow_none=True)
    review_reason = fields.String(allow_none=True)
    changed_by = fields.String()
    reason = fields.String(allow_none=True)
    created_at = fields.String()


class TransactionRefundSchema(Schema):
    id = fields.String()
    gateway_refund_id = fields.String(allow_none=True)
    amount = fields.Integer()
    status = fields.String()
    reason = fields.String(allow_none=True)
    requested_by = fields.String()
    created_at = fields.String()


class DisputeSchema(Schema):
    id = fields.String()
    gateway_dispute_id = fields.String()
    amount = fields.Integer()
    amount_withdrawn = fields.Integer()
    amount_reinstated = fields.Integer()
    reason = fields.String(allow_none=True)
    status = fields.String(metadata={"description": "warning_…: an inquiry, no money has moved"})
    outcome = fields.String(allow_none=True, metadata={"description": "won, lost or dropped; null while it is open"})
    due_by = fields.String(allow_none=True)
    created_at = fields.String()
    updated_at = fields.String()


class TransactionDetailSchema(TransactionSchema):
    transaction_audit_logs = fields.List(fields.Nested(AuditLogSchema))
    refunds = fields.List(fields.Nested(TransactionRefundSchema))
    disputes = fields.List(fields.Nested(DisputeSchema))


class ListTransactionsSchema(PageSchema):
    status = fields.String(validate=validate.OneOf(STATUSES))
    gateway = fields.String(validate=validate.OneOf(GATEWAYS))
    bookingId = RecordId()
    needs_review = Flag(metadata={"description": "Only what a person has to look at, or only the rest"})
    from_ = Moment(data_key="from")
    to = Moment(is_end=True, metadata={"description": "A day is included, a moment is not"})
    q = Text(max=100, empty_is_none=True, metadata={"description": "In ids, names, addresses and packages"})


class TransactionsSchema(Schema):
    transactions = fields.List(fields.Nested(TransactionSchema))
    pagination = fields.Nested(PaginationSchema)


# --- The desk of staff: /staff/payments


class DeskStaffSchema(Schema):
    name = fields.String()
    role = fields.String()
    permissions = fields.List(fields.String())


class OpenDisputeSchema(Schema):
    id = fields.String()
    transaction_id = fields.String()
    gateway_dispute_id = fields.String()
    amount = fields.Integer()
    currency = fields.String()
    reason = fields.String(allow_none=True)
    status = fields.String(metadata={"description": "needs_response, or warning_needs_response: an inquiry"})
    due_by = fields.String(allow_none=True, metadata={"description": "Until when the gateway takes an answer"})
    created_at = fields.String()
    bookings = fields.Nested(PaidBookingSchema, allow_none=True)


class TroubledRefundSchema(Schema):
    id = fields.String()
    transaction_id = fields.String()
    amount = fields.Integer()
    currency = fields.String()
    status = fields.String(metadata={"description": "failed, or reserved: nobody knows whether it was made"})
    reason = fields.String(allow_none=True)
    requested_by = fields.String()
    last_error = fields.String(allow_none=True)
    created_at = fields.String()
    bookings = fields.Nested(PaidBookingSchema, allow_none=True)


class IdleEventSchema(Schema):
    id = fields.String()
    gateway = fields.String()
    type = fields.String()
    state = fields.String(metadata={"description": "received, failed, or unmatched: nobody here knows its payment"})
    attempts = fields.Integer()
    last_error = fields.String(allow_none=True)
    transaction_id = fields.String(allow_none=True)
    received_at = fields.String()
    is_given_up = fields.Boolean(metadata={"description": "Reconciliation tries it no more"})


class DeadMailSchema(Schema):
    id = fields.String()
    template = fields.String()
    recipient = fields.String()
    booking_id = fields.Raw(allow_none=True)
    last_error = fields.String(allow_none=True)
    finished_at = fields.String()


class DeskSchema(Schema):
    staff = fields.Nested(DeskStaffSchema)
    totals = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={"description": "How many of each there are in all"},
    )
    transactions = fields.List(fields.Nested(TransactionSchema), metadata={"description": "Flagged ones"})
    disputes = fields.List(
        fields.Nested(OpenDisputeSchema), metadata={"description": "To be answered, the most urgent first"}
    )
    refunds = fields.List(
        fields.Nested(TroubledRefundSchema),
        metadata={"description": "Failed within 90 days and not made since, or without an outcome for an hour"},
    )
    events = fields.List(
        fields.Nested(IdleEventSchema), metadata={"description": "Without effect, of the last 90 days"}
    )
    emails = fields.List(
        fields.Nested(DeadMailSchema), metadata={"description": "That cannot be sent, of the last 30 days"}
    )
    exponents = fields.Dict(
        keys=fields.String(), values=fields.Integer(), metadata={"description": "Decimals of currencies, other than 2"}
    )


class ReplayedSchema(Schema):
    verdict = fields.String(
        metadata={
            "description": "processed, duplicate (it had its effect before), foreign, unmatched, failed or ignored"
        }
    )


class ReconciledSchema(Schema):
    """What one run did, and what waits after it."""

    payments = fields.Integer(metadata={"description": "Asked about"})
    refunds = fields.Integer(metadata={"description": "Asked about, or made"})
    events = fields.Integer(metadata={"description": "Applied"})
    errors = fields.Integer(metadata={"description": "Steps that failed; the next run tries them again"})
    waiting = fields.Integer(metadata={"description": "Events without effect yet"})
    unmatched = fields.Integer(metadata={"description": "Events of payments that nobody knows here"})


class PeriodSchema(Schema):
    from_ = Moment(data_key="from", required=True)
    to = Moment(is_end=True, required=True, metadata={"description": "A day is included, a moment is not"})
