"""A Stripe whose events the tests deliver themselves, one by one, and a booking's way through payment."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from flask import Flask

from devstack.stripe import Control, signed
from service.config import Config
from service.payments.reconciliation import settle_if_configured
from tests.client import Client
from tests.factories import make_booking
from tests.sure import fetch_row
from tools.stack import Stack

WEBHOOK = "/api/payments/process-webhook"


@pytest.fixture(autouse=True, scope="module")
def no_mail_is_left(stack: Stack) -> Iterator[None]:
    """Every member of staff that any test made gets every alert: thousands, which others would have to send first."""
    yield
    stack.postgres.execute("update email_outbox set state = 'dropped', finished_at = now() where state = 'queued'")


@pytest.fixture
def stripe(stack: Stack) -> Iterator[Control]:
    """The local Stripe, its own deliveries switched off."""
    control = Control(stack.url("stripe"))
    control.deliveries(on=False)
    yield control
    control.end_outages()
    control.next_refunds(None)
    control.http.close()


class Hook:
    """Delivers events of the local Stripe to the application, signed."""

    def __init__(self, api: Client, stripe: Control, settings: Config) -> None:
        self.api, self.stripe, self.secret = api, stripe, settings.stripe_webhook_secrets[0]

    def send(self, event: dict[str, Any], expect: int = 200) -> Any:
        """One event, as it is or changed by the test."""
        return self.post(json.dumps(event).encode(), expect=expect)

    def post(self, body: bytes, expect: int = 200, timestamp: int | None = None, secret: str | None = None) -> Any:
        headers = signed(body, secret or self.secret, timestamp)
        return self.api.call("POST", WEBHOOK, data=body, headers=headers, expect=expect)

    def events(self, about: str, *types: str) -> list[dict[str, Any]]:
        """What Stripe would have sent about a payment, oldest first."""
        found = self.stripe.events(*types, about=about)
        return [{k: v for k, v in event.items() if k not in ("delivered", "tries")} for event in found]

    def deliver(self, about: str, *types: str) -> None:
        for event in self.events(about, *types):
            self.send(event)


@pytest.fixture
def hook(api: Client, stripe: Control, app: Flask) -> Hook:
    return Hook(api, stripe, app.extensions["config"])


@pytest.fixture
def book(db: psycopg.Connection) -> Callable[..., str]:
    """Makes a booking; its id."""
    return lambda **columns: make_booking(db, **columns)


@pytest.fixture
def paid(api: Client, hook: Hook, book: Callable[..., str]) -> Callable[..., tuple[str, str]]:
    """Makes a booking, pays it, delivers the events; (booking id, payment id)."""

    def pay(card: str = "pm_card_visa", **columns: Any) -> tuple[str, str]:
        booking_id = book(**columns)
        intent = api.post("/api/payments/create-payment-intent", {"bookingId": booking_id})["paymentIntentId"]
        hook.stripe.confirm(intent, card)
        hook.deliver(intent)
        return booking_id, intent

    return pay


@contextmanager
def database_requests(app: Flask) -> Iterator[list[str]]:
    """The requests that go to PostgREST meanwhile, by the table or function they name."""
    session, sent = app.extensions["supabase"].postgrest.session, []
    before = session.event_hooks
    session.event_hooks = {**before, "request": [lambda one: sent.append(one.url.path.rpartition("/")[2])]}
    try:
        yield sent
    finally:
        session.event_hooks = before


@pytest.fixture
def settle(app: Flask) -> Callable[[], None]:
    """What the worker does every few seconds, until nothing is left to do: other tests leave work, too."""

    def run() -> None:
        with app.app_context():
            while settle_if_configured():
                pass

    return run


class Ledger:
    """What the database holds of a booking's payments."""

    def __init__(self, db: psycopg.Connection) -> None:
        self.db = db

    def booking(self, booking_id: str) -> tuple[str, str]:
        """(payment_status, status)"""
        query = "select payment_status, status from bookings where id::text = %s"
        payment_status, status = fetch_row(self.db, query, [booking_id])
        return payment_status, status

    def transactions(self, booking_id: str) -> list[tuple[str, int, int]]:
        """(status, amount, amount_refunded), oldest first."""
        query = (
            "select status, amount, amount_refunded from transactions where booking_id::text = %s order by created_at"
        )
        return self.db.execute(query, [booking_id]).fetchall()

    def audit(self, booking_id: str) -> list[tuple[str | None, str, str]]:
        """(old status, new status, changed by) in order."""
        return self.db.execute(
            "select a.old_status, a.new_status, a.changed_by from transaction_audit_logs a"
            " join transactions t on t.id = a.transaction_id where t.booking_id::text = %s order by a.id",
            [booking_id],
        ).fetchall()

    def mails(self, booking_id: str) -> list[str]:
        """Templates of the mails queued for a booking, sorted."""
        query = "select template from email_outbox where data ->> 'booking_id' = %s order by 1"
        return [row[0] for row in self.db.execute(query, [booking_id])]


@pytest.fixture
def ledger(db: psycopg.Connection) -> Ledger:
    return Ledger(db)
