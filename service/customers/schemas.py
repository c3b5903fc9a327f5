"""Shapes of what customers send and are answered."""

import re
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from service.api import MessageSchema
from service.bookings.schemas import OwnBookingSchema
from service.customers.shapes import Registration
from service.fields import Changes, ChangeSchema, Day, EmailAddress, Flag, RecordId, Schema, Text, UuidText
from service.pagination import PaginationSchema
from service.passwords import IS_EMAIL, NewPassword, Password, is_email

DATE_TIME = {"format": "date-time"}


class CustomerSchema(Schema):
    """A customer as they see themselves."""

    id = fields.String()
    email = fields.String()
    name = fields.String()
    phone = fields.String(allow_none=True)
    avatar = fields.String(allow_none=True)
    address = fields.String(allow_none=True)
    verified_at = fields.String(allow_none=True, metadata=DATE_TIME)
    status = fields.String(validate=validate.OneOf(["pending", "active", "inactive", "suspended"]))
    loyalty_points = fields.Integer()
    total_bookings = fields.Integer()
    total_spent = fields.Float(metadata={"description": "Currency units really paid"})
    created_at = fields.String(metadata=DATE_TIME)


class CustomerAnswerSchema(Schema):
    customer = fields.Nested(CustomerSchema)


class RegisterCustomerSchema(Schema):
    email = EmailAddress(required=True)
    password = NewPassword(required=True)
    name = Text(min=1, max=100, required=True)
    phone = Text(max=40, empty_is_none=True, load_default=None)

    @validates_schema
    def refuse_email(self, data: Registration, **_: Any) -> None:
        if is_email(data["password"], data["email"]):
            raise ValidationError(IS_EMAIL, "password")


class RegisteredCustomerSchema(Schema):
    customerId = fields.String()
    token = fields.String()
    message = fields.String()
    requiresVerification = fields.Boolean()


class LogInSchema(Schema):
    email = EmailAddress(required=True)
    password = Password(required=True)


class LoggedInSchema(CustomerAnswerSchema):
    customerId = fields.String()
    token = fields.String()


class EmailSchema(Schema):
    email = EmailAddress(required=True)


class VerifyEmailSchema(Schema):
    customerId = UuidText(required=True)
    token = Text(min=1, max=200, required=True)


class VerifiedEmailSchema(MessageSchema):
    customer = fields.Nested(CustomerSchema)


class ResetPasswordSchema(VerifyEmailSchema):
    newPassword = NewPassword(required=True)


class ChangePasswordSchema(Schema):
    oldPassword = Password(required=True)
    newPassword = NewPassword(required=True)


class ConfirmPasswordSchema(Schema):
    password = Password(required=True)


class UpdateProfileSchema(ChangeSchema):
    name = Text(min=1, max=100)
    phone = Text(max=40, empty_is_none=True)
    avatar = Text(max=2000, empty_is_none=True)
    address = Text(max=500, empty_is_none=True, multiline=True)


class PublicCustomerSchema(Schema):
    """All that anybody may know of a customer."""

    id = fields.String()
    name = fields.String()
    avatar = fields.String(allow_none=True)
    verified_at = fields.String(allow_none=True, metadata=DATE_TIME)


class PublicCustomerAnswerSchema(Schema):
    customer = fields.Nested(PublicCustomerSchema)


class ScopeSchema(Schema):
    scope = fields.String(
        load_default="this",
        validate=validate.OneOf(["this", "others", "all"], error="Must be this, others or all."),
        metadata={"description": "Which sessions end: this one, all others, or all"},
    )


class SessionSchema(Schema):
    id = fields.String()
    ip_address = fields.String(allow_none=True)
    user_agent = fields.String(allow_none=True)
    created_at = fields.String(metadata=DATE_TIME)
    last_seen_at = fields.String(metadata=DATE_TIME)
    expires_at = fields.String(metadata=DATE_TIME)
    current = fields.Boolean()


class SessionsSchema(Schema):
    sessions = fields.List(fields.Nested(SessionSchema))


class BookingAnswerSchema(Schema):
    booking = fields.Nested(OwnBookingSchema)


class BookingsSchema(Schema):
    bookings = fields.List(fields.Nested(OwnBookingSchema))
    pagination = fields.Nested(PaginationSchema)


class ClaimBookingSchema(Schema):
    bookingId = RecordId(required=True)
    travelDate = Day(required=True)


class AddressSchema(Schema):
    id = fields.String()
    label = fields.String()
    name = fields.String(allow_none=True)
    phone = fields.String(allow_none=True)
    street = fields.String()
    city = fields.String()
    state = fields.String(allow_none=True)
    postal_code = fields.String(allow_none=True)
    country = fields.String()
    is_default = fields.Boolean()
    created_at = fields.String(metadata=DATE_TIME)
    updated_at = fields.String(metadata=DATE_TIME)


class UpdateAddressSchema(ChangeSchema):
    label = Text(min=1, max=50)
    name = Text(max=100, empty_is_none=True)
    phone = Text(max=40, empty_is_none=True)
    street = Text(min=1, max=200)
    city = Text(min=1, max=100)
    state = Text(max=100, empty_is_none=True)
    postal_code = Text(max=20, empty_is_none=True)
    country = Text(min=1, max=100)
    is_default = Flag()


class AddAddressSchema(UpdateAddressSchema):
    label = Text(min=1, max=50, required=True)
    street = Text(min=1, max=200, required=True)
    city = Text(min=1, max=100, required=True)
    country = Text(min=1, max=100, required=True)


class AddressesSchema(Schema):
    addresses = fields.List(fields.Nested(AddressSchema))


class AddressAnswerSchema(Schema):
    address = fields.Nested(AddressSchema)


def _matching(pattern: str, example: str) -> validate.Regexp:
    return validate.Regexp(re.compile(pattern, re.ASCII), error=f"Must look like {example}.")


class PreferencesSchema(ChangeSchema):
    language = Text(max=35, validate=_matching(r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", "en or en-GB"))
    currency = Text(max=3, validate=_matching(r"^[A-Za-z]{3}$", "usd"))
    timezone = Text(max=60, validate=_matching(r"^[A-Za-z][\w+-]*(/[\w+-]+){0,2}$", "Europe/Oslo"))
    newsletter = Flag()
    sms = Flag()
    email_notifications = Flag()

    @post_load
    def lower_currency(self, data: Changes, **_: Any) -> Changes:
        return {**data, "currency": str(data["currency"]).lower()} if "currency" in data else data


class PreferencesAnswerSchema(Schema):
    preferences = fields.Nested(PreferencesSchema)
