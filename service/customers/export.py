"""Everything held about a customer, handed to them (GDPR, articles 15 and 20)."""

from service.api import Answer
from service.customers import blueprint, store
from service.guards import customer_required
from service.people import current_customer


@blueprint.get("/me/export")
@customer_required
@blueprint.response(200)
def export_me() -> Answer:
    """Export everything held about the signed-in customer

    Profile, preferences, addresses, sessions, bookings, payments (minor units), mails and the audit log.
    """
    return store.export_customer(current_customer()["id"])
