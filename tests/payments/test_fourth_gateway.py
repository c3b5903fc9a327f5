"""A gateway that nobody has heard of: its adapter is all that the service needs of it."""

import csv
import hashlib
import hmac
import io
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from service.config import Config
from service.errors import NotFound
from service.payments.gateway import EventRefused, GatewayError, Hosts, Payment, ProofRefused
from service.payments.gateways import ADAPTERS
from service.payments.reconciliation import reconcile
from service.payments.shapes import CaptureTask, GatewayEvent, PaymentTask, RefundTask
from service.site.policy import policy_of
from tools.project import PROJECT

CREATE, CAPTURE, REFUND, HOOK = (
    f"/api/payments/{name}" for name in ("create-payment-intent", "capture", "refund", "process-webhook/toy")
)


@dataclass
class Purse:
    """A payment at the toy gateway, which counts in coins: minor units. It is open, agreed, full or shut."""

    id: str
    coins: int
    currency: str
    ours: dict[str, str | None]
    state: str = "open"
    back: dict[str, int] = field(default_factory=dict)  # what went back, by our refund


@dataclass
class Bank:
    """The toy gateway itself. Whoever agrees is told a word; it marks its letters with its secret."""

    secret: bytes = b"a toy's secret"
    purses: dict[str, Purse] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def mark(self, text: bytes) -> str:
        return hmac.new(self.secret, text, hashlib.sha256).hexdigest()

    def agree(self, payment_id: str) -> dict[str, str]:
        self.purses[payment_id].state = "agreed"
        return {"word": self.mark(payment_id.encode())}

    def letter(self, payment_id: str) -> tuple[bytes, dict[str, str]]:
        text = json.dumps({"number": f"toy-{id(self)}-{next(self.numbers)}", "purse": payment_id}).encode()
        return text, {"X-Toy-Mark": self.mark(text)}


class ToyGateway:
    name, label, publishable_key = "toy", "Toy", None
    lists_events = has_customers = verifies_by_asking = False
    bank = Bank()

    def __init__(self, config: Config) -> None: ...

    @staticmethod
    def is_configured(config: Config) -> bool:
        return True

    @staticmethod
    def find_gaps(config: Config) -> list[str]:
        return []

    @staticmethod
    def find_hosts(config: Config) -> Hosts:
        return {"script-src": ("https://toy.example",)}

    def create_payment(self, task: PaymentTask) -> Payment:
        ours: dict[str, str | None] = {
            "booking_id": str(task["booking_id"]),
            "transaction_id": task["transaction_id"],
        }
        purse = Purse(f"purse-{task['transaction_id']}", task["amount"], task["currency"], ours)
        return self._payment(self.bank.purses.setdefault(purse.id, purse))

    def retrieve_payment(self, payment_id: str, *, with_refunds: bool = False) -> Payment:
        return self._payment(self.bank.purses[payment_id])

    def check_proof(self, payment_id: str, proof: Mapping[str, str] | None) -> None:
        if (proof or {}).get("word") != self.bank.mark(payment_id.encode()):
            raise ProofRefused

    def capture_payment(self, task: CaptureTask) -> Payment:
        self.bank.purses[task["payment_id"]].state = "full"
        return self.retrieve_payment(task["payment_id"])

    def cancel_payment(self, payment_id: str) -> Payment:
        purse = self.bank.purses[payment_id]
        purse.state = "full" if purse.state == "full" else "shut"
        return self._payment(purse)

    def refund_payment(self, task: RefundTask) -> GatewayEvent:
        purse = self.bank.purses[task["payment_id"]]
        if task["amount"] + sum(purse.back.values()) > purse.coins:
            raise GatewayError("There are not so many coins in it.", is_final=True)
        purse.back[task["refund_id"]] = task["amount"]
        return self._facts(purse)[-1]

    def verify_event(self, body: bytes, headers: Mapping[str, str]) -> str:
        if headers.get("x-toy-mark") != self.bank.mark(body):
            raise EventRefused
        return body.decode()

    def read_event(self, payload: str) -> GatewayEvent | None:
        told = json.loads(payload)
        facts = self._facts(self.bank.purses[told["purse"]])
        return {**facts[-1], "id": told["number"]} if facts else None

    def create_customer(self, task: PaymentTask) -> str:
        raise NotImplementedError

    def delete_customer(self, gateway_customer_id: str) -> None:
        raise NotImplementedError

    def retrieve_event(self, event_id: str) -> str:
        raise NotFound.of("Event")

    def list_events(self, since: datetime, *, is_undelivered: bool) -> Iterator[tuple[str, str]]:
        return iter(())

    def find_faults(self, amount: int, currency: str) -> list[str]:
        return []

    def _payment(self, purse: Purse) -> Payment:
        states: Any = {"open": "payable", "agreed": "approved", "full": "paid", "shut": "canceled"}
        return Payment(
            id=purse.id,
            status=purse.state,
            state=states[purse.state],
            amount=purse.coins,
            currency=purse.currency,
            checkout={"purse": purse.id},
            facts=self._facts(purse),
        )

    def _facts(self, purse: Purse) -> list[GatewayEvent]:
        now = datetime.now(UTC).isoformat()
        kinds = {"agreed": "payment.approved", "full": "payment.succeeded", "shut": "payment.canceled"}
        if purse.state not in kinds:
            return []
        base: GatewayEvent = {
            "gateway": self.name,
            "kind": kinds[purse.state],
            "type": purse.state,
            "occurred_at": now,
            "payment_id": purse.id,
            "currency": purse.currency,
            "metadata": purse.ours,
            "amount": purse.coins,
            "payment_method": "coins",
        }
        refunds: list[GatewayEvent] = [
            {
                **base,
                "kind": "refund.changed",
                "refund": {
                    "id": f"back-{ours}",
                    "amount": coins,
                    "status": "succeeded",
                    "reference": ours,
                    "created_at": now,
                },
            }
            for ours, coins in purse.back.items()
        ]
        return [base, *refunds]


