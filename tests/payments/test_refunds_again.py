"""The same refund asked again: answered, not made; also where the first answer was lost and more failed in between."""

import pytest

from service.payments.reconciliation import reconcile
from tests.payments.test_refunds import REFUND, refunds


@pytest.fixture
def admin(staff):
    return staff()


def outdate(db, refund_id: str) -> None:
    """Let the last news of a refund be eleven minutes old."""
    with db.transaction():
        db.execute("alter table refunds disable trigger user")
        db.execute(
            "update refunds set updated_at = now() - interval '11 minutes' where gateway_refund_id = %s", [refund_id]
        )
        db.execute("alter table refunds enable trigger user")


def test_what_was_settled_by_the_webhook_is_not_refunded_again(admin, paid, stripe, hook, ledger):
    """Stripe made it and told so, but its answer was lost: the person asks again, as the API says."""
    booking_id, intent = paid()
    body = {"bookingId": booking_id, "reason": "because", "amount": 5000}
    stripe.outage("reset", when="after", path="/v1/refunds")
    admin.api.post(REFUND, body, expect=503)
    stripe.end_outages()
    hook.deliver(intent)
    answer = admin.api.post(REFUND, body)
    assert (answer["amount"], answer["status"], answer["repeated"]) == (5000, "succeeded", True)
    assert refunds(stripe, intent) == [(5000, "succeeded", None)]
    assert ledger.transactions(booking_id) == [("completed", 29999, 5000)]


@pytest.mark.parametrize("amount", [5000, None])
def test_the_same_again_within_ten_minutes_is_answered_and_not_made(admin, paid, stripe, db, amount):
    booking_id, intent = paid()
    body = {"bookingId": booking_id, "reason": "because", "amount": amount}
    first = admin.api.post(REFUND, body)
    assert "repeated" not in first
    assert admin.api.post(REFUND, body) == {**first, "repeated": True}
    assert len(refunds(stripe, intent)) == 1
    outdate(db, first["refundId"])
    admin.api.post(REFUND, body, expect=200 if amount else 404)
    assert len(refunds(stripe, intent)) == (2 if amount else 1)


def test_again_makes_another(admin, paid, stripe):
    booking_id, intent = paid()
    body = {"bookingId": booking_id, "reason": "because", "amount": 5000}
    admin.api.post(REFUND, body)
    assert "repeated" not in admin.api.post(REFUND, {**body, "again": True})
    admin.api.post(REFUND, {**body, "reason": "for something else"})
    assert [amount for amount, *_ in refunds(stripe, intent)] == [5000] * 3


def test_a_refund_that_failed_is_no_answer_to_the_same_again(admin, paid, stripe, hook):
    booking_id, intent = paid()
    stripe.next_refunds("pending", 1)
    body = {"bookingId": booking_id, "reason": "because", "amount": 5000}
    stripe.change_refund(admin.api.post(REFUND, body)["refundId"], "failed")
    hook.deliver(intent)
    assert "repeated" not in admin.api.post(REFUND, body)
    assert [status for _, status, _ in refunds(stripe, intent)] == ["failed", "succeeded"]


def test_a_key_of_the_client_stands_for_one_refund(admin, paid, stripe):
    booking_id, intent = paid()
    body, key = {"bookingId": booking_id, "reason": "because", "amount": 5000}, {"Idempotency-Key": f"key-{booking_id}"}
    first = admin.api.post(REFUND, body, headers=key)
    assert admin.api.post(REFUND, {**body, "again": True}, headers=key) == {**first, "repeated": True}
    answer = admin.api.post(REFUND, {**body, "amount": 6000}, headers=key, expect=409)
    assert answer["code"] == "idempotency_key_reused"
    assert len(refunds(stripe, intent)) == 1
    other = {"Idempotency-Key": f"another-{booking_id}"}
    admin.api.post(REFUND, body, headers=other)  # who names another key means another refund
    assert len(refunds(stripe, intent)) == 2
    admin.api.post(REFUND, body, headers={"Idempotency-Key": ""}, expect=400)


