"""Customer accounts: `/api/customers`."""

from service.api import Blueprint

blueprint = Blueprint("customers", __name__, url_prefix="/api/customers", description="Customer accounts")

from service.customers import (  # noqa: E402, F401 (the flows put their views on the blueprint)
    addresses,
    bookings,
    export,
    preferences,
    profile,
    recovery,
    registration,
    sessions,
    verification,
)
