"""Bookings: `/api/bookings`."""

from service.api import Blueprint

blueprint = Blueprint("bookings", __name__, url_prefix="/api/bookings", description="Bookings of packages")

from service.bookings import management, visitors  # noqa: E402, F401  the views register themselves
