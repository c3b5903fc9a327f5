"""The promises about money at full length: `make proof`."""

import json
import random
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from devstack.stripe import signed
from tests.conftest import DIRECTORY
from tests.factories import make_booking
from tests.payments.crashes import LATENCIES, PARTS, Battlefield, battlefield
from tests.payments.histories import Bookings, gateway_histories, outcome_in_order
from tests.payments.pairs import PAIRS, run_pairs
from tests.payments.test_rules import BRIEF
from tests.payments.test_webhooks import example
from tests.payments.ways import GATEWAYS, WAYS
from tests.sure import fetch_row
from tools.stack import Stack

HISTORIES = settings(BRIEF, max_examples=10_000, derandomize=False, database=None, phases=[Phase.generate])
JOURNEYS, AT_ONCE = 1000, 20  # by each gateway, and by all mixed
REPETITIONS = 30  # of each pair, likewise

pytestmark = [pytest.mark.proof, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("way", WAYS)
def test_1000_payments_survive_parts_killed_at_random(way: str) -> None:
    directory, ended, started = DIRECTORY / "crashes", Counter(), time.monotonic()
    seed = random.randrange(10**6)
    try:
        with battlefield(directory) as field:
            for number in range(JOURNEYS // AT_ONCE):
                # Ten latencies and four parts: each part is killed under each of them, over time.
                latency = LATENCIES[number % len(LATENCIES)]
                ended += field.run(
                    AT_ONCE, PARTS[(number + number // 10) % len(PARTS)], seed + number, WAYS[way], latency
                )
            kills = JOURNEYS // AT_ONCE
            print(f"{way}: {ended.total()} journeys, {kills} kills, {field.door.faults} failed calls: 0 cents differ")
            print(f"{dict(ended)} in {time.monotonic() - started:.0f} s from seed {seed}")
            print_books(field)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    assert ended["not begun"] + ended["not refunded"] < JOURNEYS * 0.1  # those that gave up, not believing


@pytest.mark.parametrize("way", WAYS)
def test_any_two_at_once_leave_the_books_equal(way: str) -> None:
    directory, ended, started = DIRECTORY / "pairs", Counter(), time.monotonic()
    seed = random.randrange(10**6)
    try:
        with battlefield(directory) as field:
            for number in range(REPETITIONS):
                ended += run_pairs(field, seed + number, WAYS[way], LATENCIES[number % len(LATENCIES)])
            print(f"{way}: {len(PAIRS)} pairs, each {REPETITIONS} times, {ended.total()} in all: 0 cents differ")
            print(f"in {time.monotonic() - started:.0f} s from seed {seed}; {field.door.faults} failed calls")
            print_books(field)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def print_books(field: Battlefield) -> None:
    """What both sides hold, and what happened on the way to it."""
    with field.database() as db:
        disputes = dict(db.execute("select status, count(*) from disputes group by 1").fetchall())
        alone = fetch_row(db, "select count(*), sum(amount) from refunds where requested_by = 'automatic'")
        flags = dict(
            db.execute(
                "select review_reason, count(*) from transactions where review_reason > '' group by 1"
            ).fetchall()
        )
    print(f"bookings {dict(field.statuses)}")
    for name, control in field.gateways.items():
        in_use = sum(call["status"] == 409 for call in control.requests("POST"))
        print(f"at {name} and here, in cents: {dict(field.totals[name])}; keys in use there {in_use}")
    print(f"disputes {disputes}; sent back by itself {alone}; flags {flags}")
    print(f"refusals {dict(field.door.refusals)}")


@pytest.fixture
def service_role(stack: Stack):
    with psycopg.connect(stack.postgres.uri()) as connection:
        connection.execute("set role service_role")
        connection.commit()
        yield connection


def test_10000_histories_of_bookings_agree_with_the_model(service_role: psycopg.Connection) -> None:
    machine = type("Machine", (Bookings,), {"connection": service_role})
    run_state_machine_as_test(machine, settings=HISTORIES)


def test_10000_histories_end_alike_in_any_order(service_role: psycopg.Connection) -> None:
    @HISTORIES
    @given(history=gateway_histories(), order=st.randoms(use_true_random=False))
    def check(history, order):
        events, expected = history
        assert outcome_in_order(service_role, events, order) == expected

    check()


@pytest.fixture(scope="module")
def unlimited() -> Iterator[Battlefield]:
    directory = DIRECTORY / "load"
    try:
        with battlefield(directory) as field:
            yield field
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("slow", GATEWAYS)
def test_50_webhooks_a_second_while_a_gateway_is_slow(unlimited: Battlefield, slow: str) -> None:
    """For 20 seconds, while 5 payments a second are begun and the gateway takes 5 seconds for each of its answers."""
    control, stack = unlimited.gateways[slow], unlimited.stack
    control.deliveries(on=False)
    with unlimited.database() as db:
        paid, begun = ([make_booking(db) for _ in range(count)] for count in (1000, 100))
    control.outage("delay", seconds=5)
    limits = httpx.Limits(max_connections=100)
    with httpx.Client(base_url=stack.url("service"), timeout=30, limits=limits) as http:
        load = Load(http, stack.secrets["stripe_webhook_secret"], slow)
        with ThreadPoolExecutor(100) as pool:
            for number, booking in enumerate(paid):
                pool.submit(load.deliver, booking)
                if number % 10 == 0:
                    pool.submit(load.begin, begun[number // 10])
                load.wait_until(number * 0.02)
    control.end_outages()
    cuts = [round(cut * 1000) for cut in statistics.quantiles(load.took, n=100)]
    rate = len(load.took) / load.lasted
    print(f"{slow} slow, begun {dict(load.begun)}:")
    print(f"{rate:.0f} webhooks/s: p50 {cuts[49]} ms, p95 {cuts[94]} ms, p99 {cuts[98]} ms")
    assert load.statuses == {200: 1000}
    assert load.begun.keys() <= {200, 503}  # who begins waits, or is told to come back
    assert cuts[94] < 300


class Load:
    """Webhooks of payments without a row, each with its effect; and payments begun beside them."""

    def __init__(self, http: httpx.Client, secret: str, gateway: str) -> None:
        self.http, self.secret, self.gateway, self.started = http, secret, gateway, time.monotonic()
        self.took: list[float] = []
        self.statuses, self.begun = Counter(), Counter()
        self.lasted = 0.0

    def deliver(self, booking: str) -> None:
        body = json.dumps(example(None, metadata={"booking_id": booking})).encode()
        headers, started = signed(body, self.secret), time.perf_counter()
        answer = self.http.post("/api/payments/process-webhook", content=body, headers=headers)
        self.took.append(time.perf_counter() - started)
        self.statuses[answer.status_code] += 1
        self.lasted = time.monotonic() - self.started

    def begin(self, booking: str) -> None:
        answer = self.http.post(
            "/api/payments/create-payment-intent", json={"bookingId": booking, "gateway": self.gateway}
        )
        self.begun[answer.status_code] += 1

    def wait_until(self, second: float) -> None:
        time.sleep(max(0, self.started + second - time.monotonic()))
