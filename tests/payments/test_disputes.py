"""Disputes: rows of their own, in any order of news; money that the bank took is not kept money."""

import itertools
import time
from typing import Any

import psycopg
import pytest

from service.payments.store import list_work
from tests.client import Client
from tests.factories import Customer

CREATE = "/api/payments/create-payment-intent"


def disputes(db: psycopg.Connection, booking_id: str) -> list[tuple[str, str | None, int, int]]:
    """(status, outcome, amount withdrawn, amount reinstated), oldest first."""
    query = (
        "select d.status, d.outcome, d.amount_withdrawn, d.amount_reinstated from disputes d"
        " join transactions t on t.id = d.transaction_id where t.booking_id::text = %s order by d.created_at, d.id"
    )
    return db.execute(query, [booking_id]).fetchall()


def money(db: psycopg.Connection, booking_id: str) -> tuple[Any, ...]:
    """(status, amount withdrawn, amount left, review reason) of the booking's one transaction."""
    query = "select status, amount_withdrawn, amount_left, review_reason from transactions where booking_id::text = %s"
    (row,) = db.execute(query, [booking_id]).fetchall()
    return row


def test_an_inquiry_takes_no_money_and_a_chargeback_takes_it(stripe, paid, hook, db, ledger):
    booking_id, intent = paid()
    dispute = stripe.dispute(intent, inquiry=True)["id"]
    hook.deliver(intent)
    assert disputes(db, booking_id) == [("warning_needs_response", None, 0, 0)]
    assert money(db, booking_id) == ("completed", 0, 29999, "dispute")
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    stripe.escalate(dispute)
    hook.deliver(intent)
    assert disputes(db, booking_id) == [("needs_response", None, 29999, 0)]
    assert money(db, booking_id) == ("refunded", 29999, 0, "dispute")
    assert ledger.booking(booking_id) == ("Refunded", "Confirmed")


def test_an_inquiry_that_comes_to_nothing_clears_its_flag(stripe, paid, hook, db):
    booking_id, intent = paid()
    stripe.close_dispute(stripe.dispute(intent, inquiry=True)["id"], "warning_closed")
    hook.deliver(intent)
    assert disputes(db, booking_id) == [("warning_closed", "dropped", 0, 0)]
    assert money(db, booking_id) == ("completed", 0, 29999, None)


def test_what_is_won_is_paid_again_and_the_flag_goes(stripe, paid, hook, db, ledger):
    booking_id, intent = paid()
    dispute = stripe.dispute(intent)["id"]
    stripe.respond(dispute)
    hook.deliver(intent)
    stripe.close_dispute(dispute, "won")
    hook.deliver(intent)
    assert disputes(db, booking_id) == [("won", "won", 29999, 29999)]
    assert money(db, booking_id) == ("completed", 0, 29999, None)
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


@pytest.mark.parametrize(("first", "then", "left"), [("lost", "won", 29999), ("won", "lost", 0)])
def test_an_appeal_turns_it(stripe, paid, hook, db, ledger, first, then, left):
    booking_id, intent = paid()
    dispute = stripe.dispute(intent)["id"]
    stripe.close_dispute(dispute, first)
    hook.deliver(intent)
    time.sleep(1.1)  # times are whole seconds there, and no bank decides twice in one
    stripe.appeal(dispute, then)
    hook.deliver(intent)
    ((status, outcome, taken, given),) = disputes(db, booking_id)
    assert (status, outcome, taken - given) == (then, then, 29999 - left)
    assert ledger.booking(booking_id)[0] == ("Paid" if left else "Refunded")


def test_a_second_dispute_is_another_row(stripe, paid, hook, db):
    booking_id, intent = paid()
    stripe.close_dispute(stripe.dispute(intent, amount=10000)["id"], "lost")
    stripe.dispute(intent, amount=5000, reason="duplicate")
    hook.deliver(intent)
    assert sorted(disputes(db, booking_id)) == [("lost", "lost", 10000, 0), ("needs_response", None, 5000, 0)]
    assert money(db, booking_id) == ("completed", 15000, 14999, "dispute")


