"""Refunds: never more than was taken, exactly as often as asked, and as the gateway says."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from service.errors import Unavailable
from service.payments import store
from tests.client import Client

REFUND = "/api/payments/refund"


@pytest.fixture
def admin(staff):
    return staff()


def refunds(stripe, intent: str) -> list[tuple[int, str, str | None]]:
    """(amount, status, reason) of Stripe's refunds of a payment, oldest first."""
    made = [one for one in stripe.ledger()["refunds"] if one["payment_intent"] == intent]
    return [(one["amount"], one["status"], one["reason"]) for one in sorted(made, key=lambda one: one["created"])]


def test_a_refund_of_all_ends_in_refunded(admin, paid, stripe, hook, ledger):
    booking_id, intent = paid()
    answer = admin.api.post(REFUND, {"bookingId": booking_id, "reason": "They fell ill,\nboth of them"})
    (made,) = [one for one in stripe.ledger()["refunds"] if one["payment_intent"] == intent]
    assert answer == {"success": True, "refundId": made["id"], "amount": 29999, "status": "succeeded"}
    assert (made["reason"], list(made["metadata"])) == (None, ["refund_id"])
    hook.deliver(intent)
    assert ledger.booking(booking_id) == ("Refunded", "Confirmed")
    assert ledger.audit(booking_id)[-1] == ("completed", "refunded", admin.email)
    assert ledger.mails(booking_id) == ["booking-confirmed", "refund-issued"]


def test_partial_refunds_leave_it_paid_until_all_is_back(admin, paid, stripe, hook, ledger):
    booking_id, intent = paid()
    for amount, expected in ((1, ("completed", 29999, 1)), (9998, ("completed", 29999, 9999))):
        admin.api.post(REFUND, {"bookingId": booking_id, "reason": "duplicate", "amount": amount})
        hook.deliver(intent)
        assert ledger.transactions(booking_id) == [expected]
        assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    too_much = {"bookingId": booking_id, "reason": "more", "amount": 20001}
    answer = admin.api.post(REFUND, too_much, expect=400)
    assert answer == {
        "error": "That is more than is left of this payment.",
        "code": "refund_too_large",
        "available": 20000,
    }
    assert admin.api.post(REFUND, {"bookingId": booking_id, "reason": "the rest"})["amount"] == 20000
    assert ledger.booking(booking_id) == ("Refunded", "Confirmed")
    assert refunds(stripe, intent) == [
        (1, "succeeded", "duplicate"),
        (9998, "succeeded", "duplicate"),
        (20000, "succeeded", None),
    ]
    assert ledger.mails(booking_id).count("refund-issued") == 3


def test_ten_at_once_of_sixty_percent_give_one(app, admin, paid, stripe, ledger):
    booking_id, intent = paid()

    def refund(_: int) -> int:
        client = Client(app, admin.token)
        answer = client.http.post(
            REFUND, json={"bookingId": booking_id, "reason": "hurry", "amount": 18000}, headers=client.headers
        )
        return answer.status_code

    with ThreadPoolExecutor(10) as people:
        answers = sorted(people.map(refund, range(10)))
    assert answers[0] == 200
    assert set(answers[1:]) <= {200, 409}  # the first one's answer again, or that it is under way
    assert refunds(stripe, intent) == [(18000, "succeeded", None)]
    assert ledger.transactions(booking_id) == [("completed", 29999, 18000)]


@pytest.mark.parametrize(
    "given",
    [
        {"reason": ""},
        {"reason": None},
        {"reason": 5},
        {"reason": "x" * 501},
        {"amount": 0},
        {"amount": -1},
        {"amount": "100"},
        {"amount": 10.5},
        {"bookingId": "nobody's"},
    ],
    ids=str,
)
def test_bad_input_is_refused(admin, paid, stripe, given):
    booking_id, intent = paid()
    answer = admin.api.post(REFUND, {"bookingId": booking_id, "reason": "because", **given}, expect=400)
    assert answer["code"] == "validation_failed"
    assert refunds(stripe, intent) == []


