"""Reading payments: how one booking stands, and for staff all transactions."""

from typing import Any

from flask import g

from service import permissions
from service.errors import Forbidden, NotFound
from service.fields import parse_id
from service.guards import anyone_signed_in, is_uuid, staff_required
from service.payments import blueprint, store
from service.payments.schemas import (
    BookingPaymentSchema,
    ListTransactionsSchema,
    TransactionDetailSchema,
    TransactionsSchema,
)


@blueprint.get("/booking/<booking_id>")
@anyone_signed_in
@blueprint.response(200, BookingPaymentSchema)
def get_booking_payment(booking_id: str) -> dict[str, Any]:
    """Tell how the payment of a booking stands

    For the customer it belongs to, and for staff.
    """
    customer_id = None if _is_staff() else g.customer["id"]
    return store.get_booking_payment(_known(parse_id(booking_id), "Booking not found"), customer_id)


@blueprint.get("/transactions")
@staff_required("bookings_view")
@blueprint.arguments(ListTransactionsSchema, location="query")
@blueprint.response(200, TransactionsSchema)
def list_transactions(query: dict[str, Any]) -> dict[str, Any]:
    """List transactions, newest first"""
    page, limit = query["page"], query["limit"]
    times = {"from": query.get("from_"), "to": query.get("to")}
    filters = {name: value.isoformat() for name, value in times.items() if value}
    filters |= {name: query[name] for name in ("status", "gateway", "q") if query.get(name)}
    if "bookingId" in query:
        filters["booking_id"] = query["bookingId"]
    found, total = store.list_transactions(page, limit, **filters)
    pages = -(-total // limit)
    return {"transactions": found, "pagination": {"page": page, "limit": limit, "total": total, "totalPages": pages}}


@blueprint.get("/transactions/<transaction_id>")
@staff_required("bookings_view")
@blueprint.response(200, TransactionDetailSchema)
def get_transaction(transaction_id: str) -> dict[str, Any]:
    """Show a transaction with its booking, audit log and refunds"""
    return store.get_transaction(_known(transaction_id if is_uuid(transaction_id) else None, "Transaction not found"))


def _is_staff() -> bool:
    staff = g.get("staff")
    if staff and not permissions.allows(staff["role"], "bookings_view"):
        raise Forbidden("Insufficient permissions. Required: bookings_view", code="insufficient_permissions")
    return staff is not None


def _known(record_id: str | None, complaint: str) -> str:
    """An id from the address; one that cannot be an id names nothing. Raises ``NotFound``."""
    if record_id is None:
        raise NotFound(complaint)
    return record_id
