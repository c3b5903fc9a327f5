"""Payments of bookings: `/api/payments`."""

from service.api import Blueprint

blueprint = Blueprint("payments", __name__, url_prefix="/api/payments", description="Payments of bookings")

from service.payments import capture, checkout, desk, refunds, transactions, webhooks  # noqa: E402, F401  register their views
