"""The webhook: only what Stripe signed, each event once, in any order, with its effect or not at all."""

import gzip
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from devstack.stripe import signed
from tests.client import Client
from tests.payments.conftest import WEBHOOK, Hook, database_requests

CREATE = "/api/payments/create-payment-intent"


def open_payment(api: Client, booking_id: str) -> str:
    """Start a booking's payment; its intent."""
    return api.post(CREATE, {"bookingId": booking_id})["paymentIntentId"]


def example(hook: Hook | None = None, **changes: Any) -> dict[str, Any]:
    """A succeeded payment as Stripe tells it, of a booking nobody knows."""
    intent = {
        "object": "payment_intent",
        "id": f"pi_{time.monotonic_ns()}",
        "amount": 29999,
        "amount_received": 29999,
        "currency": "usd",
        "metadata": {},
        "payment_method_types": ["card"],
        **changes,
    }
    return {
        "id": f"evt_{time.monotonic_ns()}",
        "object": "event",
        "type": "payment_intent.succeeded",
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": intent},
    }


def stored(db) -> int:
    return db.execute("select count(*) from gateway_events").fetchone()[0]


BODIES = {
    "a list": b"[]",
    "a number": b"5",
    "nothing": b"",
    "an empty object": b"{}",
    "truncated": b'{"id": "evt_1", "object": "event", "ty',
    "not UTF-8": b'{"id": "\xff\xfe"}',
    "gzip": gzip.compress(b'{"id": "evt_1"}'),
    "deeply nested": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "another kind of event": b'{"object": "v2.core.event", "type": "payment_intent.succeeded"}',
    "no type": b'{"object": "event", "type": 5, "livemode": false}',
    "no object in it": b'{"object": "event", "type": "payment_intent.succeeded", "livemode": false, "created": 1}',
}


@pytest.mark.parametrize("body", list(BODIES.values()), ids=list(BODIES))
def test_a_body_that_is_no_event_is_refused_even_when_signed(api, hook, db, body):
    before = stored(db)
    assert hook.post(body, expect=400)["code"] == "webhook_refused"
    api.post(WEBHOOK, data=body, expect=400)
    assert stored(db) == before


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        "t=,v1=",
        "v1=abc",
        "t=1,v1=abc",
        "t=1" + ",v1=" + "a" * 64,
        "t=99999999999999999999,v1=abc",
        "t=1,v0=abc",
        "t=1,v1=é",
        "t=²,v1=abc",
        "t=1,v1=\x7f\xff",
        "=" * 100_000,
    ],
    ids=lambda header: str(header)[:20],
)
def test_a_signature_that_is_none_is_refused(api, hook, db, header):
    before, body = stored(db), json.dumps(example(hook)).encode()
    headers = {} if header is None else {"Stripe-Signature": header}
    answer = api.post(WEBHOOK, data=body, headers=headers, expect=400)
    assert answer == {"error": "This is not a signed event.", "code": "webhook_refused"}
    assert stored(db) == before


def test_a_signature_of_another_secret_or_body_is_refused(hook):
    body = json.dumps(example(hook)).encode()
    hook.post(body, secret="whsec_of_somebody_else", expect=400)
    headers = signed(body, hook.secret)
    hook.api.post(WEBHOOK, data=body.replace(b"29999", b"29998"), headers=headers, expect=400)


@pytest.mark.parametrize(("age", "status"), [(290, 200), (310, 400), (-290, 200), (-310, 400)])
def test_a_signature_is_good_for_five_minutes_both_ways(hook, age, status):
    body = json.dumps(example(hook)).encode()
    hook.post(body, timestamp=int(time.time()) - age, expect=status)


def test_two_secrets_are_good_while_one_follows_the_other(app_with, hook):
    both = Client(app_with(STRIPE_WEBHOOK_SECRET="whsec_old, whsec_new"))
    body = json.dumps(example(hook)).encode()
    for secret, status in (("whsec_old", 200), ("whsec_new", 200), (hook.secret, 400)):
        both.post(WEBHOOK, data=body, headers=signed(body, secret), expect=status)


