"""With every webhook lost, one run makes our books equal Stripe's; and again changes nothing."""

import json
import time

import pytest
from flask import Flask

from service.payments.reconciliation import reconcile
from tests import gateways
from tests.factories import unused_booking_id
from tests.payments.histories import ask
from tests.payments.test_webhooks import example

CREATE = "/api/payments/create-payment-intent"
REFUND = "/api/payments/refund"


@pytest.fixture
def run(app: Flask, stripe):
    """One reconciliation; what it did. Never an error."""

    def run() -> dict[str, int]:
        with app.app_context():
            done = reconcile()
        assert done.get("errors", 0) == 0
        return done

    return run


def test_without_any_webhook_the_states_are_right_after_one_run(api, staff, stripe, run, book, ledger):
    names = ("paid", "failed", "processing", "open", "refunded", "disputed", "canceled")
    bookings = {name: book() for name in names}
    intents = {name: api.post(CREATE, {"bookingId": bookings[name]})["paymentIntentId"] for name in names}
    for name in ("paid", "refunded", "disputed"):
        stripe.confirm(intents[name])
    stripe.confirm(intents["failed"], "pm_card_chargeDeclined")
    stripe.confirm(intents["processing"], "pm_usBankAccount_processing")
    stripe.refund(intents["refunded"])
    stripe.dispute(intents["disputed"])
    key = {"Authorization": f"Bearer {api.app.extensions['config'].stripe_secret_key}"}
    stripe.http.post(f"/v1/payment_intents/{intents['canceled']}/cancel", headers=key)
    run()
    assert {name: ledger.booking(booking_id) for name, booking_id in bookings.items()} == {
        "paid": ("Paid", "Confirmed"),
        "failed": ("Failed", "Pending"),
        "processing": ("Pending", "Pending"),
        "open": ("Pending", "Pending"),
        "refunded": ("Refunded", "Confirmed"),
        "disputed": ("Refunded", "Confirmed"),
        "canceled": ("Failed", "Pending"),
    }
    assert ledger.transactions(bookings["processing"]) == [("processing", 29999, 0)]
    assert ledger.audit(bookings["paid"])[-1] == ("pending", "completed", "reconciliation")
    audits, mails = [[look(one) for one in bookings.values()] for look in (ledger.audit, ledger.mails)]
    run()
    assert [[look(one) for one in bookings.values()] for look in (ledger.audit, ledger.mails)] == [audits, mails]


def test_a_refund_left_behind_is_made_once(staff, stripe, paid, run, ledger, db, monkeypatch):
    admin = staff()
    left = []
    for is_made in (True, False):
        booking_id, intent = paid()
        left.append((booking_id, intent))
        stripe.outage("reset", when="after" if is_made else "before", path="/v1/refunds")
        body = {"bookingId": booking_id, "reason": "because", "amount": 700}
        admin.api.post(REFUND, body, expect=503)
        stripe.end_outages()
    stripe.forget_keys()
    run()
    run()
    for booking_id, intent in left:
        made = [one["amount"] for one in stripe.ledger()["refunds"] if one["payment_intent"] == intent]
        assert made == [700]
        assert ledger.transactions(booking_id) == [("completed", 29999, 700)]
        assert ledger.audit(booking_id)[-1] == ("completed", "completed", admin.email)


def test_a_pending_refund_is_asked_for(staff, stripe, paid, run, ledger):
    admin = staff()
    booking_id, intent = paid()
    stripe.next_refunds("pending", 1)
    answer = admin.api.post(REFUND, {"bookingId": booking_id, "reason": "because"})
    stripe.change_refund(answer["refundId"], "failed")
    run()
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]


def test_superseded_payments_are_canceled(api, stripe, run, book, db):
    booking_id = book()
    intent = api.post(CREATE, {"bookingId": booking_id})["paymentIntentId"]
    db.execute("select update_booking_payment(%s, 'Paid', null)", [booking_id])
    run()
    assert stripe.get(intent)["status"] == "canceled"


def test_parked_events_are_tried_again_and_staff_is_told_in_time(hook, run, db, ledger, staff, book):
    admin, booking_id = staff(), unused_booking_id(db)
    event = example(hook, metadata={"booking_id": booking_id})
    hook.send(event)
    told = "select count(*) from email_outbox where dedupe_key like %s and recipient = %s"
    key = [f"event:stripe:{event['id']}:%", admin.email]
    run()
    assert db.execute(told, key).fetchone() == (0,)
    db.execute("update gateway_events set received_at = now() - interval '16 minutes' where id = %s", [event["id"]])
    done = run()
    run()
    assert done["unmatched"] >= 1
    assert db.execute(told, key).fetchone() == (1,)
    book(id=booking_id)
    run()
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


def test_what_is_given_up_is_told_no_more_and_forgotten_in_the_end(hook, run, db, staff):
    admin, event = staff(), example(hook, metadata={"booking_id": unused_booking_id(db)})
    hook.send(event)
    told = "select count(*) from email_outbox where dedupe_key like %s and recipient = %s"
    for days, has_payload in ((31, True), (91, False)):
        age = "update gateway_events set received_at = now() - %s * interval '1 day' where id = %s"
        db.execute(age, [days, event["id"]])
        run()
        assert db.execute(told, [f"event:stripe:{event['id']}:%", admin.email]).fetchone() == (0,)
        kept = db.execute("select payload is not null from gateway_events where id = %s", [event["id"]]).fetchone()
        assert kept == (has_payload,)


