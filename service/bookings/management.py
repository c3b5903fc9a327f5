"""Staff lists, changes and deletes bookings."""

from service.api import Answer
from service.bookings import blueprint, store
from service.bookings.schemas import (
    AssignSchema,
    BookingRowAnswerSchema,
    BookingRowsAnswerSchema,
    BookingRowSchema,
    BookingsQuerySchema,
    BulkDeleteSchema,
    DeletedSchema,
    UpdateBookingSchema,
    UpdatePaymentSchema,
)
from service.bookings.shapes import Assignment, BookingsQuery, PaymentByHand
from service.database import Row
from service.fields import Changes
from service.guards import staff_required


@blueprint.get("")
@staff_required("bookings_view")
@blueprint.arguments(BookingsQuerySchema, location="query")
@blueprint.response(200, BookingRowSchema(many=True))
def list_bookings(query: BookingsQuery) -> list[Row]:
    """List bookings, newest first

    Without `limit` the newest thousand.
    """
    return store.list_bookings(query)


@blueprint.patch("/<booking_id>")
@staff_required("bookings_edit")
@blueprint.arguments(UpdateBookingSchema)
@blueprint.response(200, BookingRowsAnswerSchema)
def update_booking(changes: Changes, booking_id: str) -> Answer:
    """Change a booking

    The payment status and the assignee take a permission of their own.
    """
    return {"success": True, "data": [store.update_booking(booking_id, changes)]}


@blueprint.delete("/<booking_id>")
@staff_required("bookings_delete")
@blueprint.response(200, DeletedSchema)
def delete_booking(booking_id: str) -> Answer:
    """Delete a booking that no money is attached to"""
    store.delete_booking(booking_id)
    return {"success": True, "message": "Booking deleted successfully"}


@blueprint.post("/assign")
@staff_required("bookings_reassign")
@blueprint.arguments(AssignSchema)
@blueprint.response(200, BookingRowsAnswerSchema)
def assign_booking(given: Assignment) -> Answer:
    """Assign a booking to a member of staff"""
    changes: Changes = {"assigned_to": given["assigned_to"]}
    return {"success": True, "data": [store.update_booking(given["id"], changes)]}


@blueprint.post("/update-payment")
@staff_required("bookings_update_payment")
@blueprint.arguments(UpdatePaymentSchema)
@blueprint.response(200, BookingRowAnswerSchema)
def update_payment(given: PaymentByHand) -> Answer:
    """Set a payment status by hand

    For money that came another way. Written to the audit log.
    """
    row = store.set_payment_status(given["id"], given["payment_status"], given["amount"])
    return {"success": True, "data": row}


@blueprint.post("/bulk-delete")
@staff_required("bookings_delete")
@blueprint.arguments(BulkDeleteSchema)
@blueprint.response(200, DeletedSchema)
def delete_bookings(given: dict[str, list[str]]) -> Answer:
    """Delete many bookings

    All of them, or none where money is attached to one: 409 `booking_has_payments`.
    """
    count = store.delete_bookings(given["ids"])
    return {"success": True, "message": f"{count} bookings deleted successfully", "deletedCount": count}
