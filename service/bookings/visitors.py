"""Visitors book a package and look at a booking."""

from service.api import Answer
from service.bookings import blueprint, store
from service.bookings.schemas import CreateBookingSchema, CreatedBookingSchema, PublicBookingAnswerSchema
from service.fields import Changes
from service.guards import customer_optional, public
from service.limits import limit
from service.people import customer_or_guest


@blueprint.post("")
@customer_optional
@limit("booking")
@blueprint.arguments(CreateBookingSchema)
@blueprint.response(201, CreatedBookingSchema)
def create_booking(values: Changes) -> Answer:
    """Book a package, as a customer or a guest

    The amount is the package's price times the guests, whatever else is sent.
    """
    customer = customer_or_guest()
    booking = store.create_booking(values, customer and customer["id"])
    return {"success": True, "booking": booking, "message": "Booking created successfully"}


@blueprint.get("/<booking_id>")
@public
@blueprint.response(200, PublicBookingAnswerSchema)
def get_booking(booking_id: str) -> Answer:
    """Show a booking, without personal data"""
    return {"booking": store.get_summary(booking_id)}