def test_an_outage_stops_no_other_step(app, api, stripe, book, hook, ledger, db):
    parked_id = unused_booking_id(db)
    hook.send(example(hook, metadata={"booking_id": parked_id}))
    api.post(CREATE, {"bookingId": book()})
    book(id=parked_id)
    stripe.outage("error", status=400)
    with app.app_context():
        done = reconcile()
    assert done["errors"] >= 2
    assert ledger.booking(parked_id) == ("Paid", "Confirmed")


def test_the_command_reconciles_and_replays(app, api, stripe, hook, book, ledger, tmp_path):
    booking_id = book()
    intent = api.post(CREATE, {"bookingId": booking_id})["paymentIntentId"]
    stripe.confirm(intent)
    (event,) = hook.events(intent, "payment_intent.succeeded")
    command = app.test_cli_runner().invoke
    assert command(args=["payments", "replay", event["id"]]).output == "processed\n"
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    assert command(args=["payments", "replay", event["id"]]).output == "duplicate\n"
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event))
    assert command(args=["payments", "replay", str(path)]).output == "duplicate\n"
    path.write_text("[]")
    result = command(args=["payments", "replay", str(path)])
    assert (result.exit_code, result.output) == (1, "Error: This is not an event.\n")
    assert command(args=["payments", "replay", "evt_of_nobody"]).exit_code == 1
    result = command(args=["payments", "reconcile"])
    assert result.exit_code == 0 and "waiting" in result.output


def test_without_a_gateway_there_is_nothing_to_reconcile(app_with):
    app = app_with(**gateways.NONE)
    result = app.test_cli_runner().invoke(args=["payments", "reconcile"])
    assert (result.exit_code, result.output) == (1, "Error: No payment gateway is configured: see .env.example.\n")


def test_the_backlog_is_told(hook, db):
    before = ask(db, "select app.payment_backlog()")
    hook.send(example(hook))  # of another integration in the same account
    hook.send(example(hook, metadata={"booking_id": unused_booking_id(db)}))
    assert ask(db, "select app.payment_backlog()") == {**before, "unmatched": before["unmatched"] + 1}


def test_a_lost_payment_that_is_found_is_told(staff, stripe, book, run, db):
    support = staff("Support")
    intent = stripe.foreign_payment(29999, "usd", {"booking_id": book()})["id"]
    stripe.make_event("payment_intent.succeeded", stripe.get(intent), created=int(time.time()) - 3600)
    assert run()["found"] == 1
    told = db.execute(
        "select data ->> 'message' from email_outbox where recipient = %s and data ->> 'subject' = %s",
        [support.email, "A lost payment was found"],
    ).fetchall()
    assert len(told) == 1 and intent in told[0][0] and "299.99 USD" in told[0][0]
    assert run()["found"] == 0


def test_what_was_only_not_told_yet_is_not_lost(api, stripe, book, run):
    stripe.confirm(api.post(CREATE, {"bookingId": book()})["paymentIntentId"])
    assert run()["found"] == 0


def test_a_run_looks_back_as_far_as_there_was_none(stripe, run, db):
    run()
    mark = (
        "update scheduled_jobs set last_succeeded_at = now() - %s * interval '1 hour' where name = 'reconcile-payments'"
    )
    for hours, asked_for in ((0, 1), (50, 51), (24 * 40, 24 * 30)):
        db.execute(mark, [hours])
        before = len(stripe.requests("GET", "/v1/events"))
        run()
        asked = [int(request["params"]["created"]["gte"]) for request in stripe.requests("GET", "/v1/events")[before:]]
        assert round((time.time() - max(asked)) / 3600) == asked_for


def test_a_run_with_errors_is_no_reason_to_look_back_less(app, api, stripe, run, book, db):
    run()
    query = "select last_succeeded_at from scheduled_jobs where name = 'reconcile-payments'"
    before = db.execute(query).fetchone()
    api.post(CREATE, {"bookingId": book()})
    stripe.outage("error", status=400)
    with app.app_context():
        assert reconcile()["errors"]
    assert db.execute(query).fetchone() == before
    stripe.end_outages()
    run()
    assert db.execute(query).fetchone() > before


def test_an_event_of_the_other_mode_keeps_no_run_from_being_complete(hook, run, db):
    event = example(hook, metadata={"booking_id": unused_booking_id(db)})
    hook.send(event)
    payload = json.dumps({**event, "livemode": True})  # it waited while the keys were changed
    db.execute("update gateway_events set payload = %s where id = %s", [payload, event["id"]])
    query = "select last_succeeded_at from scheduled_jobs where name = 'reconcile-payments'"
    run()
    before = db.execute(query).fetchone()
    run()
    assert db.execute(query).fetchone() > before
    db.execute("delete from gateway_events where id = %s", [event["id"]])


def test_each_open_flag_is_a_line_of_the_log(paid, hook, stripe, run, caplog):
    booking_id, _ = paid()
    hook.deliver(stripe.foreign_payment(29999, "usd", {"booking_id": booking_id})["id"])
    with caplog.at_level("WARNING"):
        run()
    lines = [record for record in caplog.records if record.message == "a payment needs review"]
    assert len([line for line in lines if line.review_reason == "double_payment"]) >= 2
