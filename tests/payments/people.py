"""What payers, staff and banks do to one booking, each through the door that they have; nobody asks another first."""

import contextlib
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from devstack.stripe import Control, StripeRefused
from tests.payments.books import Booking

CREATE, REFUND = "/api/payments/create-payment-intent", "/api/payments/refund"
# How a dispute may go on once it was opened as a chargeback, or as an inquiry; each step is a method of Control.
CHARGEBACKS = (
    (),
    (("respond",),),
    (("close_dispute", "won"),),
    (("respond",), ("close_dispute", "lost")),
    (("close_dispute", "lost"), ("appeal", "won")),
    (("close_dispute", "won"), ("appeal", "lost")),
)
INQUIRIES = ((), (("close_dispute", "warning_closed"),), (("escalate",),), (("escalate",), ("close_dispute", "lost")))


PATIENCE = 40  # seconds that a person goes on trying; a real PostgREST may need half of them after a kill


class Door:
    """The service from outside: a call is made again while it is answered by a 5xx or not at all."""

    def __init__(self, url: str, staff_token: str, stripe: Control) -> None:
        self.http = httpx.Client(base_url=url, timeout=30, limits=httpx.Limits(max_connections=200))
        self.token, self.stripe = staff_token, stripe
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


@dataclass
class Trip:
    """One booking, and everybody who does something to it."""

    door: Door
    booking_id: str
    price: int  # minor units
    chance: random.Random
    new_price: int | None = None
    open_pages: list[str] = field(default_factory=list)  # client secrets
    paid: list[str] = field(default_factory=list)  # intents
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
        begun = self.door.insist("POST", CREATE, {"bookingId": self.booking_id}, key=key, is_staff=False)
        if begun:
            self.open_pages.append(begun["clientSecret"])

    def pay(self) -> None:
        """By the page opened last; a first card may be declined, and the payer then takes another there."""
        for secret in self.open_pages[-1:]:
            if self.chance.random() < 0.2:
                self.confirm(secret, "pm_card_chargeDeclined")
            self.confirm(secret, self.chance.choice(["pm_card_visa"] * 8 + ["pm_card_pendingRefund"]))

    def debit(self) -> None:
        """From a bank account, which takes a second."""
        for secret in self.open_pages[-1:]:
            self.confirm(secret, self.chance.choice(["pm_usBankAccount_success", "pm_usBankAccount_noAccount"]))

    def confirm(self, secret: str, card: str) -> None:
        with contextlib.suppress(StripeRefused):  # canceled or paid meanwhile
            intent = self.door.stripe.confirm(secret, card)
            if intent["status"] in ("succeeded", "processing"):
                self.paid.append(intent["id"])

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
        amount = self.chance.choice([None, 1, 20])
        with ThreadPoolExecutor(2) as hands:
            asked = [hands.submit(self.refund, key, amount) for _ in range(2)]
        again = self.refund(key, amount)
        return again or next((click.result() for click in asked if click.result()), None)

    def refund_in_the_dashboard(self) -> None:
        for intent in self.paid[-1:]:
            with contextlib.suppress(StripeRefused):
                self.door.stripe.refund(intent, self.chance.choice([1, 25, None]))

    # --- banks and Stripe

    def dispute(self) -> None:
        self.open_dispute(inquiry=False, steps=self.chance.choice(CHARGEBACKS))

    def inquire(self) -> None:
        self.open_dispute(inquiry=True, steps=self.chance.choice(INQUIRIES))

    def open_dispute(self, inquiry: bool, steps: Any) -> None:
        for intent in self.paid[-1:]:
            with contextlib.suppress(StripeRefused):  # all of it was refunded
                amount = self.chance.choice([None, 30])
                self.dispute_id = self.door.stripe.dispute(intent, amount, inquiry=inquiry)["id"]
                for name, *how in steps:
                    # Stripe's times are whole seconds, and no bank decides twice in one.
                    time.sleep(1.1 if name == "appeal" else self.chance.uniform(0, 0.3))
                    getattr(self.door.stripe, name)(self.dispute_id, *how)

    def lose(self) -> None:
        self.open_dispute(inquiry=False, steps=(("close_dispute", "lost"),))

    def win_the_appeal(self) -> None:
        if self.dispute_id:
            with contextlib.suppress(StripeRefused):
                time.sleep(1.1)
                self.door.stripe.appeal(self.dispute_id, "won")

    def send_again(self) -> None:
        """Each event of the payment once more, three copies at once."""
        for intent in self.paid[-1:]:
            for event in self.door.stripe.events(about=intent):
                self.door.stripe.deliver(event["id"], copies=3)