@pytest.fixture
def bank(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bank]:
    monkeypatch.setitem(ADAPTERS, "toy", ToyGateway)
    yield ToyGateway.bank
    app.extensions["payment_gateways"].pop("toy", None)


@pytest.fixture
def agreed(api, bank, book):
    """Makes a booking whose payer agrees to pay by the toy; (booking id, transaction id, payment id, proof)."""

    def agree() -> tuple[str, str, str, dict[str, str]]:
        booking_id = book()
        begun = api.post(CREATE, {"bookingId": booking_id, "gateway": "toy"})
        assert (begun["gateway"], begun["checkout"]) == ("toy", {"purse": begun["paymentIntentId"]})
        assert (begun["status"], begun["clientSecret"]) == ("open", None)
        payment_id = begun["paymentIntentId"]
        return booking_id, begun["transactionId"], payment_id, bank.agree(payment_id)

    return agree


def test_it_is_one_of_the_ways_to_pay(app, api, bank):
    assert api.get("/api/payments/gateways")["gateways"][-1] == {
        "name": "toy",
        "label": "Toy",
        "publishableKey": None,
    }
    page = PROJECT / "service" / "payments" / "desk.html"
    assert "https://toy.example" in policy_of(page, app.extensions["config"], "http://site.example")


def test_the_page_has_the_money_taken(api, agreed, ledger):
    booking_id, transaction_id, _, proof = agreed()
    forged = {"transactionId": transaction_id, "proof": {"word": "please"}}
    assert api.post(CAPTURE, forged, expect=400)["code"] == "payment_proof_refused"
    assert ledger.booking(booking_id) == ("Pending", "Pending")
    answer = api.post(CAPTURE, {"transactionId": transaction_id, "proof": proof})
    assert (answer["gateway"], answer["status"]) == ("toy", "paid")
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


def test_its_events_are_verified_and_counted_once(api, bank, agreed, settle, ledger):
    """That the payer agreed, and closed the window; the worker takes the money."""
    booking_id, _, payment_id, _ = agreed()
    text, headers = bank.letter(payment_id)
    forged = text.replace(b"purse-", b"purze-")
    assert api.post(HOOK, data=forged, headers=headers, expect=400)["code"] == "webhook_refused"
    for _ in range(2):
        assert api.post(HOOK, data=text, headers=headers) == {"received": True}
    bank.purses[payment_id].state = "full"
    for _ in range(2):
        text, headers = bank.letter(payment_id)
        api.post(HOOK, data=text, headers=headers)
    assert ledger.audit(booking_id) == [(None, "pending", "checkout"), ("pending", "completed", "toy")]


def test_reconciliation_takes_what_was_agreed_and_finds_what_was_lost(app, bank, agreed, ledger):
    left, lost = agreed(), agreed()
    bank.purses[lost[2]].state = "full"
    with app.app_context():
        assert reconcile().get("errors", 0) == 0
    for booking_id, *_ in (left, lost):
        assert ledger.booking(booking_id) == ("Paid", "Confirmed")


def test_another_way_to_pay_takes_its_place(api, bank, stripe, agreed, ledger):
    booking_id, transaction_id, payment_id, proof = agreed()
    api.post(CREATE, {"bookingId": booking_id, "gateway": "stripe"})
    assert bank.purses[payment_id].state == "shut"
    answer = api.post(CAPTURE, {"transactionId": transaction_id, "proof": proof}, expect=409)
    assert answer["code"] == "payment_canceled"
    assert [status for status, *_ in ledger.transactions(booking_id)] == ["failed", "pending"]


def test_staff_gives_back_and_finds_it_in_every_list(api, agreed, staff, ledger):
    booking_id, transaction_id, payment_id, proof = agreed()
    api.post(CAPTURE, {"transactionId": transaction_id, "proof": proof})
    admin = staff()
    body = {"bookingId": booking_id, "reason": "storm", "amount": 5000}
    assert admin.api.post(REFUND, body)["status"] == "succeeded"
    assert admin.api.post(REFUND, {**body, "amount": 29999}, expect=400)["code"] == "refund_too_large"
    assert ledger.transactions(booking_id) == [("completed", 29999, 5000)]
    rows = admin.api.get("/api/payments/transactions?gateway=toy&limit=100")["transactions"]
    assert {row["gateway"] for row in rows} == {"toy"}
    assert transaction_id in [row["id"] for row in rows]
    assert admin.api.get(f"/api/payments/transactions/{transaction_id}")["refunds"][0]["amount"] == 5000
    text = admin.api.get("/api/payments/transactions.csv?from=2026-01-01&to=2030-01-01").decode()
    (row,) = [row for row in csv.DictReader(io.StringIO(text.lstrip("\ufeff"))) if payment_id in row.values()]
    assert (row["Gateway"], row["Paid by"]) == ("toy", "coins")
