"""Reading payments: how one booking stands, and for staff all transactions."""

from flask import g

from service.api import Answer
from service.guards import anyone_signed_in, require_permission, staff_required
from service.pagination import paginate
from service.payments import blueprint, store
from service.payments.schemas import (
    BookingPaymentSchema,
    ListTransactionsSchema,
    ReviewSchema,
    TransactionDetailSchema,
    TransactionsSchema,
)
from service.payments.shapes import BookingPayment, Review, TransactionDetail, TransactionsQuery
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
    words = {name: query.get(name) for name in ("status", "gateway", "q", "needs_review")}
    found = store.list_transactions(query, booking_id=query.get("bookingId"), **words, **filters)
    return {"transactions": found["transactions"], "pagination": paginate(query, found["total"])}


@blueprint.get("/transactions/<transaction_id>")
@staff_required("bookings_view")
@blueprint.response(200, TransactionDetailSchema)
def get_transaction(transaction_id: str) -> TransactionDetail:
    """Show a transaction with its booking, audit log, refunds and disputes"""
    return store.get_transaction(transaction_id)


@blueprint.patch("/transactions/<transaction_id>")
@staff_required("bookings_update_payment")
@blueprint.arguments(ReviewSchema)
@blueprint.response(200, TransactionDetailSchema)
def resolve_review(review: Review, transaction_id: str) -> TransactionDetail:
    """Take the flag off a transaction, with a note for its audit log

    A payment of another amount is then taken as what the booking costs. 409 `review_not_needed`.
    """
    return store.resolve_review(transaction_id, review["note"])
