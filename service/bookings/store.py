"""Bookings in the database."""

from typing import Any

from service.config import settings
from service.database import rpc, run, table
from service.errors import NotFound
from service.limits import account_limits

MAX_ROWS = 1000  # what Supabase answers at most


def create_booking(values: dict[str, Any], customer_id: str | None, ip: str | None) -> dict[str, Any]:
    """Book a package as this customer or, with None, as a guest; the booking in the API's shape.

    Raises ``ServiceError``: 404 unknown package, 400 past date, 429.
    """
    return rpc(
        "create_booking",
        p_values=values,
        p_customer_id=customer_id,
        p_currency=settings.payment_currency,
        p_limits=account_limits("booking_account"),
        p_ip=ip,
    )


def get_summary(booking_id: str) -> dict[str, Any]:
    """A booking in the API's shape. Raises ``NotFound``."""
    booking = rpc("get_booking_summary", p_booking_id=booking_id)
    if booking is None:
        raise NotFound("Booking not found", code="booking_not_found")
    return booking


def list_bookings(page: int, limit: int | None) -> list[dict[str, Any]]:
    """Rows, newest first; without a limit the newest thousand."""
    size = limit or MAX_ROWS
    first = (page - 1) * size
    query = table("bookings").select("*").order("created_at", desc=True).order("id", desc=True)
    return run(query.range(first, first + size - 1))


def update_booking(booking_id: str, changes: dict[str, Any], changed_by: str) -> dict[str, Any]:
    """Change columns of a booking; the row afterwards. Raises ``ServiceError`` 404."""
    return rpc("update_booking", p_booking_id=booking_id, p_changes=changes, p_changed_by=changed_by)


def set_payment_status(booking_id: str, payment_status: str, amount: float | None, changed_by: str) -> dict[str, Any]:
    """Set a payment status by hand, with its audit row; the row afterwards. ``amount`` in currency units."""
    return rpc(
        "update_booking_payment",
        p_booking_id=booking_id,
        p_payment_status=payment_status,
        p_amount=amount,
        p_changed_by=changed_by,
    )


def delete_booking(booking_id: str) -> None:
    """Delete a booking. Raises ``ServiceError``: 404, 409 when money is attached."""
    rpc("delete_booking", p_booking_id=booking_id)


def delete_bookings(booking_ids: list[str]) -> int:
    """Delete those that no money is attached to; how many."""
    return rpc("delete_bookings", p_booking_ids=booking_ids)