def test_without_secrets_stripe_is_to_send_again(app_with, hook):
    body = json.dumps(example(hook)).encode()
    bare = Client(app_with(STRIPE_WEBHOOK_SECRET=None))
    answer = bare.post(WEBHOOK, data=body, headers=signed(body, hook.secret), expect=503)
    assert answer["code"] == "payments_not_configured"


def test_more_than_a_megabyte_is_too_much(api, hook):
    body = b" " * 2_000_000
    assert api.post(WEBHOOK, data=body, headers=signed(body, hook.secret), expect=413)["code"] == "too_large"


def test_an_event_of_the_other_mode_is_refused(hook, db):
    before = stored(db)
    assert hook.send({**example(hook), "livemode": True}, expect=400)["code"] == "webhook_wrong_mode"
    assert stored(db) == before


def test_an_event_that_concerns_nothing_costs_nothing(app, hook):
    with database_requests(app) as sent:
        assert hook.send({**example(hook), "type": "invoice.paid"}) == {"received": True}
    assert sent == []


def test_an_event_costs_one_request(app, api, stripe, hook, book):
    intent = open_payment(api, book())
    stripe.confirm(intent)
    with database_requests(app) as sent:
        assert hook.send(hook.events(intent, "payment_intent.succeeded")[0]) == {"received": True}
    assert sent == ["record_gateway_event"]


def test_fifty_copies_at_once_have_one_effect(app, api, stripe, hook, book, ledger):
    booking_id = book()
    intent = open_payment(api, booking_id)
    stripe.confirm(intent)
    (event,) = hook.events(intent, "payment_intent.succeeded")
    hooks = [Hook(Client(app), stripe, app.extensions["config"]) for _ in range(50)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda one: one.send(event), hooks))
    assert answers == [{"received": True}] * 50
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    assert ledger.audit(booking_id) == [(None, "pending", "checkout"), ("pending", "completed", "stripe")]
    assert ledger.mails(booking_id) == ["booking-confirmed"]  # with the receipt in it


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=lambda order: "".join(map(str, order)))
def test_every_order_ends_alike(api, stripe, hook, book, ledger, order):
    """Of created, failed, succeeded and refunded, each delivered twice."""
    booking_id = book()
    intent = open_payment(api, booking_id)
    stripe.confirm(intent, "pm_card_chargeDeclined")
    stripe.confirm(intent)
    stripe.refund(intent)
    types = ("payment_intent.created", "payment_intent.payment_failed", "payment_intent.succeeded", "charge.refunded")
    events = {event["type"]: event for event in hook.events(intent, *types)}
    for number in order:
        hook.send(events[types[number]])
        hook.send(events[types[number]])
    assert ledger.booking(booking_id) == ("Refunded", "Confirmed")
    assert ledger.transactions(booking_id) == [("refunded", 29999, 29999)]
    hook.deliver(intent, "refund.created")
    assert {"booking-confirmed", "refund-issued"} <= set(ledger.mails(booking_id))


def test_a_failure_after_its_booking_was_deleted_is_taken_in(api, stripe, hook, db, book):
    booking_id = book()
    intent = open_payment(api, booking_id)
    stripe.confirm(intent, "pm_card_chargeDeclined")
    db.execute("delete from bookings where id::text = %s", [booking_id])
    hook.deliver(intent)


def test_a_late_failure_changes_nothing(api, stripe, hook, book, ledger):
    booking_id = book()
    intent = open_payment(api, booking_id)
    stripe.confirm(intent, "pm_card_chargeDeclined")
    stripe.confirm(intent)
    hook.deliver(intent, "payment_intent.succeeded")
    audit = ledger.audit(booking_id)
    hook.deliver(intent, "payment_intent.payment_failed")
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    assert ledger.audit(booking_id) == audit
    assert "payment-failed" not in ledger.mails(booking_id)


