"""What payers, staff and banks do to one booking, each through the door that they have; nobody asks another first."""

import contextlib
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from devstack.gateway import Control, GatewayRefused
from devstack.gateway.client import How
from tests.payments.books import Booking

CREATE, CAPTURE, REFUND = (f"/api/payments/{name}" for name in ("create-payment-intent", "capture", "refund"))
# How a dispute may go on once it was opened as a chargeback, or as an inquiry; each step is a method of Control. What a
# gateway does not have, it refuses.
CHARGEBACKS = (
    (),
    (("respond",),),
    (("close_dispute", "won"),),
    (("respond",), ("close_dispute", "lost")),
    (("close_dispute", "lost"), ("appeal", "won")),
    (("close_dispute", "won"), ("appeal", "lost")),
)
INQUIRIES = ((), (("close_dispute", "warning_closed"),), (("escalate",),), (("escalate",), ("close_dispute", "lost")))
# Of what is refunded and disputed in part, in minor units: no gateway refunds less than a hundred.
SMALL, SMALLER = 200, 100

PATIENCE = 40  # seconds that a person goes on trying; a real PostgREST may need half of them after a kill


class Door:
    """The service from outside: a call is made again while it is answered by a 5xx or not at all."""

    def __init__(self, url: str, staff_token: str, gateways: Mapping[str, Control]) -> None:
        self.http = httpx.Client(base_url=url, timeout=30, limits=httpx.Limits(max_connections=200))
        self.token, self.gateways = staff_token, gateways
        self.patience = float(PATIENCE)
        self.faults = 0  # calls that were answered by a 5xx or not at all
        self.refusals: Counter[str] = Counter()  # by code

    def insist(self, method: str, path: str, body: Any = None, *, key: str | None = None, is_staff: bool = True) -> Any:
        """The body of the answer, None where it was refused or patience ended."""
        headers = {"Authorization": f"Bearer {self.token}"} if is_staff else {}
        headers |= {"Idempotency-Key": key} if key else {}
        until = time.monotonic() + self.patience
        while time.monotonic() < until:
            try:
                answer = self.http.request(method, path, json=body, headers=headers)
                if answer.status_code < 500:
                    return self.read(answer)
            except httpx.HTTPError:
                pass
            self.faults += 1
            time.sleep(0.1)
        return None

    def read(self, answer: httpx.Response) -> Any:
        if answer.is_success:
            return answer.json()
        self.refusals[f"{answer.status_code} {answer.json()['code']}"] += 1
        return None


@dataclass(frozen=True)
class Page:
    """A payment page that somebody has open."""

    control: Control
    payment_id: str
    transaction_id: str


