"""The great promises, kept with every gateway and by real processes; at full length in tests/proof."""

import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from random import Random
from typing import ClassVar

import pytest

from devstack.gateway import Control
from tests.conftest import DIRECTORY
from tests.payments.books import check_booking, compare
from tests.payments.crashes import PARTS, Battlefield, battlefield
from tests.payments.people import CAPTURE, CREATE, REFUND, Page, Trip
from tests.payments.ways import GATEWAYS, WAYS
from tests.sure import fetch_row

pytestmark = [pytest.mark.timeout(180), pytest.mark.fresh]  # on a stack of its own, whatever was there before
ORDERS = list(itertools.permutations(range(4)))
# Each part is killed, and each gateway and the mixture of all is in use meanwhile.
ROUNDS = list(zip(itertools.cycle(WAYS), PARTS, strict=False))


@pytest.fixture(scope="module")
def field() -> Iterator[Battlefield]:
    directory = DIRECTORY / "battlefield"
    try:
        with battlefield(directory) as running:
            yield running
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=GATEWAYS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def control(field: Battlefield, name: str) -> Iterator[Control]:
    """The gateway's stand-in, which sends its events only when told to."""
    field.mute(True)
    control = field.gateways[name]
    yield control
    for each in field.gateways.values():
        each.end_outages()
        each.deliveries(on=False, forget=True)
    field.mute(False)


@pytest.fixture
def begin(field: Battlefield, control: Control, name: str) -> Callable[[], Trip]:
    """Makes a booking whose payment page is open."""

    def begin() -> Trip:
        (trip,) = field.trips(1, Random(1), [name])
        trip.begin()
        return trip

    return begin


def pay(trip: Trip) -> Page:
    """So that the service knows nothing of it. Where it takes the money itself, the answer to that is lost."""
    page = trip.open_pages[-1]
    proof = page.control.pay(page.payment_id)["proof"]
    if not page.control.books()[page.payment_id]["paid"]:
        page.control.outage("reset", when="after", method="POST", path="*/capture")
        told = {"transactionId": page.transaction_id, "proof": proof}
        assert trip.door.http.post(CAPTURE, json=told).status_code == 503
        page.control.end_outages()
    assert page.control.books()[page.payment_id]["paid"] == trip.price
    return page


def audit(field: Battlefield, trip: Trip) -> list[tuple[str | None, str]]:
    """(old status, new status) in order, of all of the booking's payments."""
    query = (
        "select a.old_status, a.new_status from transaction_audit_logs a join transactions t on t.id = a.transaction_id"
        " where t.booking_id::text = %s order by a.id"
    )
    with field.database() as db:
        return db.execute(query, [trip.booking_id]).fetchall()


@pytest.mark.parametrize(("way", "part", "seed"), [(*both, seed) for seed, both in enumerate(ROUNDS, 1)])
def test_no_payment_is_lost_or_doubled_when_parts_are_killed(field, way, part, seed):
    ended = field.run(8, part, seed, WAYS[way])
    assert ended["not begun"] <= 1, ended


def test_every_order_of_events_ends_alike(field, control, begin):
    """Of what a gateway tells of a payment that was declined, paid and given back: in four parts, each twice."""
    trips = [begin() for _ in ORDERS]
    for trip in trips:
        trip.pay_by(trip.open_pages[-1], "declined", is_back=True)
    time.sleep(1)  # times there are whole seconds, and nobody pays twice in one
    for trip in trips:
        control.refund(pay(trip).payment_id)

    def tell(trip: Trip, order: tuple[int, ...]) -> None:
        events = [event["id"] for event in control.events(about=trip.open_pages[-1].payment_id)]
        for number in order:
            for event in events[number::4] * 2:
                control.deliver(event)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(tell, trips, ORDERS))
    with field.database() as db:
        compare(field.gateways, db)
        for trip in trips:
            assert check_booking(db, trip.told) == "Refunded"


def test_fifty_copies_at_once_have_one_effect(field, control, begin):
    trip = begin()
    page = pay(trip)
    for event in control.events(about=page.payment_id):
        assert {attempt["status"] for attempt in control.deliver(event["id"], copies=50)} == {200}
    field.settle([trip])
    field.compare([trip])
    assert [new for _, new in audit(field, trip)].count("completed") == 1


@pytest.mark.parametrize("is_told", [True, False], ids=["told by an event", "told by nobody"])
def test_a_refund_whose_answer_was_lost_is_made_once(field, control, begin, is_told):
    trip = begin()
    page = pay(trip)
    field.settle([trip])
    field.mute(True)
    control.outage("reset", when="after", method="POST", path="*refund*")
    body = {"bookingId": trip.booking_id, "reason": "storm", "amount": 5000}
    staff = {"Authorization": f"Bearer {field.door.token}"}
    assert field.door.http.post(REFUND, json=body, headers=staff).status_code == 503
    control.end_outages()
    control.forget_keys()
    if is_told:
        for event in control.events(about=page.payment_id):
            control.deliver(event["id"])
    answer = field.door.http.post(REFUND, json=body, headers=staff).json()
    assert (answer["amount"], answer["status"]) == (5000, "succeeded")
    assert field.door.http.post(REFUND, json=body, headers=staff).json() == {**answer, "repeated": True}
    made = [refund["amount"] for refund in control.refunds() if refund["payment_id"] == page.payment_id]
    assert made == [5000]
    trip.refunds_asked = 1
    field.settle([trip])
    field.compare([trip])


