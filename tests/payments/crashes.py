"""Payments under fire: people pay and staff refund while parts of the stack are killed; then the books are compared."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import psycopg

from devstack.stripe import Control, StripeRefused
from service import create_app
from service.config import Config
from service.payments.reconciliation import reconcile
from tests.client import Client
from tests.factories import make_booking, make_staff
from tests.sure import fetch_row
from tools.stack import Stack, free_ports

PARTS = ("service", "worker", "api", "postgres")
PATIENCE = 40  # seconds that a person goes on trying: a real PostgREST may need half of one to find a killed database


class Battlefield:
    """A whole stack with service and worker, of which ``kill`` takes a part and brings it back."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.stripe = Control(stack.url("stripe"))
        # Answers that come late let more kills fall between what Stripe did and what we know of it.
        self.stripe.outage("delay", method="POST", when="after", seconds=0.2)
        self.is_muted = False
        self.faults = 0  # calls that were answered by a 5xx or not at all
        self.app = create_app(Config.from_env())
        with self.database() as db:
            self.token = make_staff(Client(self.app), db).token

    def database(self) -> psycopg.Connection:
        return psycopg.connect(self.stack.postgres.uri(), autocommit=True)

    def kill(self, part: str) -> None:
        """SIGKILL and a new start at once."""
        if part == "postgres":
            process = self.stack.postgres.process
            assert process
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            self._restart_postgres()
        else:
            self.stack.kill(part)
            self.stack.start_part(part)
        if part in ("service", "api"):
            self.stack.wait_until_ready(part, {"service": "/api/health", "api": "/health"}[part])

    def _restart_postgres(self) -> None:
        """Its orphaned backends hold the data for a moment."""
        for _ in range(50):
            try:
                return self.stack.postgres.start()
            except RuntimeError:
                time.sleep(0.1)
        self.stack.postgres.start()

    def run(self, journeys: int, part: str, seed: int) -> Counter[str]:
        """So many journeys at once, a kill in the midst of them, one reconciliation; how the journeys ended.

        In half of the rounds no webhook comes any more from the kill on.
        """
        chance = random.Random(seed)
        with self.database() as db:
            bookings = [make_booking(db, amount=chance.choice(["299.99", "1200", "0.50"])) for _ in range(journeys)]
        with ThreadPoolExecutor(journeys + 1) as people:
            ends = [people.submit(self.journey, booking, random.Random(chance.random())) for booking in bookings]
            self.await_moment(chance)
            self.is_muted = chance.random() < 0.5
            self.stripe.deliveries(on=not self.is_muted)
            self.kill(part)
            ended = Counter(end.result() for end in ends)
        self.settle()
        self.compare(bookings)
        return ended

    def await_moment(self, chance: random.Random) -> None:
        """At any time, or while a refund is being made: that is when most can go wrong."""
        if chance.random() < 0.5:
            return time.sleep(chance.uniform(0, 1.5))
        until = time.monotonic() + 5
        with self.database() as db:
            while time.monotonic() < until:
                if fetch_row(db, "select count(*) from refunds where status = 'reserved'")[0]:
                    break
                time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.4))

    def journey(self, booking_id: str, chance: random.Random) -> str:
        """One person pays, now and then in two windows at once, and staff give some or all of it back."""
        time.sleep(chance.uniform(0, 0.6))
        with httpx.Client(base_url=self.stack.url("service"), timeout=30) as http:
            begun = self.insist(http, "POST", "/api/payments/create-payment-intent", {"bookingId": booking_id}, None)
            if begun is None:
                return "not begun"
            self.pay(begun["clientSecret"], chance)
            refund = chance.choice([None, None, 1, 20, "all"])
            if refund is None:
                return "paid"
            if not self.wait_paid(http, booking_id):
                return "not seen as paid"
            body = {"bookingId": booking_id, "reason": "storm"} | ({} if refund == "all" else {"amount": refund})
            refunded = self.insist(http, "POST", "/api/payments/refund", body, self.token)
            return "refunded" if refunded else "not refunded"

    def insist(self, http: httpx.Client, method: str, path: str, body: Any, token: str | None) -> Any:
        """Call again while the answer is a 5xx or none; the body, None where it was refused or patience ended."""
        until, headers = time.monotonic() + PATIENCE, {"Authorization": f"Bearer {token}"} if token else {}
        while time.monotonic() < until:
            try:
                answer = http.request(method, path, json=body, headers=headers)
                if answer.status_code < 500:
                    return answer.json() if answer.is_success else None
            except httpx.HTTPError:
                pass
            self.faults += 1
            time.sleep(0.1)
        return None

    def pay(self, client_secret: str, chance: random.Random) -> None:
        """A first card may be declined; the payer then takes another on the same page."""
        try:
            if chance.random() < 0.2:
                self.stripe.confirm(client_secret, "pm_card_chargeDeclined")
            self.stripe.confirm(client_secret)
        except StripeRefused:
            pass  # canceled meanwhile

    def wait_paid(self, http: httpx.Client, booking_id: str) -> bool:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not self.is_muted:
            found = self.insist(http, "GET", f"/api/payments/booking/{booking_id}", None, self.token)
            if found and found["paymentStatus"] == "Paid":
                return True
            time.sleep(0.1)
        return False

    def settle(self) -> None:
        """What a minute and the next reconciliation bring. Events still undelivered stay so: they are not needed.

        A real PostgREST takes a while to find a database again that was killed.
        """
        self.stripe.deliveries(on=False, forget=True)
        self.stack.wait_until_ready("api", seconds=60)
        with self.database() as db:
            db.execute("update refunds set lease_until = now() where status = 'reserved'")
        with self.app.app_context():
            done = reconcile()
        self.stripe.deliveries(on=True)
        self.is_muted = False
        assert done.get("errors", 0) == 0, done

    def compare(self, bookings: list[str]) -> None:
        """Our books against Stripe's, booking by booking, to the cent. Raises AssertionError."""
        books = self.stripe.ledger()
        theirs: dict[str, list[tuple[str, int, int]]] = {booking: [] for booking in bookings}
        for charge in books["charges"]:
            booking = charge["metadata"]["booking_id"]
            if booking in theirs and charge["paid"]:
                theirs[booking].append((charge["payment_intent"], charge["amount_captured"], charge["amount_refunded"]))
        with self.database() as db:
            for booking, taken in theirs.items():
                ours = db.execute(
                    "select gateway_payment_id, amount, amount_refunded from transactions"
                    " where booking_id::text = %s and status in ('completed', 'refunded')",
                    [booking],
                ).fetchall()
                assert sorted(ours) == sorted(taken), booking
                assert len(taken) <= 1, f"{booking} was paid twice"
                self.check_consequences(db, booking, taken)
        made = Counter(refund["metadata"]["refund_id"] for refund in books["refunds"])
        assert max(made.values(), default=1) == 1, "a refund was made twice"

    def check_consequences(self, db: psycopg.Connection, booking: str, taken: list[tuple[str, int, int]]) -> None:
        """The booking's status, one audit row per change and one mail per event follow the money."""
        expected = {0: "Pending", 1: "Paid"}[len(taken)] if not taken or taken[0][2] < taken[0][1] else "Refunded"
        status = fetch_row(db, "select payment_status from bookings where id::text = %s", [booking])[0]
        assert status == expected or (status, expected) == ("Failed", "Pending"), (booking, status, expected)
        audit = "select count(*) from transaction_audit_logs a join transactions t on t.id = a.transaction_id"
        completed = " where t.booking_id::text = %s and a.old_status in ('pending', 'processing', 'failed')"
        rows = fetch_row(db, audit + completed + " and a.new_status = 'completed'", [booking])[0]
        assert rows == len(taken), f"{booking}: {rows} audit rows of completion"
        told = "select count(*) from email_outbox where template = 'booking-confirmed' and booking_id::text = %s"
        assert fetch_row(db, told, [booking])[0] == len(taken)


@contextmanager
def battlefield(directory: Path) -> Iterator[Battlefield]:
    """A stack of its own, without limits per address, as all people here share one."""
    stack = Stack(directory, free_ports())
    freedom = {"LIMIT_PAYMENT": "1000000 per hour", "LIMIT_LOGIN": "1000000 per hour", "LOG_LEVEL": "CRITICAL"}
    with mock.patch.dict(os.environ, {**stack.service_environment(), **freedom}), stack:
        stack.serve()
        field = Battlefield(stack)
        try:
            yield field
        finally:
            field.app.extensions["supabase"].postgrest.session.close()
            if "payment_gateway" in field.app.extensions:
                field.app.extensions["payment_gateway"].session.close()
            field.stripe.http.close()
