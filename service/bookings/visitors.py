"""Visitors book a package and look at a booking."""

from typing import Any

from flask import g, request

from service.bookings import blueprint, store
from service.bookings.schemas import CreateBookingSchema, CreatedBookingSchema, PublicBookingAnswerSchema
from service.errors import NotFound
from service.fields import parse_id
from service.guards import customer_optional, public
from service.limits import limit


@blueprint.post("")
@customer_optional
@limit("booking")
@blueprint.arguments(CreateBookingSchema)
@blueprint.response(201, CreatedBookingSchema)
def create_booking(values: dict[str, Any]) -> dict[str, Any]:
    """Book a package, as a customer or a guest

    The amount is the package's price times the guests, whatever else is sent.
    """
    booking = store.create_booking(values, g.customer and g.customer["id"], request.remote_addr)
    return {"success": True, "booking": booking, "message": "Booking created successfully"}


@blueprint.get("/<booking_id>")
@public
@blueprint.response(200, PublicBookingAnswerSchema)
def get_booking(booking_id: str) -> dict[str, Any]:
    """Show a booking, without personal data"""
    return {"booking": store.get_summary(booking_key(booking_id))}


def booking_key(text: str) -> str:
    """The id in the address. Raises ``NotFound`` where it cannot be one."""
    parsed = parse_id(text)
    if parsed is None:
        raise NotFound("Booking not found", code="booking_not_found")
    return parsed
