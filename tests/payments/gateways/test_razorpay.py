"""Razorpay's adapter over the local Razorpay: what it asks, what it makes of the answers, and what of faults."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from devstack.razorpay import Control, signed, wait_for
from service.config import Config
from service.payments.gateway import EventRefused, GatewayError, PaymentsNotConfigured, ProofRefused
from service.payments.gateways import client
from service.payments.gateways.razorpay import RazorpayGateway
from tools.stack import Stack

BOOKING = "6d3f0a55-2f0b-4a43-9a52-5b8f2c1de001"


@pytest.fixture
def razorpay(stack: Stack) -> Iterator[Control]:
    control = Control(stack.url("razorpay"))
    control.deliveries(on=False)
    yield control
    control.end_outages()
    control.next_refunds(None)
    control.set(deduct_at_onset=True, repeated_receipts="returned", refunds_refused=None)
    control.http.close()


@pytest.fixture
def gateway_of(settings_for: Callable[..., Config]) -> Iterator[Callable[..., RazorpayGateway]]:
    made = []

    def make(**changes: str | None) -> RazorpayGateway:
        made.append(RazorpayGateway(settings_for(**changes)))
        return made[-1]

    yield make
    for each in made:
        each.session.close()


@pytest.fixture
def gateway(gateway_of: Callable[..., RazorpayGateway], razorpay: Control) -> RazorpayGateway:
    return gateway_of()


def payment_task(**changes: Any) -> Any:
    task = {
        "transaction_id": str(uuid4()),
        "booking_id": BOOKING,
        "gateway": "razorpay",
        "amount": 49900,
        "currency": "inr",
        "attempt": 1,
        "customer_name": "Ada",
        "customer_email": "ada@example.com",
    }
    return task | changes


def refund_task(payment_id: str, charge_id: str | None, **changes: Any) -> Any:
    task = {
        "refund_id": str(uuid4()),
        "payment_id": payment_id,
        "charge_id": charge_id,
        "amount": 1000,
        "currency": "inr",
        "attempt": 1,
        "is_resumed": False,
    }
    return task | changes


def capture_task(payment_id: str) -> Any:
    return {"payment_id": payment_id, "amount": 49900, "currency": "inr", "attempt": 1}


def kinds(facts: list[Any]) -> list[str]:
    return [fact["kind"] for fact in facts]


def taken(gateway: RazorpayGateway, razorpay: Control) -> tuple[str, str]:
    """A payment that is paid, and its charge."""
    made = gateway.create_payment(payment_task())
    return made.id, razorpay.pay(made.id)["payment_id"]


def test_payment_is_an_order_made_once(gateway: RazorpayGateway, razorpay: Control, stack: Stack) -> None:
    task = payment_task()
    made = gateway.create_payment(task)
    order = razorpay.get(made.id)
    assert (order["amount"], order["currency"], order["receipt"]) == (49900, "INR", f"{task['transaction_id']}:1")
    assert order["notes"] == {"booking_id": BOOKING, "transaction_id": task["transaction_id"]}
    assert (made.state, made.status, made.amount, made.currency, made.facts) == ("payable", "created", 49900, "inr", [])
    assert made.checkout == {
        "key": gateway.publishable_key,
        "order_id": made.id,
        "amount": 49900,
        "currency": "INR",
        "name": "JKLG Travel",
        "script": f"{stack.url('razorpay')}/v1/checkout.js",
        "prefill": {"name": "Ada", "email": "ada@example.com"},
    }
    assert gateway.create_payment(task).id == made.id
    razorpay.set(repeated_receipts="refused")
    assert gateway.create_payment(task).id == made.id
    assert gateway.create_payment(task | {"attempt": 2}).id != made.id


@pytest.mark.parametrize("fault", ["reset", "error"])
def test_lost_answer_leaves_one_order(gateway: RazorpayGateway, razorpay: Control, fault: str) -> None:
    task = payment_task()
    razorpay.outage(fault, when="after", count=1, method="POST")
    made = gateway.create_payment(task)
    found = [each for each in razorpay.ledger()["orders"] if each["receipt"] == f"{task['transaction_id']}:1"]
    assert [each["id"] for each in found] == [made.id]


def test_account_without_unique_receipts(gateway: RazorpayGateway, razorpay: Control) -> None:
    refused = {"description": "unique_receipt is/are not required", "reason": "extra_field_sent"}
    task = payment_task()
    razorpay.outage("error", status=400, error=refused, count=1, method="POST")
    made = gateway.create_payment(task)
    razorpay.outage("error", status=400, error=refused, count=1, method="POST")
    assert gateway.create_payment(task).id == made.id


def test_states_and_facts(gateway: RazorpayGateway, razorpay: Control) -> None:
    made = gateway.create_payment(payment_task())
    razorpay.pay(made.id, "declined")
    found = gateway.retrieve_payment(made.id)
    assert (found.state, kinds(found.facts)) == ("payable", ["payment.failed"])
    assert found.facts[0]["failure_code"] == "payment_failed" and "declined" in found.facts[0]["failure_reason"]
    assert gateway.retrieve_payment(made.id).facts == found.facts  # the same news, however often it is asked
    razorpay.pay(made.id, "slow")
    found = gateway.retrieve_payment(made.id)
    assert (found.state, kinds(found.facts)) == ("under_way", ["payment.failed", "payment.processing"])
    razorpay.settle(made.id)
    found = gateway.retrieve_payment(made.id)
    (fact,) = found.facts
    assert (found.state, fact["kind"], fact["amount"], fact["currency"]) == ("paid", "payment.succeeded", 49900, "inr")
    assert (fact["payment_id"], fact["payment_method"]) == (made.id, "upi")
    assert fact["charge_id"] == razorpay.payments(made.id)[-1]["id"] and fact["metadata"]["booking_id"] == BOOKING
    assert "payment.succeeded" in fact["type"] and datetime.fromisoformat(fact["occurred_at"]).tzinfo == UTC


def test_attempt_without_an_end_is_given_up(gateway: RazorpayGateway, razorpay: Control, monkeypatch: Any) -> None:
    made = gateway.create_payment(payment_task())
    razorpay.pay(made.id, "slow")
    monkeypatch.setattr("service.payments.gateways.razorpay_events.PATIENCE", -2)
    found = gateway.retrieve_payment(made.id)
    assert (found.state, kinds(found.facts)) == ("payable", ["payment.failed"])


def test_what_was_approved_is_captured_once(gateway: RazorpayGateway, razorpay: Control) -> None:
    made = gateway.create_payment(payment_task())
    razorpay.pay(made.id, "approved")
    found = gateway.retrieve_payment(made.id)
    assert (found.state, kinds(found.facts)) == ("approved", ["payment.approved"])
    razorpay.outage("reset", when="after", count=1, path="*/capture")
    for _ in range(2):
        assert gateway.capture_payment(capture_task(made.id)).state == "paid"
    assert razorpay.books()[made.id]["paid"] == 49900


def test_capture_of_what_was_not_approved_changes_nothing(gateway: RazorpayGateway, razorpay: Control) -> None:
    made = gateway.create_payment(payment_task())
    assert gateway.capture_payment(capture_task(made.id)).state == "payable"
    razorpay.pay(made.id, "declined")
    assert gateway.capture_payment(capture_task(made.id)).state == "payable"
    assert razorpay.requests("POST", "/v1/payments/x/capture") == []


def test_canceled_is_canceled_for_us(gateway: RazorpayGateway, razorpay: Control) -> None:
    made = gateway.create_payment(payment_task())
    gone = gateway.cancel_payment(made.id)
    assert (gone.state, gone.checkout, kinds(gone.facts)) == ("canceled", {}, ["payment.canceled"])
    razorpay.pay(made.id, "slow")
    assert gateway.cancel_payment(made.id).state == "under_way"
    razorpay.settle(made.id, "failed")
    razorpay.pay(made.id, "approved")
    assert gateway.cancel_payment(made.id).state == "canceled"
    razorpay.expire(made.id)
    found = gateway.retrieve_payment(made.id, with_refunds=True)
    assert (found.state, found.facts[-1]["failure_code"]) == ("payable", "expired")
    razorpay.pay(made.id)
    assert gateway.cancel_payment(made.id).state == "paid"
    assert gateway.retrieve_payment("order_none").state == "canceled"


def test_proof_of_the_page(gateway: RazorpayGateway, razorpay: Control) -> None:
    made, other = (gateway.create_payment(payment_task()).id for _ in range(2))
    proof = razorpay.pay(made)["proof"]
    gateway.check_proof(made, None)
    gateway.check_proof(made, proof)
    forged: list[Any] = [
        {},
        proof | {"razorpay_signature": "0" * 64},
        proof | {"razorpay_signature": "ä"},
        proof | {"razorpay_payment_id": "pay_other"},
        {name: value for name, value in proof.items() if name != "razorpay_signature"},
    ]
    for each in forged:
        with pytest.raises(ProofRefused):
            gateway.check_proof(made, each)
    with pytest.raises(ProofRefused):
        gateway.check_proof(other, proof)


def test_refund_is_made_once(gateway: RazorpayGateway, razorpay: Control) -> None:
    payment, charge = taken(gateway, razorpay)
    task = refund_task(payment, charge)
    razorpay.outage("reset", when="after", count=1, path="*/refund")
    fact = gateway.refund_payment(task)
    assert fact["refund"]["reference"] == task["refund_id"] and fact["refund"]["status"] == "succeeded"
    assert (fact["payment_id"], fact["charge_id"]) == (payment, charge)
    for changes in ({"is_resumed": True, "attempt": 2}, {}, {"charge_id": None}):
        assert gateway.refund_payment(task | changes)["refund"]["id"] == fact["refund"]["id"]
    assert razorpay.books()[payment]["refunded"] == 1000


def test_refund_asked_twice_at_once_is_one(gateway: RazorpayGateway, razorpay: Control) -> None:
    payment, charge = taken(gateway, razorpay)
    task, facts = refund_task(payment, charge), []
    razorpay.outage("delay", seconds=0.6, count=1, path="*/refund")
    threads = [threading.Thread(target=lambda: facts.append(gateway.refund_payment(task))) for _ in range(2)]
    for thread in threads:
        thread.start()
        wait_for(lambda: razorpay.call("GET", "/_local/outages")[0]["count"] == 0, 3, "it did not arrive")
    for thread in threads:
        thread.join()
    assert len({fact["refund"]["id"] for fact in facts}) == 1 and razorpay.books()[payment]["refunded"] == 1000


@pytest.mark.parametrize(
    ("prepare", "code", "status"),
    [
        (lambda control, payment: control.refund(payment), "charge_already_refunded", 409),
        (lambda control, payment: control.dispute(payment), "charge_disputed", 409),
        (lambda control, payment: control.set(refunds_refused="Your account has not enough balance."), None, 502),
        (lambda control, payment: control.refund(payment, 49500), None, 502),
    ],
)
def test_refund_that_is_refused(
    gateway: RazorpayGateway, razorpay: Control, prepare: Callable[..., Any], code: str | None, status: int
) -> None:
    payment, charge = taken(gateway, razorpay)
    prepare(razorpay, payment)
    with pytest.raises(GatewayError) as caught:
        gateway.refund_payment(refund_task(payment, charge))
    assert caught.value.is_final and caught.value.status == status
    assert code is None or caught.value.code == code


def test_all_that_went_back_is_told(gateway: RazorpayGateway, razorpay: Control) -> None:
    payment, charge = taken(gateway, razorpay)
    razorpay.next_refunds("pending", 1)
    pending = razorpay.refund(payment, 5000)["id"]
    done = razorpay.refund(payment, 4900)["id"]
    dispute = razorpay.dispute(payment, 30000)["id"]
    facts = gateway.retrieve_payment(payment, with_refunds=True).facts
    assert kinds(facts) == ["payment.succeeded", "refund.changed", "refund.changed", "dispute.changed"]
    assert {fact["refund"]["id"]: fact["refund"]["status"] for fact in facts[1:3]} == {
        pending: "pending",
        done: "succeeded",
    }
    assert facts[3]["dispute"]["id"] == dispute and facts[3]["dispute"]["withdrawals"] == 1
    assert all(fact["charge_id"] == charge for fact in facts)
    assert kinds(gateway.retrieve_payment(payment).facts) == ["payment.succeeded"]


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        ({"kind": "error", "status": 500}, "payment_gateway_error", 502),
        ({"kind": "error", "status": 503}, "payment_gateway_error", 502),
        ({"kind": "error", "status": 429}, "payment_gateway_busy", 503),
        ({"kind": "error", "status": 401}, "payment_gateway_error", 502),
        ({"kind": "reset"}, "payment_gateway_unreachable", 503),
        ({"kind": "timeout"}, "payment_gateway_unreachable", 503),
    ],
)
def test_faults_leave_open_what_was_done(
    gateway_of: Callable[..., RazorpayGateway],
    razorpay: Control,
    monkeypatch: pytest.MonkeyPatch,
    fault: Any,
    code: str,
    status: int,
) -> None:
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.2)
    gateway = gateway_of()
    razorpay.outage(fault.pop("kind"), **fault)
    with pytest.raises(GatewayError) as caught:
        gateway.create_payment(payment_task())
    assert (caught.value.code, caught.value.status, caught.value.is_final) == (code, status, False)
    assert len(razorpay.requests("POST", "/v1/orders")) > 0


def test_nobody_listens(gateway_of: Callable[..., RazorpayGateway]) -> None:
    with pytest.raises(GatewayError) as caught:
        gateway_of(RAZORPAY_API_BASE="http://127.0.0.1:9").retrieve_payment("order_x")
    assert caught.value.code == "payment_gateway_unreachable"


def test_amount_that_is_refused_is_final(gateway: RazorpayGateway) -> None:
    with pytest.raises(GatewayError) as caught:
        gateway.create_payment(payment_task(amount=99))
    assert (caught.value.code, caught.value.status, caught.value.is_final) == ("amount_refused", 400, True)
    assert gateway.find_faults(49900, "inr") == []
    assert "amount_refused" in gateway.find_faults(1, "inr")[0]


def test_events_are_verified_by_their_bodies(gateway: RazorpayGateway, razorpay: Control, stack: Stack) -> None:
    secret = stack.secrets["razorpay_webhook_secret"]
    body = json.dumps({"entity": "event", "event": "order.paid"}).encode()

    def verify(body: bytes, **changes: str) -> dict[str, Any]:
        headers = {name.lower(): value for name, value in signed(body, secret, "E1").items()} | changes
        told: dict[str, Any] = json.loads(gateway.verify_event(body, headers))
        return told

    assert verify(body) == {"entity": "event", "event": "order.paid", "id": "E1"}
    assert len(verify(body, **{"x-razorpay-event-id": "no id"})["id"]) == 64
    for marked in ("", "0" * 64, "ä"):
        with pytest.raises(EventRefused):
            verify(body, **{"x-razorpay-signature": marked})
    for text in (b"[]", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(EventRefused):
            verify(text)


def test_settings(gateway_of: Callable[..., RazorpayGateway], settings_for: Callable[..., Config]) -> None:
    config = settings_for(RAZORPAY_WEBHOOK_SECRET=None)
    assert RazorpayGateway.is_configured(config) and "WEBHOOK" in RazorpayGateway.find_gaps(config)[0]
    with pytest.raises(PaymentsNotConfigured):
        gateway_of(RAZORPAY_WEBHOOK_SECRET=None).verify_event(b"{}", {})
    two = gateway_of(RAZORPAY_WEBHOOK_SECRET="old,new")
    for secret in ("old", "new"):
        headers = {name.lower(): value for name, value in signed(b"{}", secret).items()}
        assert json.loads(two.verify_event(b"{}", headers))["id"]
