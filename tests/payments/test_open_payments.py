"""What becomes of a payment page that somebody has open, and of one that nobody comes back to."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from devstack.stripe import Control, wait_for
from tests.factories import make_booking
from tests.site.callers import cookie
from tools.stack import Stack

CREATE = "/api/payments/create-payment-intent"


@pytest.fixture
def opened(api, book) -> Callable[..., tuple[str, str]]:
    """Makes a booking whose payment page is open; (booking id, intent)."""

    def make(**columns: Any) -> tuple[str, str]:
        booking_id = book(**columns)
        return booking_id, api.post(CREATE, {"bookingId": booking_id})["paymentIntentId"]

    return make


CHANGES = {
    "cancelled": {"status": "Cancelled"},
    "repriced": {"amount": 350},
    "noted as paid": {"payment_status": "Paid"},
}


@pytest.mark.parametrize("change", list(CHANGES.values()), ids=list(CHANGES))
@pytest.mark.parametrize("door", ["api", "rest"])
def test_what_staff_changes_closes_the_open_page(api, staff, stripe, settle, opened, ledger, change, door):
    booking_id, intent = opened()
    admin = staff()
    if door == "api":
        admin.api.patch(f"/api/bookings/{booking_id}", change)
    else:
        api.call("PATCH", f"/rest/v1/bookings?id=eq.{booking_id}", json=change, headers=cookie(admin), expect=204)
    assert ledger.transactions(booking_id)[0] == ("failed", 29999, 0)
    assert ledger.booking(booking_id)[0] == ("Paid" if "payment_status" in change else "Pending")
    settle()
    assert stripe.get(intent)["status"] == "canceled"


def test_a_change_that_leaves_the_price_leaves_the_page(staff, stripe, settle, opened):
    booking_id, intent = opened()
    staff().api.patch(f"/api/bookings/{booking_id}", {"amount": 299.99, "notes": "called", "status": "Confirmed"})
    settle()
    assert stripe.get(intent)["status"] == "requires_payment_method"


def test_what_is_paid_in_the_moment_of_repricing_is_kept_and_flagged(db, stripe, settle, hook, opened, ledger):
    booking_id, intent = opened()
    stripe.confirm(intent)
    db.execute("update bookings set amount = 350 where id::text = %s", [booking_id])
    settle()  # it cannot be canceled any more
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]
    query = "select needs_review, review_reason from transactions where booking_id::text = %s"
    assert db.execute(query, [booking_id]).fetchall() == [(True, "amount_mismatch")]
    hook.deliver(intent)
    settle()
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]


def test_a_bank_debit_of_a_booking_cancelled_meanwhile_goes_back_when_it_comes(
    db, stripe, settle, hook, opened, ledger
):
    booking_id, intent = opened()
    stripe.confirm(intent, "pm_usBankAccount_processing")
    hook.deliver(intent)
    db.execute("update bookings set status = 'Cancelled' where id::text = %s", [booking_id])
    settle()
    assert ledger.transactions(booking_id) == [("processing", 29999, 0)]
    stripe.settle(intent)
    hook.deliver(intent)
    settle()
    assert ledger.transactions(booking_id) == [("refunded", 29999, 29999)]


def test_an_automatic_refund_that_stripe_refuses_is_told_to_staff(db, staff, stripe, settle, hook, opened):
    admin = staff()
    booking_id, intent = opened()
    db.execute("update bookings set status = 'Cancelled' where id::text = %s", [booking_id])
    stripe.confirm(intent)
    hook.deliver(intent, "payment_intent.succeeded")
    stripe.dispute(intent)  # a disputed charge cannot be refunded
    settle()
    found = db.execute(
        "select data ->> 'message' from email_outbox where recipient = %s and data ->> 'subject' = 'A refund failed'",
        [admin.email],
    ).fetchall()
    assert any(booking_id in message for (message,) in found)


@pytest.mark.parametrize("change", list(CHANGES.values()), ids=list(CHANGES))
def test_a_bank_debit_that_fails_after_the_change_leaves_no_page_open(
    staff, stripe, settle, hook, opened, ledger, change
):
    booking_id, intent = opened()
    stripe.confirm(intent, "pm_usBankAccount_processing")
    hook.deliver(intent)
    staff().api.patch(f"/api/bookings/{booking_id}", change)
    assert ledger.transactions(booking_id)[0] == ("processing", 29999, 0)
    stripe.settle(intent, "failed")
    hook.deliver(intent)
    assert "payment-failed" not in ledger.mails(booking_id)
    settle()
    assert stripe.get(intent)["status"] == "canceled"


@pytest.mark.parametrize("card", ["pm_usBankAccount_processing", "pm_card_authenticationRequired"])
def test_while_one_is_under_way_no_second_is_handed_out(api, stripe, opened, ledger, card):
    """Its event has not come yet."""
    booking_id, intent = opened()
    stripe.confirm(intent, card)
    answer = api.post(CREATE, {"bookingId": booking_id}, expect=409)
    assert (answer["code"], api.last.headers["Retry-After"]) == ("payment_processing", "60")
    assert len(ledger.transactions(booking_id)) == 1


def test_one_that_was_left_at_the_banks_question_is_taken_back_after_ten_minutes(api, db, stripe, opened, ledger):
    booking_id, intent = opened()
    stripe.confirm(intent, "pm_card_authenticationRequired")
    since = "update transactions set unconfirmed_at = unconfirmed_at - interval '9 minutes' where booking_id::text = %s"
    for _ in range(2):  # seen just now, and nine minutes ago
        api.post(CREATE, {"bookingId": booking_id}, expect=409)
        db.execute(since, [booking_id])
    assert api.post(CREATE, {"bookingId": booking_id})["paymentIntentId"] != intent
    assert stripe.get(intent)["status"] == "canceled"


def test_a_superseded_one_that_is_being_processed_keeps_a_second_away(api, db, stripe, hook, opened):
    booking_id, intent = opened()
    db.execute("update bookings set amount = 350 where id::text = %s", [booking_id])
    stripe.confirm(intent, "pm_usBankAccount_processing")
    assert api.post(CREATE, {"bookingId": booking_id}, expect=409)["code"] == "payment_processing"
    assert api.post(CREATE, {"bookingId": booking_id}, expect=409)["code"] == "payment_processing"
    stripe.settle(intent, "failed")
    hook.deliver(intent)
    assert api.post(CREATE, {"bookingId": booking_id})["amount"] == 35000


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [("status = 'Cancelled'", 409, "booking_cancelled"), ("amount = 350", 400, "amount_mismatch")],
)
def test_a_key_of_the_client_does_not_outlive_the_booking(api, db, book, change, status, code):
    booking_id = book()
    body, key = {"bookingId": booking_id, "amount": 29999}, {"Idempotency-Key": f"key-{booking_id}"}
    api.post(CREATE, body, headers=key)
    db.execute(f"update bookings set {change} where id::text = %s", [booking_id])
    assert api.post(CREATE, body, headers=key, expect=status)["code"] == code


# --- nobody comes back


def test_an_abandoned_one_is_canceled_after_a_day(api, db, stripe, settle, opened, ledger):
    booking_id, intent = opened()
    stripe.confirm(intent, "pm_card_chargeDeclined")
    age = "update transactions set created_at = now() - interval '%s hours' where booking_id::text = %s"
    db.execute(age % (23, "%s"), [booking_id])
    settle()
    assert stripe.get(intent)["status"] == "requires_payment_method"
    db.execute(age % (25, "%s"), [booking_id])
    settle()
    assert stripe.get(intent)["status"] == "canceled"
    assert ledger.booking(booking_id) == ("Pending", "Pending")
    assert api.post(CREATE, {"bookingId": booking_id})["paymentIntentId"] != intent


def test_the_worker_waits_for_no_booking_that_somebody_is_at(stack, db, settle, stripe, opened):
    """It takes the booking before its payment, as everybody does, so that nobody waits in a circle."""
    booking_id, intent = opened()
    db.execute(
        "update transactions set created_at = now() - interval '25 hours' where booking_id::text = %s", [booking_id]
    )
    with psycopg.connect(stack.postgres.uri()) as other:
        other.execute("select from bookings where id::text = %s for update", [booking_id])
        settle()
        assert stripe.get(intent)["status"] == "requires_payment_method"
        other.execute("update transactions set metadata = metadata where booking_id::text = %s", [booking_id])
    settle()
    assert stripe.get(intent)["status"] == "canceled"


@pytest.mark.parametrize("is_declined", [False, True])
def test_a_booking_that_was_never_paid_can_be_deleted(staff, db, stripe, hook, settle, opened, is_declined):
    booking_id, intent = opened()
    if is_declined:
        stripe.confirm(intent, "pm_card_chargeDeclined")
        hook.deliver(intent)
    staff().api.delete(f"/api/bookings/{booking_id}")
    settle()
    assert stripe.get(intent)["status"] == "canceled"
    query = "select booking_id, status from transactions where gateway_payment_id = %s"
    assert db.execute(query, [intent]).fetchall() == [(None, "failed")]


def test_what_is_paid_for_a_booking_deleted_meanwhile_goes_back(staff, db, stripe, hook, settle, opened):
    booking_id, intent = opened()
    stripe.confirm(intent)
    admin = staff()
    admin.api.delete(f"/api/bookings/{booking_id}")
    hook.deliver(intent)
    settle()
    query = "select id::text, status, amount_left from transactions where gateway_payment_id = %s"
    ((transaction_id, *found),) = db.execute(query, [intent]).fetchall()
    assert found == ["refunded", 0]
    detail = admin.api.get(f"/api/payments/transactions/{transaction_id}")
    assert (detail["bookings"], detail["booking_id"]) == (None, None)
    assert transaction_id in [
        row["id"] for row in admin.api.get("/api/payments/transactions?limit=100")["transactions"]
    ]


@pytest.mark.parametrize("status", ["processing", "completed", "refunded"])
def test_a_booking_with_money_is_not_deleted_by_any_door(api, staff, stripe, hook, opened, status):
    booking_id, intent = opened()
    stripe.confirm(intent, "pm_usBankAccount_processing" if status == "processing" else "pm_card_visa")
    if status == "refunded":
        stripe.refund(intent)
    hook.deliver(intent)
    admin = staff()
    for answer in (
        admin.api.delete(f"/api/bookings/{booking_id}", expect=409),
        api.call("DELETE", f"/rest/v1/bookings?id=eq.{booking_id}", headers=cookie(admin), expect=409),
    ):
        assert "Nothing was deleted" in (answer.get("error") or answer["message"])


# --- many at once


@pytest.fixture
def two_workers(served: Stack):
    stripe = Control(served.url("stripe"))
    with stripe.http, psycopg.connect(served.postgres.uri(), autocommit=True) as db:
        yield served, stripe, db


@pytest.mark.parametrize("seconds", [0, 1, 5])
def test_twenty_at_once_get_the_same_intent_however_slow_stripe_is(two_workers, seconds):
    served, stripe, db = two_workers
    booking_id = make_booking(db)
    stripe.outage("delay", path="/v1/payment_intents", seconds=seconds)

    def create(_: int) -> tuple[int, str]:
        with httpx.Client(base_url=served.url("service"), timeout=40) as http:
            answer = http.post(CREATE, json={"bookingId": booking_id})
            return answer.status_code, answer.json().get("clientSecret", answer.text)

    try:
        with ThreadPoolExecutor(20) as people:
            answers = set(people.map(create, range(20)))
    finally:
        stripe.end_outages()
    assert len(answers) == 1 and {status for status, _ in answers} == {200}, answers
    assert (
        len([one for one in stripe.ledger()["payment_intents"] if one["metadata"].get("booking_id") == booking_id]) == 1
    )


def test_the_worker_cancels_within_seconds(two_workers):
    served, stripe, db = two_workers
    booking_id = make_booking(db)
    with httpx.Client(base_url=served.url("service"), timeout=20) as http:
        intent = http.post(CREATE, json={"bookingId": booking_id}).json()["paymentIntentId"]
    db.execute("update bookings set status = 'Cancelled' where id::text = %s", [booking_id])
    wait_for(lambda: stripe.get(intent)["status"] == "canceled", 15, "it stays payable")
