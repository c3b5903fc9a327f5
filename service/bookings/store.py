"""Every PostgREST call about bookings. All functions raise ``ServiceError``, also when the database is away."""

from service.bookings.shapes import BookingsQuery, BookingSummary, OwnBooking
from service.database import Row, rpc, run, table
from service.errors import NotFound
from service.fields import Changes
from service.limits import account_limits

MAX_ROWS = 1000  # what Supabase answers at most


def create_booking(values: Changes, customer_id: str | None) -> OwnBooking:
    """Book a package as this customer or, with None, as a guest. Raises 404 unknown package, 400 past date, 429."""
    return rpc(
        "create_booking",
        p_values=values,
        p_customer_id=customer_id,
        p_limits=account_limits("booking_account"),
    )


def get_summary(booking_id: str) -> BookingSummary:
    """A booking in the shape of the API. Raises ``NotFound``."""
    booking: BookingSummary | None = rpc("get_booking_summary", p_booking_id=booking_id)
    if booking is None:
        raise NotFound.of("Booking")
    return booking


def list_bookings(query: BookingsQuery) -> list[Row]:
    """Rows, newest first; without a limit the newest thousand."""
    size = query["limit"] or MAX_ROWS
    first = (query["page"] - 1) * size
    rows = table("bookings").select("*").order("created_at", desc=True).order("id", desc=True)
    return run(rows.range(first, first + size - 1))


def update_booking(booking_id: str, changes: Changes) -> Row:
    """Change columns of a booking; the row afterwards. Raises 404."""
    return rpc("update_booking", p_booking_id=booking_id, p_changes=changes)


def set_payment_status(booking_id: str, payment_status: str, amount: float | None) -> Row:
    """Set a payment status by hand, with its audit row; the row afterwards. ``amount`` in currency units."""
    return rpc(
        "update_booking_payment",
        p_booking_id=booking_id,
        p_payment_status=payment_status,
        p_amount=amount,
    )


def delete_booking(booking_id: str) -> None:
    """Delete a booking. Raises 404, 409 when money is attached."""
    rpc("delete_booking", p_booking_id=booking_id)


def delete_bookings(booking_ids: list[str]) -> int:
    """Delete them all; how many. Raises 404 where there is none, 409 when money is attached to one."""
    return rpc("delete_bookings", p_booking_ids=booking_ids)
