"""Reading payments: how one booking stands, and for staff all transactions."""

from flask import g

from service.api import Answer
from service.guards import anyone_signed_in, require_permission, staff_required
from service.pagination import paginate
from service.payments import blueprint, store
from service.payments.schemas import (
    BookingPaymentSchema,
    ListTransactionsSchema,
    TransactionDetailSchema,
    TransactionsSchema,
)
from service.payments.shapes import BookingPayment, TransactionDetail, TransactionsQuery
from service.people import current_customer


@blueprint.get("/booking/<booking_id>")
@anyone_signed_in
@blueprint.response(200, BookingPaymentSchema)
def get_booking_payment(booking_id: str) -> BookingPayment:
    """Tell how the payment of a booking stands

    For the customer it belongs to, and for staff.
    """
    if "staff" not in g:
        return store.get_booking_payment(booking_id, current_customer()["id"])
    require_permission("bookings_view")
    return store.get_booking_payment(booking_id)


@blueprint.get("/transactions")
@staff_required("bookings_view")
@blueprint.arguments(ListTransactionsSchema, location="query")
@blueprint.response(200, TransactionsSchema)
def list_transactions(query: TransactionsQuery) -> Answer:
    """List transactions, newest first"""
    times = {"from": query.get("from_"), "to": query.get("to")}
    filters = {name: time.isoformat() for name, time in times.items() if time}
    words = {"status": query.get("status"), "gateway": query.get("gateway"), "q": query.get("q")}
    found = store.list_transactions(query, booking_id=query.get("bookingId"), **words, **filters)
    return {"transactions": found["transactions"], "pagination": paginate(query, found["total"])}


@blueprint.get("/transactions/<transaction_id>")
@staff_required("bookings_view")
@blueprint.response(200, TransactionDetailSchema)
def get_transaction(transaction_id: str) -> TransactionDetail:
    """Show a transaction with its booking, audit log and refunds"""
    return store.get_transaction(transaction_id)
