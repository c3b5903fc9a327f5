"""The marshmallow schemas of bookings: what is taken in and answered."""

from marshmallow import fields, validate

from service.fields import (
    ChangeSchema,
    Day,
    EmailAddress,
    FormInteger,
    FormNumber,
    RecordId,
    Schema,
    Text,
    TextOrNumber,
)
from service.pagination import PageSchema, limit_field

DATE = {"format": "date"}
DATE_TIME = {"format": "date-time"}
MAX_GUESTS = 50
MAX_AMOUNT = 9_999_999.99  # currency units
STATUSES = ("Pending", "Confirmed", "Cancelled", "Completed")
PAYMENT_STATUSES = ("Paid", "Pending", "Refunded")


def one_of(choices: tuple[str, ...]) -> validate.OneOf:
    return validate.OneOf(choices, error=f"Must be one of {', '.join(choices)}.")


class CreateBookingSchema(Schema):
    package_id = RecordId(required=True)
    customer_email = EmailAddress(required=True)
    customer_name = Text(required=True, min=1, max=200)
    customer_phone = Text(max=50, empty_is_none=True)
    travel_date = Day(required=True)
    number_of_guests = FormInteger(required=True, min=1, max=MAX_GUESTS)
    special_requests = Text(max=5000, multiline=True, empty_is_none=True)


class UpdateBookingSchema(ChangeSchema):
    name = Text(min=1, max=200)
    email = EmailAddress()
    phone = Text(max=50, allow_none=True)
    package = Text(max=300, allow_none=True)
    package_id = FormInteger(min=1, max=2**31 - 1, allow_none=True)
    travel_date = Day(allow_none=True)
    return_date = Day(allow_none=True)
    booking_date = Day(allow_none=True)
    amount = FormNumber(max=MAX_AMOUNT)
    status = Text(validate=one_of(STATUSES))
    message = Text(max=5000, multiline=True, allow_none=True)
    source = Text(max=100, allow_none=True)
    notes = Text(max=5000, multiline=True, allow_none=True)
    number_of_guests = FormInteger(min=1, max=MAX_GUESTS)
    special_requests = Text(max=5000, multiline=True, allow_none=True)
    assigned_to = TextOrNumber(max=200, allow_none=True)  # a name, or the id of a staff account
    payment_status = Text(validate=one_of(PAYMENT_STATUSES))


class AssignSchema(Schema):
    id = RecordId(required=True)
    assigned_to = TextOrNumber(required=True, max=200, allow_none=True)


class UpdatePaymentSchema(Schema):
    id = RecordId(required=True)
    payment_status = Text(required=True, validate=one_of(PAYMENT_STATUSES))
    amount = FormNumber(max=MAX_AMOUNT, allow_none=True, load_default=None)


class BulkDeleteSchema(Schema):
    ids = fields.List(
        RecordId(), required=True, validate=validate.Length(1, 500, error="Must hold between 1 and 500 ids.")
    )


class BookingsQuerySchema(PageSchema):
    limit = limit_field(default=None)


class PublicBookingSchema(Schema):
    """A booking as the site reads it (contract §2), without personal data. ``totalPrice`` is in currency units."""

    id = RecordId()
    packageName = fields.String()
    destination = fields.String()
    startDate = fields.String(allow_none=True, metadata=DATE)
    endDate = fields.String(allow_none=True, metadata=DATE)
    totalPrice = fields.Float()
    guests = fields.Integer()
    status = fields.String(validate=one_of(tuple(status.lower() for status in STATUSES)))
    paymentStatus = fields.String()
    currency = fields.String()


class OwnBookingSchema(PublicBookingSchema):
    """The same as its customer sees it."""

    package_id = fields.Integer(allow_none=True)
    travel_date = fields.String(allow_none=True, metadata=DATE)
    return_date = fields.String(allow_none=True, metadata=DATE)
    payment_status = fields.String()
    created_at = fields.String(allow_none=True, metadata=DATE_TIME)
    special_requests = fields.String(allow_none=True)


class BookingRowSchema(Schema):
    """A row of the table, as staff sees it."""

    id = RecordId()
    name = fields.String()
    email = fields.String()
    phone = fields.String(allow_none=True)
    package = fields.String(allow_none=True)
    package_id = fields.Integer(allow_none=True)
    customer_id = fields.String(allow_none=True)
    travel_date = fields.String(allow_none=True)
    return_date = fields.String(allow_none=True)
    booking_date = fields.String(allow_none=True)
    amount = fields.Float()
    currency = fields.String(allow_none=True, metadata={"description": "Null on older bookings: the agency's"})
    status = fields.String()
    payment_status = fields.String()
    number_of_guests = fields.Integer()
    message = fields.String(allow_none=True)
    special_requests = fields.String(allow_none=True)
    source = fields.String(allow_none=True)
    assigned_to = fields.String(allow_none=True)
    notes = fields.String(allow_none=True)
    payment_id = fields.String(allow_none=True)
    payment_method = fields.String(allow_none=True)
    payment_date = fields.String(allow_none=True)
    invoice_id = fields.String(allow_none=True)
    invoice_url = fields.String(allow_none=True)
    created_at = fields.String(allow_none=True)


class CreatedBookingSchema(Schema):
    success = fields.Boolean()
    booking = fields.Nested(OwnBookingSchema)
    message = fields.String()


class PublicBookingAnswerSchema(Schema):
    booking = fields.Nested(PublicBookingSchema)


class BookingRowsAnswerSchema(Schema):
    success = fields.Boolean()
    data = fields.List(fields.Nested(BookingRowSchema))


class BookingRowAnswerSchema(Schema):
    success = fields.Boolean()
    data = fields.Nested(BookingRowSchema)


class DeletedSchema(Schema):
    success = fields.Boolean()
    message = fields.String()
    deletedCount = fields.Integer()
