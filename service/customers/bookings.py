"""A customer's own bookings."""

from service.api import Answer
from service.customers import blueprint, store
from service.customers.schemas import BookingAnswerSchema, BookingsSchema, ClaimBookingSchema
from service.guards import customer_required
from service.limits import limit
from service.pagination import Page, PageSchema, paginate


@blueprint.get("/<customer_id>/bookings")
@customer_required
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, BookingsSchema)
def list_bookings(query: Page, customer_id: str) -> Answer:
    """List the customer's bookings, the latest travel date first"""
    found = store.list_bookings(customer_id, query)
    return {"bookings": found["bookings"], "pagination": paginate(query, found["total"])}


@blueprint.get("/<customer_id>/bookings/<booking_id>")
@customer_required
@blueprint.response(200, BookingAnswerSchema)
def get_booking(customer_id: str, booking_id: str) -> Answer:
    """Show one of the customer's bookings"""
    return {"booking": store.get_booking(customer_id, booking_id)}


@blueprint.post("/<customer_id>/bookings/claim")
@customer_required
@limit("token")
@blueprint.arguments(ClaimBookingSchema)
@blueprint.response(200, BookingAnswerSchema)
def claim_booking(data: dict[str, str], customer_id: str) -> Answer:
    """Take over a booking made as guest before the address was verified

    By its id, as its mail names it, and its travel date. Needed where the account's link was opened in another browser
    than the one that registered. 404 `booking_not_found` for anything that does not fit.
    """
    return {"booking": store.claim_booking(customer_id, data["bookingId"], data["travelDate"])}
