"""A customer's own bookings."""

from typing import Any

from flask import g

from service.customers import blueprint, store
from service.customers.schemas import BookingAnswerSchema, BookingsSchema
from service.errors import NotFound
from service.fields import PageSchema, parse_id
from service.guards import customer_required


@blueprint.get("/<customer_id>/bookings")
@customer_required
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, BookingsSchema)
def list_bookings(query: dict[str, int], customer_id: str) -> dict[str, Any]:
    """List the customer's bookings, the latest travel date first"""
    page, limit = query["page"], query["limit"]
    found = store.list_bookings(g.customer["id"], page, limit)
    total = found["total"]
    pagination = {"page": page, "limit": limit, "total": total, "totalPages": -(-total // limit)}
    return {"bookings": found["bookings"], "pagination": pagination}


@blueprint.get("/<customer_id>/bookings/<booking_id>")
@customer_required
@blueprint.response(200, BookingAnswerSchema)
def get_booking(customer_id: str, booking_id: str) -> dict[str, Any]:
    """Show one of the customer's bookings"""
    parsed = parse_id(booking_id)
    if parsed is None:
        raise NotFound("Booking not found")
    return {"booking": store.get_booking(g.customer["id"], parsed)}