def test_a_failure_is_told_with_a_safe_reason(api, stripe, hook, book, ledger, db):
    booking_id = book()
    intent = open_payment(api, booking_id)
    stripe.confirm(intent, "pm_card_chargeDeclinedStolenCard")
    hook.deliver(intent)
    assert ledger.booking(booking_id) == ("Failed", "Pending")
    query = (
        "select data ->> 'reason' from email_outbox where template = 'payment-failed' and data ->> 'booking_id' = %s"
    )
    reason = "The payment was declined. Please try another card or ask your bank."
    assert db.execute(query, [booking_id]).fetchall() == [(reason,)]


def test_a_bank_debit_is_processing_and_then_paid(api, stripe, hook, book, ledger):
    booking_id = book()
    intent = open_payment(api, booking_id)
    stripe.confirm(intent, "pm_usBankAccount_processing")
    hook.deliver(intent)
    assert ledger.transactions(booking_id) == [("processing", 29999, 0)]
    assert api.post(CREATE, {"bookingId": booking_id}, expect=409)["code"] == "payment_processing"
    stripe.settle(intent)
    hook.deliver(intent)
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


def test_a_canceled_payment_is_followed_by_another(api, stripe, hook, book, ledger, staff):
    booking_id = book()
    intent = open_payment(api, booking_id)
    stripe.http.post(f"/v1/payment_intents/{intent}/cancel", headers=_key(hook))
    hook.deliver(intent)
    assert ledger.booking(booking_id) == ("Failed", "Pending")
    assert open_payment(api, booking_id) != intent
    assert ledger.mails(booking_id) == ["booking-received"]


def test_another_amount_is_kept_and_reviewed_but_not_paid(api, stripe, hook, db, book, ledger, staff):
    admin = staff()
    booking_id = book()
    intent = open_payment(api, booking_id)
    db.execute("update bookings set amount = 400 where id::text = %s", [booking_id])
    stripe.confirm(intent)
    hook.deliver(intent)
    assert ledger.booking(booking_id) == ("Pending", "Pending")
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]
    (row,) = admin.api.get(f"/api/payments/transactions?bookingId={booking_id}")["transactions"]
    assert (row["needs_review"], row["review_reason"]) == (True, "amount_mismatch")
    assert ledger.mails(booking_id) == ["booking-received"]
    alert = "select count(*) from email_outbox where dedupe_key like %s and recipient = %s"
    assert db.execute(alert, [f"review:{row['id']}:%", admin.email]).fetchone() == (1,)
    assert api.post(CREATE, {"bookingId": booking_id}, expect=409)["code"] == "already_paid"


def test_another_currency_is_reviewed(api, hook, book, ledger):
    booking_id = book()
    hook.send(example(hook, currency="eur", metadata={"booking_id": booking_id}))
    assert ledger.booking(booking_id) == ("Pending", "Pending")
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]


def test_two_payments_of_one_booking_both_count_and_are_reviewed(api, paid, hook, ledger, db):
    booking_id, _ = paid()
    second = example(hook, metadata={"booking_id": booking_id})
    hook.send(second)
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)] * 2
    reasons = db.execute("select review_reason from transactions where booking_id::text = %s", [booking_id]).fetchall()
    assert reasons == [("double_payment",)] * 2