@pytest.mark.parametrize("seconds", [0, 1])
def test_twenty_at_once_get_the_same_payment(field, control, name, seconds):
    (trip,) = field.trips(1, Random(1), [name])
    before = control.books()
    control.outage("delay", method="POST", seconds=seconds)
    with ThreadPoolExecutor(20) as people:
        list(people.map(lambda _: trip.begin(), range(20)))
    assert len(trip.open_pages) == 20
    assert control.books().keys() - before.keys() == {page.payment_id for page in trip.open_pages}
    assert len({page.payment_id for page in trip.open_pages}) == 1


def test_what_is_paid_by_an_old_page_is_known_though_nobody_tells_of_it(field, control, begin):
    """The price has changed since, and the payment was taken back, where the gateway knows how."""
    trip = begin()
    trip.reprice()
    trip.begin()
    old, new = trip.open_pages
    assert old.payment_id != new.payment_id
    trip.pay_by(old)
    field.settle([trip])
    field.compare([trip])


@pytest.fixture
def other(name: str) -> str:
    """The next gateway after this one."""
    return GATEWAYS[(GATEWAYS.index(name) + 1) % len(GATEWAYS)]


def test_another_gateway_takes_the_place_of_an_open_page(field, begin, other):
    """Whoever pays by both all the same is told of, or pays by the second alone."""
    trip = begin()
    trip.by = [other]
    trip.begin()
    old, new = trip.open_pages
    assert new.control is field.gateways[other]
    trip.pay_by(old, is_back=True)
    trip.pay_by(new, is_back=True)
    field.settle([trip])
    field.compare([trip])
    with field.database() as db:
        assert check_booking(db, trip.told) == "Paid"


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_while_money_is_on_its_way_no_other_gateway_is_paid_by(field, control, begin, other, outcome):
    trip = begin()
    page = trip.open_pages[0]
    trip.pay_by(page, "slow", is_back=True)
    trip.by = [other]
    asked = {"bookingId": trip.booking_id, "gateway": other}
    for _ in range(2):
        refused = trip.door.http.post(CREATE, json=asked)
        assert (refused.status_code, refused.json()["code"]) == (409, "payment_processing")
    control.settle(page.payment_id, outcome)
    trip.begin()
    assert len(trip.open_pages) == (1 if outcome == "succeeded" else 2)
    for opened in trip.open_pages[1:]:
        trip.pay_by(opened, is_back=True)
    field.settle([trip])
    field.compare([trip])
    with field.database() as db:
        assert check_booking(db, trip.told) == "Paid"


class Catcher(BaseHTTPRequestHandler):
    """A webhook that only looks at what comes."""

    caught: ClassVar[list[tuple[bytes, dict[str, str]]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.caught.append((body, dict(self.headers)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def catch(control: Control) -> Iterator[Callable[[str], tuple[bytes, dict[str, str]]]]:
    """An event as the gateway sends it: its body and its headers."""
    (url,) = (control.webhook()["url"],)
    with HTTPServer(("127.0.0.1", 0), Catcher) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        control.webhook(url=f"http://127.0.0.1:{server.server_port}/")

        def catch(event_id: str) -> tuple[bytes, dict[str, str]]:
            control.deliver(event_id)
            return Catcher.caught[-1]

        yield catch
        control.webhook(url=url)
        server.shutdown()
        thread.join()


def test_what_the_gateway_did_not_sign_changes_nothing(field, control, name, begin, catch):
    trip = begin()
    page = pay(trip)
    event = control.events(about=page.payment_id)[-1]
    body, headers = catch(event["id"])
    signed = {name: value for name, value in headers.items() if "sig" in name.lower()}
    kept = {name: value for name, value in headers.items() if name not in ("Host", "Content-Length")}
    before = audit(field, trip)

    def send(body: bytes, headers: dict[str, str], to: str = name) -> int:
        return field.door.http.post(f"/api/payments/process-webhook/{to}", content=body, headers=headers).status_code

    assert signed
    assert send(body, {header: value for header, value in kept.items() if header not in signed}) == 400
    assert send(body.replace(b"29", b"30", 1) + b" ", kept) == 400
    for header, value in signed.items():
        assert send(body, {**kept, header: value[:-4] + "AAAA"}) == 400
        assert send(body, {**kept, header: ""}) == 400
    for other in {*GATEWAYS} - {name}:
        assert send(body, kept, other) == 400
    assert send(body, kept, "nobody") == 400
    assert audit(field, trip) == before
    with field.database() as db:
        assert fetch_row(db, "select count(*) from unverified_events")[0] == 0
        assert fetch_row(db, "select count(*) from gateway_events where id = %s", [event["id"]])[0] == 0
    assert send(body, kept) == 200
    assert before != audit(field, trip)
