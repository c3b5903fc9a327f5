"""The gateways' books beside ours, to the cent, and what has to follow from the money; asked when all is at rest."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import psycopg

from devstack.gateway import Control
from tests.sure import fetch_row


class Paid(NamedTuple):
    """A payment that was paid, in minor units."""

    amount: int
    refunded: int
    withdrawn: int
    left: int
    status: str


STANDING = "t.status = 'completed' and coalesce(t.review_reason, 'dispute') in ('dispute', 'double_payment')"
OPEN = "t.status in ('pending', 'failed') and t.canceled_at is null and t.gateway <> 'manual'"
AUDIT = "transaction_audit_logs a join transactions t on t.id = a.transaction_id"
# What is wrong: a query that finds where. Of all that was ever done, not of one booking alone.
FAULTS = {
    "an event waits": "select id from gateway_events where state <> 'processed'",
    "a refund waits": "select id from refunds where status in ('reserved', 'pending')",
    "a superseded payment can still be paid": (
        f"select t.id from transactions t where {OPEN} and cancel_requested_at is not null"
        " and gateway_payment_id is not null"
    ),
    "a page is open for what is not for sale": (
        f"select t.id from transactions t left join bookings b on b.id = t.booking_id where {OPEN}"
        " and cancel_requested_at is null and (b.id is null or b.status = 'Cancelled' or t.amount <> b.amount * 100)"
    ),
    "two payments stand and nobody is told": (
        f"select t.booking_id from transactions t where {STANDING} group by 1 having count(*) > 1"
        " and not (bool_and(t.review_reason is not null) and bool_or(t.review_reason = 'double_payment'))"
    ),
    "one payment stands and is called two": (
        "select t.booking_id from transactions t group by 1"
        f" having count(*) filter (where {STANDING}) = 1"
        f" and bool_or({STANDING} and t.review_reason = 'double_payment')"
    ),
    "what was paid for a cancelled booking was kept": (
        "select t.id from transactions t where t.status = 'completed'"
        " and (t.booking_id is null or t.review_reason = 'booking_cancelled')"
        # But where the gateway refused: then staff is told.
        " and not exists (select from refunds r join disputes d using (transaction_id)"
        "   where r.transaction_id = t.id and r.requested_by = 'automatic' and r.status = 'failed')"
    ),
    "money went back by itself twice": (
        "select transaction_id from refunds where requested_by = 'automatic' group by 1 having count(*) > 1"
    ),
    "an open or lost dispute is not flagged": (
        "select t.id from transactions t join disputes d on d.transaction_id = t.id"
        " where (d.outcome is null or d.outcome = 'lost') and t.review_reason is null"
    ),
    "the audit log has a gap": (
        "select id from (select a.*, lag(new_status) over (partition by transaction_id order by id) as before"
        " from transaction_audit_logs a) told where old_status is distinct from before"
    ),
    "the audit log ends elsewhere than the payment": (
        f"select t.id from (select distinct on (t.id) t.*, a.new_status as s, a.amount as m, a.amount_refunded as r,"
        f" a.amount_withdrawn as w, a.review_reason as v from {AUDIT} order by t.id, a.id desc) t"
        " where (status, amount, amount_refunded, amount_withdrawn) <> (s, m, r, w) or review_reason is distinct from v"
    ),
    "a payment has no audit log": (
        "select id from transactions t"
        " where not exists (select from transaction_audit_logs where transaction_id = t.id)"
    ),
    "a payment was completed more than once, or by nobody": (
        "select t.id from transactions t"
        " where t.status in ('completed', 'refunded') and t.gateway <> 'manual' and 1 <> ("
        " select count(*) from transaction_audit_logs a where a.transaction_id = t.id"
        " and a.old_status in ('pending', 'processing', 'failed') and a.new_status = 'completed')"
    ),
    "a dispute has no audit row": (
        "select d.id from disputes d where not exists (select from transaction_audit_logs a"
        " where a.transaction_id = d.transaction_id and a.reason like 'Dispute ' || d.gateway_dispute_id || '%%')"
    ),
}


def theirs(control: Control) -> dict[str, Paid]:
    """By payment, what a gateway has taken, sent back and lost to the payer's bank."""
    found = {}
    for payment_id, book in control.books().items():
        if amount := book["paid"]:
            left = amount - book["refunded"] - book["withdrawn"]
            status = "completed" if left > 0 else "refunded"
            found[payment_id] = Paid(amount, book["refunded"], book["withdrawn"], max(0, left), status)
    return found


def ours(db: psycopg.Connection, gateway: str) -> dict[str, Paid]:
    """By payment, what our transactions say."""
    rows = db.execute(
        "select gateway_payment_id, amount, amount_refunded, amount_withdrawn, amount_left, status from transactions"
        " where gateway = %s and status in ('completed', 'refunded')",
        [gateway],
    ).fetchall()
    return {payment_id: Paid(*row) for payment_id, *row in rows}