def test_who_may_not_edit_bookings_may_not_refund(api, staff, customer, paid):
    booking_id, _ = paid()
    body = {"bookingId": booking_id, "reason": "because"}
    api.post(REFUND, body, expect=401)
    customer.api.post(REFUND, body, expect=401)
    answer = staff("Guide").api.post(REFUND, body, expect=403)
    assert answer["error"] == "Insufficient permissions. Required: bookings_edit"
    staff("Support").api.post(REFUND, body)


def test_what_was_not_paid_cannot_be_refunded(admin, api, book):
    booking_id = book()
    api.post("/api/payments/create-payment-intent", {"bookingId": booking_id})
    answer = admin.api.post(REFUND, {"bookingId": booking_id, "reason": "because"}, expect=404)
    assert answer == {"error": "No completed payment found for this booking", "code": "payment_not_found"}
    admin.api.post(REFUND, {"bookingId": 424242, "reason": "because"}, expect=404)


def test_a_refund_made_in_the_dashboard_counts(paid, stripe, hook, ledger):
    booking_id, intent = paid()
    stripe.refund(intent, 1000)
    hook.deliver(intent, "charge.refunded")  # as where only this type was subscribed to
    assert ledger.transactions(booking_id) == [("completed", 29999, 1000)]
    hook.deliver(intent)
    assert ledger.transactions(booking_id) == [("completed", 29999, 1000)]
    assert ledger.mails(booking_id).count("refund-issued") == 1


def test_a_refund_that_fails_later_gives_the_amount_back(admin, paid, stripe, hook, ledger, db):
    booking_id, intent = paid()
    stripe.next_refunds("pending", 1)
    answer = admin.api.post(REFUND, {"bookingId": booking_id, "reason": "because"})
    assert answer["status"] == "pending"
    hook.deliver(intent)
    assert ledger.booking(booking_id) == ("Refunded", "Confirmed")
    stripe.change_refund(answer["refundId"], "failed")
    hook.deliver(intent)
    hook.deliver(intent)
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]
    alerts = db.execute(
        "select count(*) from email_outbox where recipient = %s and data ->> 'message' like %s",
        [admin.email, f"A refund of 299.99 USD for booking {booking_id} did not reach the payer%"],
    )
    assert alerts.fetchone() == (1,)
    assert ledger.mails(booking_id) == ["booking-confirmed"]  # of a refund that never left nobody was told
    assert admin.api.post(REFUND, {"bookingId": booking_id, "reason": "again"})["amount"] == 29999


def test_a_refund_that_stripe_refuses_frees_the_amount(admin, paid, stripe, ledger, db):
    booking_id, intent = paid()
    stripe.refund(intent)  # not told to us yet
    answer = admin.api.post(REFUND, {"bookingId": booking_id, "reason": "because"}, expect=409)
    assert answer == {"error": "This payment was refunded already.", "code": "charge_already_refunded"}
    query = (
        "select r.status from refunds r join transactions t on t.id = r.transaction_id where t.booking_id::text = %s"
    )
    assert db.execute(query, [booking_id]).fetchall() == [("failed",)]


@pytest.mark.parametrize(
    ("outage", "status"),
    [({"kind": "error", "status": 500}, 502), ({"kind": "reset"}, 503), ({"kind": "reset", "when": "after"}, 503)],
    ids=str,
)
def test_after_an_outage_the_same_refund_is_resumed(admin, paid, stripe, hook, ledger, outage, status):
    booking_id, intent = paid()
    body = {"bookingId": booking_id, "reason": "because", "amount": 5000}
    stripe.outage(**outage)
    admin.api.post(REFUND, body, expect=status)
    stripe.end_outages()
    answer = admin.api.post(REFUND, {**body, "amount": 6000}, expect=409)
    assert (answer["code"], admin.api.last.headers["Retry-After"]) == ("refund_in_progress", "60")
    assert admin.api.post(REFUND, body)["amount"] == 5000
    assert refunds(stripe, intent) == [(5000, "succeeded", None)]
    hook.deliver(intent)
    assert ledger.transactions(booking_id) == [("completed", 29999, 5000)]


