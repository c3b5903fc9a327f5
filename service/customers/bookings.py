"""A customer's own bookings."""

from service.api import Answer
from service.customers import blueprint, store
from service.customers.schemas import BookingAnswerSchema, BookingsSchema
from service.guards import customer_required
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
