"""One account at Stripe: its settings, its customers, and the payments in it that are not ours."""

import psycopg
import pytest
import stripe as sdk

from service.payments.gateways.stripe_events import KINDS
from service.payments.reconciliation import reconcile
from service.payments.store import list_work
from tests import gateways
from tests.factories import unused_booking_id
from tests.sure import fetch_row

CREATE = "/api/payments/create-payment-intent"
WEBHOOK = "https://travel.example/api/payments/process-webhook"


@pytest.fixture
def command(app_with):
    app = app_with(**gateways.NO_OTHERS)
    return lambda *args: app.test_cli_runner().invoke(args=["payments", "test-connection", *args])


@pytest.fixture
def account(stripe):
    """The account's webhook endpoint, as it should be; set by the test."""
    before = stripe.call("GET", "/_local/webhook")["url"]
    good = {"enabled_events": ["*"], "api_version": sdk.api_version, "status": "enabled"}
    stripe.endpoint(url=WEBHOOK, **good)
    yield stripe
    stripe.endpoint(url=before, **good)


def test_a_payment_stays_on_the_page(api, stripe, book):
    """The site confirms without a return_url."""
    intent = api.post(CREATE, {"bookingId": book()})["paymentIntentId"]
    assert stripe.get(intent)["automatic_payment_methods"] == {"enabled": True, "allow_redirects": "never"}
    assert stripe.confirm(intent)["status"] == "succeeded"


# --- flask payments test-connection


def test_a_good_account_is_told_and_its_test_payment_canceled(command, account):
    result = command()
    assert (result.exit_code, result.output) == (0, "Stripe takes payments, and tells of them.\n")
    tried = [one for one in account.ledger()["payment_intents"] if (one["description"] or "").startswith("Test of the")]
    assert {one["status"] for one in tried} == {"canceled"}


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            {"url": "https://travel.example/hook"},
            "has no webhook endpoint that ends with /api/payments/process-webhook",
        ),
        ({"status": "disabled"}, f"The webhook endpoint {WEBHOOK} is switched off."),
        ({"api_version": "2020-08-27"}, "speaks the API version 2020-08-27, not " + sdk.api_version),
        ({"enabled_events": ["payment_intent.succeeded"]}, "is not told of: charge.dispute.closed, "),
    ],
    ids=["address", "off", "version", "events"],
)
def test_what_is_wrong_is_said_in_a_sentence(command, account, setting, sentence):
    account.endpoint(**setting)
    result = command()
    assert result.exit_code == 1 and sentence in result.output


def test_the_events_that_we_read_are_enough(command, account):
    account.endpoint(enabled_events=sorted(KINDS))
    assert command().exit_code == 0


def test_a_key_that_is_no_good_and_none_at_all_are_said(app_with):
    def run(**settings: str | None):
        return app_with(**settings).test_cli_runner().invoke(args=["payments", "test-connection"])

    result = run(STRIPE_SECRET_KEY="sk_test_of_nobody")
    assert result.exit_code == 1 and "Stripe refused the test payment" in result.output
    assert run(**gateways.NONE).output == "Error: No payment gateway is configured: see .env.example.\n"
    assert "Stripe: STRIPE_WEBHOOK_SECRET is missing" in run(STRIPE_WEBHOOK_SECRET=None).output


# --- other payments in the same account


def state(db: psycopg.Connection, event_id: str) -> str | None:
    row = db.execute("select state from gateway_events where id = %s", [event_id]).fetchone()
    return row[0] if row else None


def test_other_payments_in_the_account_cost_no_mail_and_no_second_look(app, stripe, hook, db, staff):
    staff()
    thing = stripe.foreign_payment(5000, "usd")["id"]
    stripe.refund(thing, 100)
    events = hook.events(thing)
    for event in events:
        assert hook.send(event) == {"received": True}
    db.execute("update gateway_events set received_at = now() - interval '1 hour' where state = 'foreign'")
    with app.app_context():
        waiting = {event["id"] for event in list_work(["stripe"], [])["events"]}
        reconcile()
    assert not waiting & {event["id"] for event in events}
    keys = [f"event:stripe:{event['id']}:%" for event in events]
    told = "select count(*) from email_outbox where dedupe_key like any (%s)"
    assert db.execute(told, [keys]).fetchone() == (0,)
    assert "failed" not in {state(db, event["id"]) for event in events}
    db.execute("update gateway_events set received_at = now() - interval '31 days' where state = 'foreign'")
    with app.app_context():
        reconcile()
    assert {state(db, event["id"]) for event in events} == {None}


@pytest.mark.parametrize("kind", ["charge.refunded", "refund.created", "charge.dispute.created"])
def test_a_charge_without_an_intent_is_none_of_ours(stripe, hook, db, kind):
    charge = stripe.foreign_charge(5000, "usd")["id"]
    stripe.refund(charge, 100)
    stripe.dispute(charge)
    (event,) = [one for one in hook.events(charge) if one["type"] == kind]
    assert hook.send(event) == {"received": True}
    assert state(db, event["id"]) is None