def test_every_order_of_a_disputes_news_ends_alike(stripe, paid, hook, db, ledger):
    """All 120 orders of created, withdrawn, updated, reinstated and closed, each for a payment of its own."""
    for order in itertools.permutations(range(5)):
        booking_id, intent = paid()
        dispute = stripe.dispute(intent)["id"]
        stripe.respond(dispute)
        stripe.close_dispute(dispute, "won")
        events = [event for event in hook.events(intent) if event["type"].startswith("charge.dispute.")]
        assert len(events) == 5
        for number in order:
            hook.send(events[number])
        assert disputes(db, booking_id) == [("won", "won", 29999, 29999)], order
        assert money(db, booking_id) == ("completed", 0, 29999, None), order


def test_each_change_is_an_audit_row_and_a_mail_with_the_deadline(stripe, paid, hook, db, ledger, staff):
    admin = staff("Support")
    booking_id, intent = paid()
    dispute = stripe.dispute(intent)["id"]
    hook.deliver(intent)
    stripe.close_dispute(dispute, "lost")
    hook.deliver(intent)
    hook.deliver(intent)
    (row,) = admin.api.get(f"/api/payments/transactions?bookingId={booking_id}")["transactions"]
    detail = admin.api.get(f"/api/payments/transactions/{row['id']}")
    reasons = [log["reason"] for log in detail["transaction_audit_logs"]]
    told = [
        f"Dispute {dispute} of 299.99 USD: needs response",
        f"Dispute {dispute} of 299.99 USD: needs response, the money was taken",
        f"Dispute {dispute} of 299.99 USD: lost",
    ]
    assert [reason for reason in dict.fromkeys(reasons) if reason and reason.startswith("Dispute")] in (told, told[1:])
    assert [(one["status"], one["outcome"], one["amount_withdrawn"]) for one in detail["disputes"]] == [
        ("lost", "lost", 29999)
    ]
    mails = db.execute(
        "select data ->> 'message', data ->> 'transaction_id' from email_outbox"
        " where recipient = %s and data ->> 'subject' = 'A payment is disputed' order by created_at",
        [admin.email],
    ).fetchall()
    assert {transaction_id for _, transaction_id in mails} == {row["id"]}
    assert "Please answer it in the gateway's dashboard until 20" in mails[0][0]
    assert mails[-1][0].endswith("The money is gone, unless an appeal is won.")


def test_a_lost_dispute_is_no_income_and_no_points(customer: Customer, stripe, paid, hook, db):
    def totals() -> tuple[float, int]:
        query = "select total_spent::float, loyalty_points from customers where id = %s"
        (row,) = db.execute(query, [customer.id]).fetchall()
        return row

    _, intent = paid(customer_id=customer.id)
    assert totals() == (299.99, 29)
    dispute = stripe.dispute(intent)["id"]
    hook.deliver(intent)
    assert totals() == (0, 0)
    stripe.close_dispute(dispute, "won")
    hook.deliver(intent)
    assert totals() == (299.99, 29)


def test_while_it_is_open_nobody_pays_again(api: Client, stripe, paid, hook):
    booking_id, intent = paid()
    dispute = stripe.dispute(intent)["id"]
    hook.deliver(intent)
    assert api.post(CREATE, {"bookingId": booking_id}, expect=409)["code"] == "payment_disputed"
    stripe.close_dispute(dispute, "lost")
    hook.deliver(intent)
    assert api.post(CREATE, {"bookingId": booking_id})["amount"] == 29999


def test_won_after_it_was_paid_anew_is_a_double_payment(api: Client, stripe, paid, hook, db, ledger):
    booking_id, intent = paid()
    dispute = stripe.dispute(intent)["id"]
    stripe.close_dispute(dispute, "lost")
    hook.deliver(intent)
    again = api.post(CREATE, {"bookingId": booking_id})["paymentIntentId"]
    stripe.confirm(again)
    hook.deliver(again)
    stripe.appeal(dispute, "won")
    hook.deliver(intent)
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)] * 2
    query = "select review_reason from transactions where booking_id::text = %s"
    assert db.execute(query, [booking_id]).fetchall() == [("double_payment",)] * 2


def test_what_is_disputed_of_another_payment_is_none_of_ours(app, stripe, hook, db):
    charge = stripe.foreign_charge(5000, "usd")["id"]
    stripe.dispute(charge)
    for event in hook.events(charge):
        assert hook.send(event) == {"received": True}
    with app.app_context():
        assert not {event["id"] for event in list_work(["stripe"], [])["events"]} & {
            event["id"] for event in hook.events(charge)
        }
