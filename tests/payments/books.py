"""Stripe's books beside ours, to the cent, and what has to follow from the money; asked when all has come to rest."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg

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
        # But where Stripe refused: then staff is told.
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


def theirs(ledger: dict[str, Any]) -> dict[str, Paid]:
    """By intent, what Stripe has taken, sent back and lost to the payer's bank."""
    taken = {charge["payment_intent"]: charge for charge in ledger["charges"] if charge["paid"]}
    disputed: Counter[str] = Counter()
    for dispute in ledger["disputes"]:
        disputed[dispute["payment_intent"]] -= sum(move["amount"] for move in dispute["balance_transactions"])
    found = {}
    for intent, charge in taken.items():
        amount, refunded, withdrawn = charge["amount_captured"], charge["amount_refunded"], disputed[intent]
        left = amount - refunded - withdrawn
        found[intent] = Paid(amount, refunded, withdrawn, max(0, left), "completed" if left > 0 else "refunded")
    return found


def ours(db: psycopg.Connection) -> dict[str, Paid]:
    """By intent, what our transactions say."""
    rows = db.execute(
        "select gateway_payment_id, amount, amount_refunded, amount_withdrawn, amount_left, status from transactions"
        " where gateway = 'stripe' and status in ('completed', 'refunded')"
    ).fetchall()
    return {intent: Paid(*row) for intent, *row in rows}


def compare(ledger: dict[str, Any], db: psycopg.Connection) -> Counter[str]:
    """Both books, payment by payment and in total; the totals. Raises AssertionError where they differ by a cent."""
    stripe, here = theirs(ledger), ours(db)
    differing = {intent: (stripe.get(intent), here.get(intent)) for intent in stripe.keys() ^ here.keys()}
    differing |= {
        intent: (stripe[intent], here[intent]) for intent in stripe.keys() & here if stripe[intent] != here[intent]
    }
    assert not differing, f"(Stripe's, ours): {differing}"
    check_refunds(ledger, db)
    for fault, query in FAULTS.items():
        found = db.execute(query.encode()).fetchall()
        assert not found, f"{fault}: {found[:5]}"
    totals: Counter[str] = Counter(payments=len(here))
    for paid in here.values():
        totals.update({"paid": paid.amount, "refunded": paid.refunded, "withdrawn": paid.withdrawn, "left": paid.left})
    return totals


def check_refunds(ledger: dict[str, Any], db: psycopg.Connection) -> None:
    """Each refund is there once on both sides, of one amount and one fate."""
    made = {refund["id"]: (refund["amount"], refund["status"]) for refund in ledger["refunds"]}
    rows = db.execute("select gateway_refund_id, amount, status from refunds where gateway_refund_id is not null")
    known = {name: (amount, status) for name, amount, status in rows}
    assert known == made, f"refunds differ: {set(known.items()) ^ set(made.items())}"
    asked = Counter(refund["metadata"]["refund_id"] for refund in ledger["refunds"] if refund["metadata"])
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
