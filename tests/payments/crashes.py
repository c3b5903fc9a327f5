"""Payments under fire: people pay, cancel, reprice, dispute and refund while parts of the stack are killed; then the
books are compared."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg

from service import create_app
from service.config import Config
from service.payments import reconciliation
from tests.client import Client
from tests.factories import make_booking, make_staff
from tests.payments.books import check_booking, compare
from tests.payments.people import PATIENCE, Door, Trip
from tests.payments.ways import GATEWAYS, control_of
from tests.sure import fetch_row
from tools.stack import Stack, free_ports

PARTS = ("service", "worker", "api", "postgres")
# Seconds that a gateway takes to answer, by round: mostly short, so that all rounds together take minutes.
LATENCIES = (0.2, 0, 0.5, 0.1, 1, 0.2, 0, 2.5, 0.2, 5)
QUIET_AFTER = 5  # runs at most until nothing is left to do


class Battlefield:
    """A whole stack with service and worker, of which ``kill`` takes a part and brings it back."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.gateways = {name: control_of(stack, name) for name in GATEWAYS}
        self.is_muted = False
        self.began: datetime | None = None  # the round, by the database's clock
        self.latency = 0.0
        self.app = create_app(Config.from_env())
        with self.database() as db:
            self.door = Door(stack.url("service"), make_staff(Client(self.app), db).token, self.gateways)
        self.totals: dict[str, Counter[str]] = {}  # by gateway, of the last comparison, in minor units
        self.statuses: Counter[str] = Counter()  # of the bookings, in the end

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

    def delay(self, seconds: float, chance: random.Random) -> None:
        """Let the gateways answer late from now on; in half of the rounds they wait after having done what was asked.

        Late answers let more kills fall between what a gateway did and what we know of it, and keep idempotency keys in
        use.
        """
        self.latency = seconds
        self.door.patience = PATIENCE + 4 * seconds
        when = chance.choice(["before", "after"])
        for control in self.gateways.values():
            control.end_outages()
            if seconds:
                control.outage("delay", method="POST", when=when, seconds=seconds)

    def slow_refunds(self, chance: random.Random) -> None:
        """Let some refunds of a round be on their way until its end."""
        for control in self.gateways.values():
            control.next_refunds(chance.choice(["pending", None]), 3)

    def trips(self, count: int, chance: random.Random, by: Sequence[str]) -> list[Trip]:
        """So many new bookings."""
        prices = [chance.choice([29999, 120000, 500]) for _ in range(count)]
        with self.database() as db:
            self.began = fetch_row(db, "select clock_timestamp()")[0]
            bookings = [make_booking(db, amount=price / 100) for price in prices]
        pairs = zip(bookings, prices, strict=True)
        return [Trip(self.door, booking, price, random.Random(chance.random()), by) for booking, price in pairs]

    def run(self, journeys: int, part: str, seed: int, by: Sequence[str], latency: float = 0.2) -> Counter[str]:
        """So many journeys at once, a kill in the midst of them, one reconciliation; how the journeys ended.

        In half of the rounds no webhook comes any more from the kill on. ``by``: the gateways that payers choose among.
        """
        chance = random.Random(seed)
        trips = self.trips(journeys, chance, by)
        self.delay(latency, chance)
        self.slow_refunds(chance)
        with ThreadPoolExecutor(journeys) as people:
            ends = [people.submit(self.journey, trip) for trip in trips]
            self.await_moment(chance)
            self.mute(chance.random() < 0.5)
            self.kill(part)
            ended = Counter(end.result() for end in ends)
        self.settle(trips)
        self.compare(trips)
        return ended

    def mute(self, is_muted: bool) -> None:
        self.is_muted = is_muted
        for control in self.gateways.values():
            control.deliveries(on=not is_muted)

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

    # --- one journey

    def journey(self, trip: Trip) -> str:
        """Somebody pays, now and then in two windows; staff changes the booking meanwhile, or gives back later."""
        chance = trip.chance
        time.sleep(chance.uniform(0, 0.6))
        self.open_pages(trip)
        if not trip.open_pages:
            return "not begun"
        meddling = chance.choice([None] * 6 + [trip.cancel, trip.reprice])
        with ThreadPoolExecutor(1) as staff:
            meddled = staff.submit(self.later, meddling, chance.uniform(0, 0.4)) if meddling else None
            time.sleep(chance.uniform(0, 0.4))
            chance.choice([trip.pay] * 9 + [trip.debit])()
        if meddled:
            meddled.result()
            return self.go_on(trip)
        return self.have_second_thoughts(trip)

    def open_pages(self, trip: Trip) -> None:
        """In one window, or in two at once."""
        windows = trip.chance.choice([1, 1, 1, 2])
        with ThreadPoolExecutor(windows) as hands:
            for opened in [hands.submit(trip.begin) for _ in range(windows)]:
                opened.result()

    @staticmethod
    def later(deed: Any, seconds: float) -> None:
        time.sleep(seconds)
        deed()

    def go_on(self, trip: Trip) -> str:
        """The booking was cancelled, or costs something else: whoever comes back to it tries again."""
        if not trip.new_price:
            return "cancelled"
        trip.buy()
        return "repriced"

    def have_second_thoughts(self, trip: Trip) -> str:
        """Money is asked back: by staff, through the bank, or both at once."""
        ends = ["paid"] * 4 + ["refunded"] * 3 + ["disputed", "disputed", "both"]
        end = trip.chance.choice(ends)
        if end == "paid":
            return end
        with ThreadPoolExecutor(1) as bank:
            asked = []
            if end != "refunded":
                asked = [bank.submit(trip.chance.choice([trip.dispute, trip.dispute, trip.inquire]))]
            if end != "disputed":
                end = self.give_back(trip)
            for question in asked:
                question.result()
        if end == "disputed" and trip.chance.random() < 0.3:
            trip.buy()  # as the trip is still wanted
        return end

    def give_back(self, trip: Trip) -> str:
        """Some or all of it, often asked twice."""
        if not self.wait_paid(trip):
            return "not seen as paid"
        refunded = trip.chance.choice([trip.refund, trip.refund_by_key, trip.refund_twice, trip.refund_twice])()
        return "refunded" if refunded else "not refunded"

    def wait_paid(self, trip: Trip) -> bool:
        until = time.monotonic() + 12 + 4 * self.latency  # for what may never come, as the payment was declined
        while time.monotonic() < until and not self.is_muted:
            found = self.door.insist("GET", f"/api/payments/booking/{trip.booking_id}")
            if found and found["paymentStatus"] in ("Paid", "Refunded"):
                return True
            time.sleep(0.1)
        return False

    # --- the end of a round

    def settle(self, trips: list[Trip]) -> None:
        """What an hour and the next reconciliation bring. Events still undelivered stay so: they are not needed.

        A real PostgREST takes a while to find a database again that was killed.
        """
        for control in self.gateways.values():
            control.end_outages()
            control.next_refunds(None)
            control.deliveries(on=False, forget=True)
        self.stack.wait_until_ready("api", seconds=60)
        with self.app.app_context():
            self.reconcile(trips)
        self.mute(False)

    def end_slow(self, trips: list[Trip]) -> bool:
        """Let every payment and refund end that is on its way at a gateway; whether there was any."""
        ended = [trip.booking_id for trip in trips if trip.end_slow()]
        for control in self.gateways.values():
            for refund in control.refunds():
                if refund["status"] == "pending":
                    control.change_refund(refund["id"], "succeeded")
                    ended.append(refund["id"])
        return bool(ended)

    def reconcile(self, trips: list[Trip]) -> None:
        """In full until nothing fails, as a refund of what is disputed does once; then what is urgent."""
        for step in (reconciliation.reconcile, lambda: reconciliation.settle(pause_seconds=0)):
            for _ in range(QUIET_AFTER):
                self.end_slow(trips)
                self._pass_time()
                done = step()
                is_done = not (
                    done.get("errors") or done.get("canceled") or done.get("captured") or done.get("refunds")
                )
                if is_done and not self.end_slow(trips):
                    break
            else:
                raise AssertionError(f"there is no end of work: {done}")

    def _pass_time(self) -> None:
        """Leases end; what a payer has approved is theirs to bring no more; what was asked may be asked again."""
        with self.database() as db:
            db.execute("update refunds set lease_until = now() where status = 'reserved'")
            db.execute(
                "update transactions set checked_at = null, approved_at = approved_at - interval '1 minute'"
                " where created_at >= %s",
                [self.began],
            )

    def compare(self, trips: list[Trip]) -> None:
        """Our books against the gateways', payment by payment, to the cent. Raises AssertionError."""
        with self.database() as db:
            self.totals = compare(self.gateways, db)
            self.statuses.update(check_booking(db, trip.told) or "deleted" for trip in trips)


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
            for gateway in field.app.extensions.get("payment_gateways", {}).values():
                gateway.session.close()
            for control in field.gateways.values():
                control.http.close()
            field.door.http.close()
