"""Payments of bookings: `/api/payments`."""

from service.api import Blueprint

blueprint = Blueprint("payments", __name__, url_prefix="/api/payments", description="Payments of bookings")