def test_a_crash_after_stripes_answer_refunds_once(admin, paid, stripe, ledger, monkeypatch, db):
    booking_id, intent = paid()
    body = {"bookingId": booking_id, "reason": "because", "amount": 5000}
    with monkeypatch.context() as broken:
        broken.setattr(store, "finish_refund", lambda *_: (_ for _ in ()).throw(Unavailable()))
        admin.api.post(REFUND, body, expect=503)
    assert admin.api.post(REFUND, body, expect=409)["code"] == "refund_in_progress"
    db.execute("update refunds set lease_until = now() where status = 'reserved'")
    stripe.forget_keys()  # also when Stripe no longer knows the idempotency key
    assert admin.api.post(REFUND, body)["amount"] == 5000
    assert refunds(stripe, intent) == [(5000, "succeeded", None)]
    assert ledger.transactions(booking_id) == [("completed", 29999, 5000)]


def test_of_two_payments_the_one_too_many_goes_back_first(admin, api, paid, stripe, hook, db, ledger):
    booking_id, first = paid()
    db.execute("update bookings set payment_status = 'Pending' where id::text = %s", [booking_id])
    second = stripe.http.post(
        "/v1/payment_intents",
        data={"amount": 29999, "currency": "usd", "metadata[booking_id]": booking_id},
        headers={"Authorization": f"Bearer {api.app.extensions['config'].stripe_secret_key}"},
    ).json()["id"]
    stripe.confirm(second)
    hook.deliver(second)
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)] * 2
    admin.api.post(REFUND, {"bookingId": booking_id, "reason": "duplicate"})
    assert refunds(stripe, second) == [(29999, "succeeded", "duplicate")]
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


# --- what the payer hears


def test_of_a_pending_refund_the_payer_hears_when_it_is_sent(admin, paid, stripe, hook, ledger):
    booking_id, intent = paid()
    stripe.next_refunds("pending", 1)
    refund = admin.api.post(REFUND, {"bookingId": booking_id, "reason": "because"})["refundId"]
    hook.deliver(intent)
    assert ledger.mails(booking_id) == ["booking-confirmed"]
    stripe.change_refund(refund, "succeeded")
    hook.deliver(intent)
    assert ledger.mails(booking_id) == ["booking-confirmed", "refund-issued"]
    stripe.change_refund(refund, "failed")
    hook.deliver(intent)
    hook.deliver(intent)
    assert ledger.mails(booking_id) == ["booking-confirmed", "refund-failed", "refund-issued"]


def test_a_refund_that_waits_for_the_payer_may_be_canceled(admin, paid, stripe, hook, ledger):
    booking_id, intent = paid()
    stripe.next_refunds("requires_action", 1)
    answer = admin.api.post(REFUND, {"bookingId": booking_id, "reason": "because"})
    assert answer["status"] == "pending"
    hook.deliver(intent)
    assert ledger.booking(booking_id)[0] == "Refunded"
    stripe.change_refund(answer["refundId"], "canceled")
    hook.deliver(intent)
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]
    assert ledger.booking(booking_id)[0] == "Paid"


@pytest.mark.parametrize("keep_total", [False, True])
def test_a_failed_refund_counts_nothing_whatever_the_charges_total_says(admin, paid, stripe, hook, ledger, keep_total):
    stripe.failed_refunds(keep_total)
    try:
        booking_id, intent = paid()
        stripe.change_refund(stripe.refund(intent, 1000)["id"], "failed")
        stripe.refund(intent, 500)
        hook.deliver(intent)
        assert ledger.transactions(booking_id) == [("completed", 29999, 500)]
    finally:
        stripe.failed_refunds(False)


# --- several payments


def test_a_double_payment_needs_nobody_once_one_went_back(admin, paid, hook, stripe, db):
    booking_id, _ = paid()
    hook.deliver(stripe.foreign_payment(29999, "usd", {"booking_id": booking_id})["id"])
    query = "select needs_review from transactions where booking_id::text = %s"
    assert db.execute(query, [booking_id]).fetchall() == [(True,), (True,)]
    admin.api.post(REFUND, {"bookingId": booking_id, "reason": "duplicate"})
    assert db.execute(query, [booking_id]).fetchall() == [(False,), (False,)]
