"""What travels between the views of customers and the database, by its keys. Times are ISO 8601, ids UUIDs as text."""

from typing import NotRequired, TypedDict

from service.bookings.shapes import OwnBooking
from service.people import Customer


class Registration(TypedDict):
    """The body of a registration."""

    email: str
    password: str
    name: str
    phone: str | None


class Registered(TypedDict):
    customer_id: str
    session_id: str


class Verification(TypedDict):
    is_first: bool
    customer: NotRequired[Customer]  # the first time


class LoginAttempt(TypedDict):
    """The account that somebody wants to log in to; None both where nobody has the address."""

    customer_id: str | None
    password_hash: str | None


class LoginOutcome(TypedDict):
    """``verdict``: logged_in, with what follows, or why not."""

    verdict: str
    session_id: NotRequired[str]
    customer: NotRequired[Customer]


class PublicCustomer(TypedDict):
    """All that anybody may know of a customer."""

    id: str
    name: str
    avatar: str | None
    verified_at: str | None


class Session(TypedDict):
    id: str
    ip_address: str | None
    user_agent: str | None
    created_at: str
    last_seen_at: str
    expires_at: str


class Address(TypedDict):
    id: str
    label: str
    name: str | None
    phone: str | None
    street: str
    city: str
    state: str | None
    postal_code: str | None
    country: str
    is_default: bool
    created_at: str
    updated_at: str


class Preferences(TypedDict):
    language: str
    currency: str
    timezone: str
    newsletter: bool
    sms: bool
    email_notifications: bool


class BookingsPage(TypedDict):
    total: int
    bookings: list[OwnBooking]
