"""What staff does about payments on the page /staff/payments: see what needs a person, mend it, take the list along."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain
from pathlib import Path

from flask import Response, stream_with_context

from service import staff_pages
from service.api import Answer
from service.guards import staff_required
from service.payments import blueprint, reconciliation, store
from service.payments.schemas import DeskSchema, PeriodSchema, ReconciledSchema, ReplayedSchema
from service.payments.shapes import ExportedTransaction, Period
from service.people import current_staff

COLUMNS: dict[str, str] = {
    "id": "Transaction",
    "created_at": "Begun (UTC)",
    "completed_at": "Paid (UTC)",
    "status": "Status",
    "currency": "Currency",
    "amount": "Amount",
    "amount_refunded": "Refunded",
    "amount_withdrawn": "Taken by disputes",
    "amount_left": "Kept",
    "payment_method": "Paid by",
    "gateway": "Gateway",
    "gateway_payment_id": "Gateway's id",
    "failure_code": "Failed because",
    "review_reason": "Flag",
    "dispute_status": "Dispute",
    "booking_id": "Booking",
    "name": "Name",
    "email": "E-mail",
    "package": "Package",
}
COUNTS = dict.fromkeys(("payments", "refunds", "events", "errors", "waiting", "unmatched"), 0)

staff_pages.add_page("payments", Path(__file__).with_name("desk.html"))


@blueprint.get("/desk")
@staff_required("bookings_view")
@blueprint.response(200, DeskSchema)
def get_desk() -> Answer:
    """Tell what of the payments needs a person

    And who asks, with the permissions that the role has.
    """
    return {"staff": current_staff(), **store.get_desk()}


@blueprint.post("/events/<event_id>/replay")
@staff_required("bookings_edit")
@blueprint.response(200, ReplayedSchema)
def replay_event(event_id: str) -> Answer:
    """Apply an event of the gateway again

    From what was kept of it here, else as its gateway has it (Stripe, PayPal: 30 days). Safe twice. 404
    `event_not_found`.
    """
    return {"verdict": reconciliation.replay_by_id(event_id)}


@blueprint.post("/reconcile")
@staff_required("bookings_edit")
@blueprint.response(200, ReconciledSchema)
def reconcile() -> Answer:
    """Ask the gateway about everything unsettled

    What the worker does every 10 minutes. Safe at any time, also twice at once.
    """
    return {**COUNTS, **reconciliation.reconcile()}


@blueprint.get("/transactions.csv")
@staff_required("bookings_view", "bookings_export")
@blueprint.arguments(PeriodSchema, location="query")
@blueprint.response(200, content_type="text/csv", description="The table, as a file")
def export_transactions(period: Period) -> Response:
    """Export the transactions begun in a period

    As CSV that Excel opens: UTF-8 with its mark, commas, amounts in currency units, times in UTC. At most 100,000
    rows, else 400 `export_too_large`.
    """
    pages = store.export_transactions(period)
    first = next(pages)  # what is refused is answered as such; later failures cut the file, which browsers tell
    response = Response(stream_with_context(_csv(chain([first], pages))), mimetype="text/csv")
    days = (period["from_"].date(), (period["to"] - timedelta(microseconds=1)).date())
    response.headers["Content-Disposition"] = 'attachment; filename="transactions-{}-to-{}.csv"'.format(*days)
    response.headers["Cache-Control"] = "no-store"
    return response


def _csv(pages: Iterable[list[ExportedTransaction]]) -> Iterator[bytes]:
    yield b"\xef\xbb\xbf" + _lines([list(COLUMNS.values())])
    for page in pages:
        rows: list[dict[str, object]] = [{**transaction} for transaction in page]
        yield _lines([[_cell(row[name]) for name in COLUMNS] for row in rows])


def _cell(value: object) -> str:
    """Text that no spreadsheet takes for a formula: owasp.org/www-community/attacks/CSV_Injection."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _lines(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
