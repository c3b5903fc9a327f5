"""What travels between the views of bookings and the database, by its keys. Dates and times are ISO 8601."""

from typing import TypedDict

from service.ids import BookingId


class BookingSummary(TypedDict):
    """A booking in the shape of the API, without personal data. ``totalPrice`` is in currency units."""

    id: BookingId
    packageName: str
    destination: str
    startDate: str | None
    endDate: str | None
    totalPrice: float
    guests: int
    status: str
    paymentStatus: str
    currency: str


class OwnBooking(BookingSummary):
    """The same as its customer sees it."""

    package_id: int | None
    travel_date: str | None
    return_date: str | None
    payment_status: str
    created_at: str | None
    special_requests: str | None


class BookingsQuery(TypedDict):
    page: int
    limit: int | None


class Assignment(TypedDict):
    id: str
    assigned_to: str | None


class PaymentByHand(TypedDict):
    """A payment status that staff sets; ``amount`` in currency units."""

    id: str
    payment_status: str
    amount: float | None