def compare(gateways: Mapping[str, Control], db: psycopg.Connection) -> dict[str, Counter[str]]:
    """All books, payment by payment; the totals by gateway. Raises AssertionError where they differ by a cent."""
    totals = {name: compare_gateway(name, control, db) for name, control in gateways.items()}
    for fault, query in FAULTS.items():
        found = db.execute(query.encode()).fetchall()
        assert not found, f"{fault}: {found[:5]}"
    return totals


def compare_gateway(name: str, control: Control, db: psycopg.Connection) -> Counter[str]:
    there, here = theirs(control), ours(db, name)
    known = there.keys() | here.keys()
    differing = {one: (there.get(one), here.get(one)) for one in known if there.get(one) != here.get(one)}
    assert not differing, f"({name}'s, ours): {differing}"
    check_refunds(name, control, db)
    totals: Counter[str] = Counter(payments=len(here))
    for paid in here.values():
        totals.update({"paid": paid.amount, "refunded": paid.refunded, "withdrawn": paid.withdrawn, "left": paid.left})
    return totals


def check_refunds(name: str, control: Control, db: psycopg.Connection) -> None:
    """Each refund is there once on both sides, of one amount and one fate."""
    refunds = control.refunds()
    made = {refund["id"]: (refund["amount"], refund["status"]) for refund in refunds}
    rows = db.execute(
        "select gateway_refund_id, amount, status from refunds where gateway = %s and gateway_refund_id is not null",
        [name],
    )
    known = {refund_id: (amount, status) for refund_id, amount, status in rows}
    assert known == made, f"refunds differ: {set(known.items()) ^ set(made.items())}"
    asked = Counter(refund["reference"] for refund in refunds if refund["reference"])
    assert max(asked.values(), default=1) == 1, "a refund was made twice"


class Booking(NamedTuple):
    """What one booking may have come to: its prices, the first refunds asked for, when staff changed it."""

    id: str
    prices: Iterable[int]
    refunds_asked: int = 0
    changed_at: float | None = None


def check_booking(db: psycopg.Connection, booking: Booking) -> str | None:
    """The booking follows its payments, by the rules at the head of transactions.sql; its payment_status."""
    payments = db.execute(
        "select status, review_reason, amount, gateway, (select extract(epoch from min(a.created_at))"
        "   from transaction_audit_logs a where a.transaction_id = t.id and a.new_status = 'completed')"
        " from transactions t where booking_id::text = %s",
        [booking.id],
    ).fetchall()
    row = db.execute("select payment_status, status from bookings where id::text = %s", [booking.id]).fetchone()
    if row is None:
        assert not payments, f"{booking} is gone and has payments: {payments}"
        return None
    assert row[0] in payment_statuses(payments), (booking, row, payments)
    assert row[1] != "Pending" or row[0] != "Paid", (booking, row)
    for status, review, amount, gateway, completed_at in payments:
        if status in ("completed", "refunded") and gateway != "manual":
            assert amount in booking.prices, (booking, amount)
            is_late = booking.changed_at is not None and completed_at > booking.changed_at
            wanted = "booking_cancelled" if row[1] == "Cancelled" else "amount_mismatch"
            is_odd = row[1] == "Cancelled" or amount != list(booking.prices)[-1]
            assert not (is_late and is_odd) or review == wanted, (booking, row, payments)
    check_consequences(db, booking, row)
    return str(row[0])


def payment_statuses(payments: list[Any]) -> set[str]:
    """What payment_status may be beside such transactions: Failed and Pending are told apart by the model elsewhere."""
    if any(status == "completed" and review != "amount_mismatch" for status, review, *_ in payments):
        return {"Paid"}
    statuses = [status for status, *_ in payments]
    if "refunded" in statuses and "completed" not in statuses:
        return {"Refunded"}
    return {"Pending", "Failed"}


def check_consequences(db: psycopg.Connection, booking: Booking, row: Any) -> None:
    """One mail that confirms it, and no more refunds than staff asked for."""
    if row[1] != "Cancelled":
        told = "select count(*) from email_outbox where template = 'booking-confirmed' and booking_id::text = %s"
        assert fetch_row(db, told, [booking.id])[0] == (row[1] == "Confirmed"), (booking, row)
    made = (
        "select count(*) from refunds r join transactions t on t.id = r.transaction_id where t.booking_id::text = %s"
        " and r.requested_by like '%%@%%' and r.status = 'succeeded'"
    )
    assert fetch_row(db, made, [booking.id])[0] <= booking.refunds_asked, f"{booking}: refunded more often than asked"