@dataclass
class Trip:
    """One booking, and everybody who does something to it. ``by``: the gateways that its payers choose among."""

    door: Door
    booking_id: str
    price: int  # minor units
    chance: random.Random
    by: Sequence[str]
    new_price: int | None = None
    open_pages: list[Page] = field(default_factory=list)
    paid: list[Page] = field(default_factory=list)
    slow: list[Page] = field(default_factory=list)  # paid in a way that takes its time
    dispute_id: str | None = None
    refunds_asked: int = 0
    changed_at: float | None = None

    @property
    def told(self) -> Booking:
        prices = [self.price] + ([self.new_price] if self.new_price else [])
        return Booking(self.booking_id, prices, self.refunds_asked, self.changed_at)

    # --- payers

    def begin(self) -> None:
        key = f"page-{self.booking_id}-{self.chance.random()}" if self.chance.random() < 0.3 else None
        asked = {"bookingId": self.booking_id, "gateway": self.chance.choice(self.by)}
        begun = self.door.insist("POST", CREATE, asked, key=key, is_staff=False)
        if begun:
            control = self.door.gateways[begun["gateway"]]
            self.open_pages.append(Page(control, begun["paymentIntentId"], begun["transactionId"]))

    def pay(self) -> None:
        """By a page that is open; a first card may be declined, and the payer then takes another there."""
        for page in self._any_page():
            if self.chance.random() < 0.2:
                self.pay_by(page, "declined", is_back=True)
            if self.chance.random() < 0.15:
                self.pay_by(page, "approved")
            else:
                self.pay_by(page, is_back=self.chance.random() < 0.8)

    def approve(self) -> None:
        """And close the window, so that the worker takes the money."""
        for page in self._any_page():
            self.pay_by(page, "approved")

    def debit(self) -> None:
        """From a bank account, which takes a second."""
        for page in self._any_page():
            self.pay_by(page, "slow", is_back=True)
            time.sleep(1)
            self.end_slow()

    def pay_by(self, page: Page, how: How = "paid", *, is_back: bool = False) -> None:
        """At the gateway's own page, from where not everybody comes back to ours."""
        with contextlib.suppress(GatewayRefused):  # canceled or paid meanwhile
            proof = page.control.pay(page.payment_id, how)["proof"]
            if how != "declined":
                self.paid.append(page)
            if how == "slow":
                self.slow.append(page)
            if is_back:
                self.come_back(page, proof)

    def come_back(self, page: Page, proof: dict[str, str] | None = None) -> None:
        """Our page says that its payer has agreed."""
        told = {"transactionId": page.transaction_id, "proof": proof}
        self.door.insist("POST", CAPTURE, told, is_staff=False)

    def capture(self) -> None:
        for page in self._any_page():
            self.come_back(page)

    def end_slow(self) -> bool:
        """What takes its time comes, or comes to nothing; whether anything did."""
        return bool([page for page in self.slow[:] if self._end(page)])

    def _end(self, page: Page) -> bool:
        """Refused while it was not taken yet."""
        try:
            page.control.settle(page.payment_id, self.chance.choice(["succeeded", "failed"]))
        except GatewayRefused:
            return False
        self.slow.remove(page)
        return True

    def _any_page(self) -> list[Page]:
        """One of the last two, in a list; nothing where none is open."""
        return [self.chance.choice(self.open_pages[-2:])] if self.open_pages else []

    def buy(self) -> None:
        self.begin()
        time.sleep(self.chance.uniform(0, 0.2))
        self.pay()

    # --- staff

    def change(self, **changes: Any) -> None:
        if self.door.insist("PATCH", f"/api/bookings/{self.booking_id}", changes):
            self.changed_at = time.time()

    def cancel(self) -> None:
        self.change(status="Cancelled")

    def reprice(self) -> None:
        self.new_price = self.price + 5000
        self.change(amount=self.new_price / 100)

    def note_paid(self) -> None:
        body = {"id": self.booking_id, "payment_status": "Paid"}
        self.door.insist("POST", "/api/bookings/update-payment", body)

    def delete(self) -> None:
        if self.door.insist("DELETE", f"/api/bookings/{self.booking_id}"):
            self.changed_at = time.time()

    def refund(self, key: str | None = None, amount: int | None = None) -> Any:
        """What staff wants once, however often it is asked: the same words."""
        body = {"bookingId": self.booking_id, "reason": "storm"} | ({"amount": amount} if amount else {})
        self.refunds_asked = 1
        return self.door.insist("POST", REFUND, body, key=key)

    def refund_by_key(self) -> Any:
        return self.refund(f"refund-{self.booking_id}")

    def refund_twice(self) -> Any:
        """Two clicks at once, and a third when both are answered."""
        key = self.chance.choice([None, f"refund-{self.booking_id}"])
        amount = self.chance.choice([None, SMALLER, SMALL])
        with ThreadPoolExecutor(2) as hands:
            asked = [hands.submit(self.refund, key, amount) for _ in range(2)]
        again = self.refund(key, amount)
        return again or next((click.result() for click in asked if click.result()), None)

    def refund_in_the_dashboard(self) -> None:
        with contextlib.suppress(GatewayRefused):
            for page in self.paid[-1:]:
                page.control.refund(page.payment_id, self.chance.choice([SMALLER, SMALL, None]))

    # --- banks and gateways

    def dispute(self) -> None:
        self.open_dispute(inquiry=False, steps=self.chance.choice(CHARGEBACKS))

    def inquire(self) -> None:
        self.open_dispute(inquiry=True, steps=self.chance.choice(INQUIRIES))

    def open_dispute(self, inquiry: bool, steps: Any) -> None:
        with contextlib.suppress(GatewayRefused):  # all of it was refunded
            for page in self.paid[-1:]:
                amount = self.chance.choice([None, SMALL])
                self.dispute_id = page.control.dispute(page.payment_id, amount, inquiry=inquiry)["id"]
                for name, *how in steps:
                    # Times there are whole seconds, and no bank decides twice in one.
                    time.sleep(1.1 if name == "appeal" else self.chance.uniform(0, 0.3))
                    self.dispute_id = getattr(page.control, name)(self.dispute_id, *how)["id"]

    def lose(self) -> None:
        self.open_dispute(inquiry=False, steps=(("close_dispute", "lost"),))

    def win_the_appeal(self) -> None:
        with contextlib.suppress(GatewayRefused):  # all of it was refunded
            for page in self.paid[-1:]:
                if self.dispute_id:
                    time.sleep(1.1)
                    page.control.appeal(self.dispute_id, "won")

    def send_again(self) -> None:
        """Each event of the payment once more, three copies at once."""
        with contextlib.suppress(GatewayRefused):
            for page in self.paid[-1:]:
                for event in page.control.events(about=page.payment_id):
                    page.control.deliver(event["id"], copies=3)