def test_what_was_heard_before_its_payment_was_known_counts_afterwards(app, stripe, hook, db, book, ledger):
    """A refund does not say whose it is. It comes before the event that does."""
    booking_id = book()
    intent = stripe.foreign_payment(29999, "usd", {"booking_id": booking_id})["id"]
    stripe.refund(intent, 1000)
    hook.deliver(intent, "refund.created")
    (event,) = hook.events(intent, "refund.created")
    assert state(db, event["id"]) == "foreign"
    hook.deliver(intent, "payment_intent.succeeded")
    with app.app_context():
        reconcile()
    assert state(db, event["id"]) == "processed"
    assert ledger.transactions(booking_id) == [("completed", 29999, 1000)]


def test_what_names_a_booking_that_nobody_knows_is_told(app, stripe, hook, db):
    intent = stripe.foreign_payment(29999, "usd", {"booking_id": unused_booking_id(db)})["id"]
    hook.deliver(intent, "payment_intent.succeeded")
    (event,) = hook.events(intent, "payment_intent.succeeded")
    assert state(db, event["id"]) == "unmatched"


def test_what_another_program_took_for_a_cancelled_booking_is_a_persons_to_send_back(stripe, hook, settle, db, book):
    booking_id = book(status="Cancelled")
    intent = stripe.foreign_payment(29999, "usd", {"booking_id": booking_id})["id"]
    hook.deliver(intent)
    settle()
    query = "select id::text, status, needs_review from transactions where gateway_payment_id = %s"
    ((transaction_id, *found),) = db.execute(query, [intent]).fetchall()
    assert found == ["completed", True]
    alerts = db.execute("select count(*) from email_outbox where dedupe_key like %s", [f"review:{transaction_id}:%"])
    assert alerts.fetchone() != (0,)


def test_a_transaction_id_of_another_program_is_none_of_ours(stripe, hook, db):
    intent = stripe.foreign_payment(29999, "usd", {"transaction_id": "12345"})["id"]
    (event,) = hook.events(intent, "payment_intent.succeeded")
    hook.send(event)
    assert state(db, event["id"]) == "foreign"


# --- what the account knows of a customer


def test_a_customer_whose_payment_could_not_be_made_is_known(customer, stripe, book, db):
    stripe.outage("error", status=400, path="/v1/payment_intents")
    customer.api.call("POST", CREATE, json={"bookingId": book(customer_id=customer.id)}, expect=502)
    stripe.end_outages()
    (stored,) = fetch_row(db, "select gateway_customer_id from gateway_customers where customer_id = %s", [customer.id])
    assert stripe.get(stored)["email"] == customer.email


def test_the_gateways_customer_goes_with_the_account(app, customer, stripe, book, db):
    known = customer.api.post(CREATE, {"bookingId": book(customer_id=customer.id)})["stripeCustomerId"]
    customer.api.call("DELETE", f"/api/customers/{customer.id}", json={"password": customer.password})
    with app.app_context():
        assert reconcile()["customers"] == 1
        assert "customers" not in reconcile()
    assert known not in [one["id"] for one in stripe.ledger()["customers"] if not one.get("deleted")]
    assert db.execute("select from gateway_customers where customer_id = %s", [customer.id]).fetchone() is None


def test_one_that_cannot_be_deleted_yet_is_tried_again(app, customer, stripe, book):
    customer.api.post(CREATE, {"bookingId": book(customer_id=customer.id)})
    customer.api.call("DELETE", f"/api/customers/{customer.id}", json={"password": customer.password})
    stripe.outage("error", status=500, method="DELETE")
    with app.app_context():
        assert reconcile()["errors"]
        stripe.end_outages()
        assert reconcile()["customers"] == 1


# --- how it was paid


@pytest.mark.parametrize(
    ("card", "method"), [("pm_card_visa", "card"), ("pm_usBankAccount_success", "us_bank_account")]
)
def test_how_it_was_paid_is_asked_where_the_event_does_not_say(settle, api, stripe, hook, db, book, card, method):
    booking_id = book()
    intent = api.post(CREATE, {"bookingId": booking_id})["paymentIntentId"]
    assert len(stripe.get(intent)["payment_method_types"]) > 1
    stripe.confirm(intent, card)
    if stripe.get(intent)["status"] == "processing":
        stripe.settle(intent)
    hook.deliver(intent, "payment_intent.succeeded")
    query = (
        "select t.payment_method, b.payment_method from transactions t join bookings b on b.id = t.booking_id"
        " where b.id::text = %s"
    )
    assert db.execute(query, [booking_id]).fetchall() == [(None, "stripe")]
    settle()
    assert db.execute(query, [booking_id]).fetchall() == [(method, method)]
