"""Everything held about a customer, handed to them (GDPR, articles 15 and 20)."""

from typing import Any

from flask import g

from service.customers import blueprint, store
from service.guards import customer_required, request_info


@blueprint.get("/me/export")
@customer_required
@blueprint.response(200)
def export_me() -> dict[str, Any]:
    """Export everything held about the signed-in customer

    Profile, preferences, addresses, sessions, bookings, payments (minor units), mails and the audit log.
    """
    return store.export_customer(g.customer["id"], request_info())