def test_the_payment_may_be_named(admin, paid, hook, stripe, api, db):
    booking_id, first = paid()
    second = stripe.foreign_payment(29999, "usd", {"booking_id": booking_id})["id"]
    hook.deliver(second)
    ids = dict(
        db.execute("select gateway_payment_id, id::text from transactions where booking_id::text = %s", [booking_id])
    )
    body = {"bookingId": booking_id, "reason": "because", "amount": 1000, "transactionId": ids[first]}
    admin.api.post(REFUND, body)
    assert (len(refunds(stripe, first)), len(refunds(stripe, second))) == (1, 0)
    admin.api.post(REFUND, {**body, "transactionId": "6f1c4c0e-0000-4000-8000-000000000000"}, expect=404)
    admin.api.post(REFUND, {**body, "transactionId": "first"}, expect=400)


@pytest.mark.parametrize(
    ("trouble", "answer"), [(429, 503), (400, 502), (401, 502), (403, 502), (500, 502), (502, 502)]
)
def test_trouble_while_looking_for_a_lost_refund_is_no_refusal(admin, paid, stripe, hook, ledger, trouble, answer):
    booking_id, intent = paid()
    body = {"bookingId": booking_id, "reason": "because", "amount": 5000}
    stripe.outage("reset", when="after", path="/v1/refunds", method="POST")
    admin.api.post(REFUND, body, expect=503)
    stripe.end_outages()
    stripe.outage("error", path="/v1/refunds", status=trouble)
    admin.api.post(REFUND, body, expect=answer)
    stripe.end_outages()
    admin.api.post(REFUND, body)
    hook.deliver(intent)
    assert refunds(stripe, intent) == [(5000, "succeeded", None)]
    assert ledger.transactions(booking_id) == [("completed", 29999, 5000)]


def test_what_we_took_for_failed_and_stripe_made_counts(admin, paid, stripe, hook, db, ledger):
    booking_id, intent = paid()
    stripe.outage("reset", when="after", path="/v1/refunds")
    admin.api.post(REFUND, {"bookingId": booking_id, "reason": "because", "amount": 5000}, expect=503)
    stripe.end_outages()
    db.execute("update refunds set status = 'failed', failed_at = now() where status = 'reserved'")
    hook.deliver(intent)
    assert ledger.transactions(booking_id) == [("completed", 29999, 5000)]


def test_another_reason_takes_nothing_over(admin, paid, stripe):
    booking_id, intent = paid()
    body = {"bookingId": booking_id, "reason": "because", "amount": 5000}
    stripe.outage("reset")
    admin.api.post(REFUND, body, expect=503)
    stripe.end_outages()
    answer = admin.api.post(REFUND, {**body, "reason": "for something else"}, expect=409)
    assert answer["code"] == "refund_in_progress"
    admin.api.post(REFUND, body)
    assert len(refunds(stripe, intent)) == 1


def test_after_a_long_outage_the_same_again_is_answered(admin, paid, stripe, settle, db):
    """Asked at once and at minute 12; the worker makes it; asked once more."""
    booking_id, intent = paid()
    body = {"bookingId": booking_id, "reason": "because", "amount": 5000}
    stripe.outage("reset")
    admin.api.post(REFUND, body, expect=503)
    db.execute("update refunds set created_at = now() - interval '12 minutes' where status = 'reserved'")
    admin.api.post(REFUND, body, expect=503)
    stripe.end_outages()
    db.execute("select claim_payment_work('{stripe}', 0)")
    db.execute("update refunds set lease_until = now() where status = 'reserved'")
    assert admin.api.post(REFUND, body)["amount"] == 5000
    assert admin.api.post(REFUND, body)["repeated"] is True
    assert len(refunds(stripe, intent)) == 1


def test_what_fails_while_nobody_waits_is_told(app, admin, paid, stripe, db):
    booking_id, intent = paid()
    stripe.outage("reset")
    admin.api.post(REFUND, {"bookingId": booking_id, "reason": "because"}, expect=503)
    stripe.end_outages()
    stripe.dispute(intent)
    with app.app_context():
        reconcile()
    told = db.execute(
        "select data ->> 'message' from email_outbox where recipient = %s and data ->> 'subject' = 'A refund failed'",
        [admin.email],
    ).fetchall()
    assert len(told) == 1 and booking_id in told[0][0]
