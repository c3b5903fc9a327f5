"""Two people do something to one booking at the same time: every pair that could get into each other's way."""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random

from tests.payments.crashes import Battlefield
from tests.payments.people import Trip

# What the booking is before: nothing was begun · a payment page is open · its payer has agreed and closed the window ·
# it is paid · the money was lost to a dispute.
NEW, OPEN, APPROVED, PAID, LOST = "new", "open", "approved", "paid", "lost"
# (before, one deed, the other): methods of Trip. `buy` begins a payment and pays it, `pay` uses the page that is open.
PAIRS = [
    (NEW, "buy", "buy"),
    (NEW, "buy", "cancel"),
    (NEW, "buy", "reprice"),
    (NEW, "buy", "note_paid"),
    (NEW, "buy", "delete"),
    (OPEN, "buy", "pay"),
    (OPEN, "buy", "debit"),
    (OPEN, "buy", "cancel"),
    (OPEN, "buy", "reprice"),
    (OPEN, "buy", "note_paid"),
    (OPEN, "buy", "delete"),
    (OPEN, "pay", "pay"),
    (OPEN, "pay", "cancel"),
    (OPEN, "pay", "reprice"),
    (OPEN, "pay", "note_paid"),
    (OPEN, "pay", "delete"),
    (OPEN, "debit", "cancel"),
    (OPEN, "debit", "reprice"),
    (OPEN, "debit", "note_paid"),
    (OPEN, "debit", "delete"),
    (OPEN, "reprice", "cancel"),
    (OPEN, "reprice", "note_paid"),
    (OPEN, "cancel", "note_paid"),
    (OPEN, "approve", "buy"),
    (OPEN, "approve", "cancel"),
    (APPROVED, "capture", "capture"),
    (APPROVED, "capture", "buy"),
    (APPROVED, "capture", "cancel"),
    (APPROVED, "capture", "reprice"),
    (APPROVED, "capture", "note_paid"),
    (APPROVED, "capture", "delete"),
    (PAID, "refund", "refund"),
    (PAID, "refund_by_key", "refund_by_key"),
    (PAID, "refund_twice", "refund_in_the_dashboard"),
    (PAID, "refund", "dispute"),
    (PAID, "refund", "inquire"),
    (PAID, "refund", "cancel"),
    (PAID, "refund", "reprice"),
    (PAID, "refund", "delete"),
    (PAID, "refund", "note_paid"),
    (PAID, "refund", "buy"),
    (PAID, "refund", "send_again"),
    (PAID, "refund_in_the_dashboard", "dispute"),
    (PAID, "dispute", "buy"),
    (PAID, "dispute", "cancel"),
    (PAID, "dispute", "note_paid"),
    (PAID, "dispute", "send_again"),
    (PAID, "send_again", "send_again"),
    (PAID, "cancel", "reprice"),
    (LOST, "win_the_appeal", "buy"),
    (LOST, "win_the_appeal", "cancel"),
    (LOST, "win_the_appeal", "note_paid"),
    (LOST, "buy", "buy"),
    (LOST, "buy", "cancel"),
]


def run_pairs(field: Battlefield, seed: int, by: Sequence[str], latency: float) -> Counter[str]:
    """Every pair once, all at a time, then the books; how many came to be what. Half of the rounds have no webhooks."""
    chance = Random(seed)
    field.delay(0, chance)
    field.slow_refunds(chance)
    trips = field.trips(len(PAIRS), chance, by)
    with ThreadPoolExecutor(2 * len(PAIRS)) as people:
        list(people.map(prepare, trips, [before for before, *_ in PAIRS]))
        for control in field.gateways.values():
            control.wait_delivered(60)
        field.mute(chance.random() < 0.5)
        field.delay(latency, chance)
        acts = []
        for trip, (_, one, other) in zip(trips, PAIRS, strict=True):
            for deed in (one, other):
                acts.append(people.submit(act, trip, deed, chance.uniform(0, 0.3 + latency / 2)))
        for acted in acts:
            acted.result()
    field.settle(trips)
    before = Counter(field.statuses)
    field.compare(trips)
    return field.statuses - before


def prepare(trip: Trip, before: str) -> None:
    """Bring a new booking so far."""
    if before != NEW:
        trip.begin()
    if before == APPROVED:
        trip.approve()
    if before in (PAID, LOST):
        trip.pay_by(trip.open_pages[-1], is_back=True)
    if before == LOST:
        trip.lose()


def act(trip: Trip, deed: str, seconds: float) -> None:
    time.sleep(seconds)
    getattr(trip, deed)()