def test_what_is_paid_for_a_cancelled_booking_goes_back_by_itself(settle, api, stripe, hook, db, book, ledger):
    booking_id = book()
    intent = open_payment(api, booking_id)
    db.execute("update bookings set status = 'Cancelled' where id::text = %s", [booking_id])
    stripe.confirm(intent)  # in this very moment
    hook.deliver(intent)
    assert ledger.booking(booking_id) == ("Paid", "Cancelled")
    settle()
    assert ledger.booking(booking_id) == ("Refunded", "Cancelled")
    assert ledger.transactions(booking_id) == [("refunded", 29999, 29999)]
    assert ledger.audit(booking_id)[-1] == ("completed", "refunded", "automatic")
    assert ledger.mails(booking_id) == ["booking-cancelled", "refund-issued"]
    query = "select needs_review, review_reason from transactions where booking_id::text = %s"
    assert db.execute(query, [booking_id]).fetchall() == [(False, "booking_cancelled")]
    hook.deliver(intent)
    settle()
    assert [one["amount"] for one in stripe.ledger()["refunds"] if one["payment_intent"] == intent] == [29999]


def test_a_payment_without_a_row_is_made_from_its_metadata(hook, book, ledger):
    booking_id, row_id = book(), "0b54d9a3-5d0d-4f4c-8a2d-0a3a3e8f9c11"
    hook.send(example(hook, metadata={"booking_id": booking_id, "transaction_id": row_id}))
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    assert ledger.audit(booking_id) == [(None, "pending", "stripe"), ("pending", "completed", "stripe")]


@pytest.mark.parametrize(
    "metadata",
    [{}, {"booking_id": "nobody's"}, {"booking_id": "\u0000"}, {"booking_id": "\ud800"}, {"booking_id": "9" * 400}],
    ids=ascii,
)
@pytest.mark.parametrize("ours", [False, True])
def test_a_payment_nobody_knows_is_parked_where_it_says_that_it_is_ours(hook, db, metadata, ours):
    if ours:
        metadata = {**metadata, "transaction_id": "0b54d9a3-5d0d-4f4c-8a2d-0a3a3e8f9c12"}
    event = example(hook, metadata=metadata)
    assert hook.send(event) == {"received": True}
    assert hook.send(event) == {"received": True}
    found = db.execute("select state, attempts, transaction_id from gateway_events where id = %s", [event["id"]])
    assert found.fetchall() == [("unmatched" if ours else "foreign", 2, None)]


def test_an_event_whose_effect_fails_is_kept_and_sent_again(hook, db, book, ledger):
    booking_id = book()
    event = example(hook, amount_received=10**30, metadata={"booking_id": booking_id})
    answer = hook.send(event, expect=500)
    assert answer == {"error": "The event could not be processed yet.", "code": "event_failed"}
    query = "select state, attempts, last_error like '22003 %%' from gateway_events where id = %s"
    assert db.execute(query, [event["id"]]).fetchone() == ("failed", 1, True)
    event["data"]["object"]["amount_received"] = 29999
    hook.send(event)
    assert db.execute(query, [event["id"]]).fetchone() == ("processed", 2, None)
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


def test_a_dispute_is_noted_and_staff_is_told(stripe, paid, hook, db, ledger, staff):
    admin = staff()
    booking_id, intent = paid()
    dispute = stripe.dispute(intent)
    hook.deliver(intent)
    assert ledger.booking(booking_id) == ("Refunded", "Confirmed")  # the bank holds the money
    query = "select dispute_status, review_reason from transactions where booking_id::text = %s"
    assert db.execute(query, [booking_id]).fetchone() == ("needs_response", "dispute")
    stripe.close_dispute(dispute["id"], "lost")
    hook.deliver(intent)
    hook.deliver(intent)  # the opening once more, late
    assert db.execute(query, [booking_id]).fetchone() == ("lost", "dispute")
    told = db.execute(
        "select data ->> 'message' from email_outbox where recipient = %s and data ->> 'message' like %s"
        " order by created_at",
        [admin.email, f"%{intent}%"],
    )
    assert [message.partition(".00 USD: ")[0] or message for (message,) in told.fetchall()]


def _key(hook: Hook) -> dict[str, str]:
    return {"Authorization": f"Bearer {hook.api.app.extensions['config'].stripe_secret_key}"}
