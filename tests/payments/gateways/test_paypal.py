"""PayPal's adapter over the local PayPal: what it asks, what it makes of the answers, and what of faults."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from devstack.paypal import Control
from service.config import Config
from service.errors import NotFound
from service.payments.gateway import EventRefused, GatewayError, PaymentsNotConfigured
from service.payments.gateways import client
from service.payments.gateways.paypal import PayPalGateway
from service.payments.gateways.paypal_events import KINDS
from tools.stack import Stack

BOOKING = "6d3f0a55-2f0b-4a43-9a52-5b8f2c1de001"


@pytest.fixture
def paypal(stack: Stack) -> Iterator[Control]:
    control = Control(stack.url("paypal"))
    control.deliveries(on=False)
    yield control
    control.end_outages()
    control.next_refunds(None)
    control.endpoint(event_types=["*"])
    control.http.close()


@pytest.fixture
def gateway_of(settings_for: Callable[..., Config]) -> Iterator[Callable[..., PayPalGateway]]:
    made = []

    def make(**changes: str | None) -> PayPalGateway:
        made.append(PayPalGateway(settings_for(**changes)))
        return made[-1]

    yield make
    for each in made:
        each.session.close()


@pytest.fixture
def gateway(gateway_of: Callable[..., PayPalGateway], paypal: Control) -> PayPalGateway:
    return gateway_of()


def payment_task(**changes: Any) -> Any:
    task = {
        "transaction_id": str(uuid4()),
        "booking_id": BOOKING,
        "gateway": "paypal",
        "amount": 29999,
        "currency": "usd",
        "attempt": 1,
        "customer_name": "Ada",
        "customer_email": "ada@example.com",
    }
    return task | changes


def capture_task(task: Any, payment_id: str) -> Any:
    names = ("transaction_id", "gateway", "amount", "currency", "attempt")
    return {"payment_id": payment_id} | {name: task[name] for name in names}


def refund_task(payment: Any, charge_id: str | None, **changes: Any) -> Any:
    task = {
        "refund_id": str(uuid4()),
        "payment_id": payment.id,
        "charge_id": charge_id,
        "amount": 1000,
        "currency": "usd",
        "attempt": 1,
        "is_resumed": False,
    }
    return task | changes


def kinds(facts: list[Any]) -> list[str]:
    return [fact["kind"] for fact in facts]


def take(gateway: PayPalGateway, paypal: Control, how: Any = "paid", **changes: Any) -> tuple[Any, Any]:
    """The payment after its capture, and its charge."""
    task = payment_task(**changes)
    made = gateway.create_payment(task)
    paypal.pay(made.id, how)
    done = gateway.capture_payment(capture_task(task, made.id))
    return done, done.facts[0].get("charge_id")


def headers_of(paypal: Control, body: bytes, **changes: str) -> dict[str, str]:
    return {name.lower(): value for name, value in paypal.sign(body).items()} | changes


def test_a_payment_is_an_order_made_once(gateway: PayPalGateway, paypal: Control, stack: Stack) -> None:
    task = payment_task()
    made = gateway.create_payment(task)
    (unit,) = paypal.get(made.id)["purchase_units"]
    assert unit["custom_id"] == task["transaction_id"]
    assert unit["amount"] == {"currency_code": "USD", "value": "299.99"}
    assert (made.state, made.status, made.amount, made.currency) == ("payable", "PAYER_ACTION_REQUIRED", 29999, "usd")
    assert made.checkout == {"approveUrl": f"{stack.url('paypal')}/checkoutnow?token={made.id}"}
    assert made.facts == []
    asked = paypal.requests("POST", "/v2/checkout/orders")[-1]
    assert asked["idempotency_key"] == f"order:{task['transaction_id']}:1"
    context = asked["params"]["payment_source"]["paypal"]["experience_context"]
    page = f"{stack.url('service')}/payment/{BOOKING}"
    assert context["cancel_url"] == f"{page}?canceled=yes"
    assert context["return_url"] == f"{page}?transaction={task['transaction_id']}"
    assert gateway.create_payment(task).id == made.id
    assert gateway.create_payment(task | {"attempt": 2}).id != made.id


@pytest.mark.parametrize("fault", ["reset", "error"])
def test_a_lost_answer_leaves_one_order(gateway: PayPalGateway, paypal: Control, fault: str) -> None:
    task = payment_task()
    gateway.retrieve_payment("UNKNOWN")  # so that it has its token
    paypal.outage(fault, when="after", count=1, method="POST")
    made = gateway.create_payment(task)
    found = [each for each in paypal.ledger()["orders"] if task["transaction_id"] in json.dumps(each)]
    assert [each["id"] for each in found] == [made.id]


def test_the_money_is_taken_once_after_the_approval(gateway: PayPalGateway, paypal: Control) -> None:
    task = payment_task()
    made = gateway.create_payment(task)
    asked = capture_task(task, made.id)
    assert gateway.capture_payment(asked).state == "payable"  # not approved: nothing is asked for
    assert paypal.requests("POST", f"/v2/checkout/orders/{made.id}/capture") == []
    paypal.pay(made.id)
    found = gateway.retrieve_payment(made.id)
    assert (found.state, kinds(found.facts)) == ("approved", ["payment.approved"])
    assert found.facts[0]["metadata"] == {"booking_id": None, "transaction_id": task["transaction_id"]}
    done = gateway.capture_payment(asked)
    (fact,) = done.facts
    assert (done.state, fact["kind"], fact["amount"], fact["payment_method"]) == (
        "paid",
        "payment.succeeded",
        29999,
        "paypal",
    )
    assert fact["payment_id"] == made.id != fact["charge_id"]
    assert gateway.capture_payment(asked).facts[0]["charge_id"] == fact["charge_id"]
    assert paypal.books()[made.id]["paid"] == 29999
    assert len(paypal.requests("POST", f"/v2/checkout/orders/{made.id}/capture")) == 1


@pytest.mark.parametrize("fault", ["reset", "error"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fault_at_the_capture_takes_the_money_once(
    gateway: PayPalGateway, paypal: Control, fault: str, when: str
) -> None:
    task = payment_task()
    made = gateway.create_payment(task)
    paypal.pay(made.id)
    paypal.outage(fault, when=when, path="*/capture", count=1)
    assert gateway.capture_payment(capture_task(task, made.id)).state == "paid"
    assert paypal.books()[made.id]["paid"] == 29999


def test_many_captures_at_once_take_the_money_once(gateway: PayPalGateway, paypal: Control) -> None:
    task = payment_task()
    made = gateway.create_payment(task)
    paypal.pay(made.id)
    paypal.outage("delay", path="*/capture", seconds=0.5, count=1)
    states: list[str] = []

    def take_it() -> None:
        states.append(gateway.capture_payment(capture_task(task, made.id)).state)

    threads = [threading.Thread(target=take_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == ["paid"] * 6
    assert paypal.books()[made.id]["paid"] == 29999


def test_a_declined_instrument_is_approved_again(gateway: PayPalGateway, paypal: Control) -> None:
    task = payment_task()
    made = gateway.create_payment(task)
    paypal.pay(made.id, "declined")
    refused = gateway.capture_payment(capture_task(task, made.id))
    (fact,) = refused.facts
    assert (refused.state, fact["kind"], fact["failure_code"]) == ("payable", "payment.failed", "instrument_declined")
    assert refused.checkout == made.checkout
    # Whoever missed the answer finds it at the order, and it is the same news each time.
    found = gateway.retrieve_payment(made.id)
    assert (found.state, kinds(found.facts)) == ("payable", ["payment.failed"])
    assert gateway.retrieve_payment(made.id).facts == found.facts
    time.sleep(1.1)  # PayPal's times have whole seconds
    paypal.pay(made.id)
    assert gateway.capture_payment(capture_task(task, made.id)).state == "paid"


@pytest.mark.parametrize(
    ("outcome", "state", "facts"),
    [("succeeded", "paid", ["payment.succeeded"]), ("failed", "canceled", ["payment.failed", "payment.canceled"])],
)
def test_an_echeck_is_under_way_until_it_ends(
    gateway: PayPalGateway, paypal: Control, outcome: str, state: str, facts: list[str]
) -> None:
    done, charge_id = take(gateway, paypal, "slow")
    assert (done.state, kinds(done.facts)) == ("under_way", ["payment.processing"])
    assert gateway.cancel_payment(done.id).state == "under_way"
    paypal.settle(done.id, outcome)
    found = gateway.retrieve_payment(done.id)
    assert (found.state, kinds(found.facts)) == (state, facts)
    assert found.facts[0]["charge_id"] == charge_id


def test_an_order_that_is_not_wanted_or_expired_is_canceled(gateway: PayPalGateway, paypal: Control) -> None:
    made = gateway.create_payment(payment_task())
    paypal.pay(made.id)
    canceled = gateway.cancel_payment(made.id)
    assert (canceled.state, kinds(canceled.facts), canceled.checkout) == ("canceled", ["payment.canceled"], {})
    paid, _ = take(gateway, paypal)
    assert gateway.cancel_payment(paid.id).state == "paid"
    paypal.expire(made.id)
    for ask in (gateway.retrieve_payment, gateway.cancel_payment):
        gone = ask(made.id)
        assert (gone.id, gone.state, kinds(gone.facts)) == (made.id, "canceled", ["payment.canceled"])
    assert gateway.capture_payment(capture_task(payment_task(), made.id)).state == "canceled"


def test_a_refund_is_made_once(gateway: PayPalGateway, paypal: Control) -> None:
    paid, charge_id = take(gateway, paypal)
    task = refund_task(paid, charge_id)
    made = gateway.refund_payment(task)
    assert (made["kind"], made["payment_id"], made["charge_id"]) == ("refund.changed", paid.id, charge_id)
    assert made["refund"]["reference"] == task["refund_id"]
    assert (made["refund"]["amount"], made["refund"]["status"]) == (1000, "succeeded")
    assert gateway.refund_payment(task)["refund"]["id"] == made["refund"]["id"]
    paypal.forget_keys()
    assert gateway.refund_payment(task | {"is_resumed": True})["refund"]["id"] == made["refund"]["id"]
    later = gateway.refund_payment(refund_task(paid, None))  # its charge is asked for
    assert later["charge_id"] == charge_id
    assert paypal.books()[paid.id]["refunded"] == 2000
    facts = gateway.retrieve_payment(paid.id, with_refunds=True).facts
    assert kinds(facts) == ["payment.succeeded", "refund.changed", "refund.changed"]
    assert {fact["payment_id"] for fact in facts} == {paid.id}


@pytest.mark.parametrize("fault", ["reset", "error"])
def test_a_refund_whose_answer_is_lost_is_found(gateway: PayPalGateway, paypal: Control, fault: str) -> None:
    paid, charge_id = take(gateway, paypal)
    task = refund_task(paid, charge_id)
    paypal.outage(fault, when="after", path="*/refund", count=2)
    with pytest.raises(GatewayError) as refused:
        gateway.refund_payment(task)
    assert not refused.value.is_final
    assert gateway.refund_payment(task | {"is_resumed": True})["refund"]["status"] == "succeeded"
    assert paypal.books()[paid.id]["refunded"] == 1000


def test_a_pending_refund_is_told_when_it_fails(gateway: PayPalGateway, paypal: Control) -> None:
    paid, charge_id = take(gateway, paypal)
    paypal.next_refunds("pending", 1)
    made = gateway.refund_payment(refund_task(paid, charge_id))
    assert made["refund"]["status"] == "pending"
    paypal.change_refund(made["refund"]["id"], "failed")
    facts = gateway.retrieve_payment(paid.id, with_refunds=True).facts
    assert facts[1]["refund"]["status"] == "failed"


def test_refusals_of_a_refund_say_what_staff_can_do(gateway: PayPalGateway, paypal: Control) -> None:
    paid, charge_id = take(gateway, paypal)
    case = paypal.dispute(paid.id, 4000)
    with pytest.raises(GatewayError) as refused:
        gateway.refund_payment(refund_task(paid, charge_id))
    assert (refused.value.status, refused.value.code, refused.value.is_final) == (409, "charge_disputed", True)
    paypal.close_dispute(case["id"])
    with pytest.raises(GatewayError) as refused:
        gateway.refund_payment(refund_task(paid, charge_id, amount=30000))
    assert (refused.value.status, refused.value.code) == (409, "charge_already_refunded")
    unpaid = gateway.create_payment(payment_task())
    with pytest.raises(GatewayError) as refused:
        gateway.refund_payment(refund_task(unpaid, None))
    assert (refused.value.code, refused.value.is_final) == ("payment_not_taken", True)


@pytest.mark.parametrize(
    ("amount", "currency", "value"), [(5000, "jpy", "5000"), (350000, "huf", "3500"), (3000, "twd", "30")]
)
def test_currencies_without_decimals_are_counted_as_ours(
    gateway: PayPalGateway, paypal: Control, amount: int, currency: str, value: str
) -> None:
    done, charge_id = take(gateway, paypal, amount=amount, currency=currency)
    assert paypal.get(done.id)["purchase_units"][0]["amount"]["value"] == value
    assert (done.amount, done.currency, done.facts[0]["amount"]) == (amount, currency, amount)
    part = gateway.refund_payment(refund_task(done, charge_id, amount=amount // 10, currency=currency))
    assert part["refund"]["amount"] == amount // 10
    assert paypal.books()[done.id]["refunded"] == amount // 10


@pytest.mark.parametrize(("amount", "currency"), [(350001, "huf"), (29999, "inr"), (0, "usd")])
def test_an_amount_that_paypal_cannot_take_is_refused(gateway: PayPalGateway, amount: int, currency: str) -> None:
    with pytest.raises(GatewayError) as refused:
        gateway.create_payment(payment_task(amount=amount, currency=currency))
    assert (refused.value.status, refused.value.code, refused.value.is_final) == (400, "amount_refused", True)


def test_the_token_is_asked_for_once_and_renewed_when_it_is_refused(gateway: PayPalGateway, paypal: Control) -> None:
    def tokens() -> int:
        return len(paypal.requests("POST", "/v1/oauth2/token"))

    before = tokens()
    made = gateway.create_payment(payment_task())
    gateway.retrieve_payment(made.id)
    assert tokens() == before + 1
    paypal.expire_tokens()
    assert gateway.retrieve_payment(made.id).state == "payable"
    assert tokens() == before + 2
    gateway.client.good_until = 0.0  # as after hours
    gateway.retrieve_payment(made.id)
    assert tokens() == before + 3


def test_wrong_credentials_are_no_final_refusal(gateway_of: Callable[..., PayPalGateway], paypal: Control) -> None:
    gateway = gateway_of(PAYPAL_CLIENT_SECRET="wrong")
    with pytest.raises(GatewayError) as refused:
        gateway.create_payment(payment_task())
    assert (refused.value.code, refused.value.is_final) == ("authentication_failed", False)
    assert gateway.find_faults(29999, "usd")[0].startswith("PayPal refused the test payment: authentication_failed")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_broken_paypal_is_no_final_refusal(gateway: PayPalGateway, paypal: Control, status: int) -> None:
    paypal.outage("error", status=status, method="POST", path="/v2/*")
    with pytest.raises(GatewayError) as refused:
        gateway.create_payment(payment_task())
    assert not refused.value.is_final
    assert not refused.value.is_replayed


def test_an_event_is_verified_by_paypal(gateway: PayPalGateway, paypal: Control) -> None:
    paid, charge_id = take(gateway, paypal)
    charges = []
    for sent in paypal.events(about=paid.id):
        body = json.dumps(sent, indent=1).encode()
        text = gateway.verify_event(body, headers_of(paypal, body))
        assert text == body.decode()
        event = gateway.read_event(text)
        assert event is not None
        assert (event["id"], event["type"], event["gateway"]) == (sent["id"], sent["event_type"], "paypal")
        assert (event["kind"], event["payment_id"]) == (KINDS[sent["event_type"]], paid.id)
        charges.append((event.get("charge_id"), event.get("amount"), event["currency"]))
    assert charges == [(None, 29999, "usd"), (charge_id, 29999, "usd")]


@pytest.mark.parametrize(
    "forge",
    [
        lambda body, headers: (body.replace(b"299.99", b"999.99"), headers),
        lambda body, headers: (json.dumps(json.loads(body), separators=(",", ":")).encode(), headers),
        lambda body, headers: (body, headers | {"paypal-transmission-sig": "Zm9yZ2Vk"}),
        lambda body, headers: (body, headers | {"paypal-transmission-id": "f" * 36}),
        lambda body, headers: (body, headers | {"paypal-cert-url": "https://evil.example/cert.pem"}),
        lambda body, headers: (body, headers | {"paypal-auth-algo": "none!"}),
        lambda body, headers: (body, headers | {"paypal-transmission-sig": "x" * 501}),
        lambda body, headers: (body, headers | {"paypal-cert-url": ""}),
        lambda body, headers: (body, {}),
        lambda body, headers: (body[:-1] + b', "webhook_id": "X"}, "webhook_event": {}', headers),
        lambda body, headers: (b"\xff" + body, headers),
        lambda body, headers: (b"[" * 100_000, headers),
        lambda body, headers: (b'{"id": "WH-1", "event_type": "X", "amount": NaN}', headers),
        lambda body, headers: (b'{"id": 1, "event_type": "X"}', headers),
        lambda body, headers: (b"[]", headers),
        lambda body, headers: (b"", headers),
    ],
)
def test_a_forged_event_is_refused(gateway: PayPalGateway, paypal: Control, forge: Callable[..., Any]) -> None:
    paid, _ = take(gateway, paypal)
    body = json.dumps(paypal.events("PAYMENT.CAPTURE.COMPLETED", about=paid.id)[0]).encode()
    forged, headers = forge(body, headers_of(paypal, body))
    with pytest.raises(EventRefused):
        gateway.verify_event(forged, headers)


@pytest.mark.parametrize("fault", ["timeout", "error", "reset"])
def test_who_cannot_be_asked_refuses_nothing_and_keeps_nobody_waiting(
    gateway: PayPalGateway, paypal: Control, fault: str
) -> None:
    body = b'{"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED"}'
    headers = headers_of(paypal, body)
    gateway.retrieve_payment("UNKNOWN")
    paypal.outage(fault, path="*/verify-webhook-signature", status=503)
    began = time.monotonic()
    with pytest.raises(GatewayError) as refused:
        gateway.verify_event(body, headers)
    assert not refused.value.is_final
    assert time.monotonic() - began < 3.5
    paypal.end_outages()
    paypal.expire_tokens()
    assert gateway.verify_event(body, headers) == body.decode()


def test_without_a_webhook_no_event_is_verified(gateway_of: Callable[..., PayPalGateway], paypal: Control) -> None:
    gateway = gateway_of(PAYPAL_WEBHOOK_ID=None)
    with pytest.raises(PaymentsNotConfigured):
        gateway.verify_event(b"{}", headers_of(paypal, b"{}"))
    with pytest.raises(PaymentsNotConfigured):
        gateway_of(PAYPAL_WEBHOOK_ID="").verify_event(b"{}", {})


def test_events_are_listed_and_shown(gateway: PayPalGateway, paypal: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.payments.gateways.paypal.PAGE", 2)
    began = datetime.now(UTC) - timedelta(seconds=1)
    paid, charge_id = take(gateway, paypal)
    gateway.refund_payment(refund_task(paid, charge_id))
    paypal.dispute(paid.id, 1000)
    paypal.make_event("CHECKOUT.ORDER.COMPLETED", {"id": paid.id})
    told = [(id, json.loads(text)) for id, text in gateway.list_events(began, is_undelivered=False)]
    assert [event["event_type"] for _, event in told][:4] == [
        "CUSTOMER.DISPUTE.CREATED",
        "PAYMENT.CAPTURE.REFUNDED",
        "PAYMENT.CAPTURE.COMPLETED",
        "CHECKOUT.ORDER.APPROVED",
    ]
    assert not {"status", "transmissions"} & told[0][1].keys()
    assert [id for id, _ in told] == [id for id, _ in gateway.list_events(began, is_undelivered=True)]
    assert list(gateway.list_events(datetime.now(UTC) + timedelta(hours=1), is_undelivered=False)) == []
    old = datetime.now(UTC) - timedelta(days=400)
    assert len(list(gateway.list_events(old, is_undelivered=False))) >= 4
    id, event = told[0]
    assert json.loads(gateway.retrieve_event(id)) == event
    with pytest.raises(NotFound):
        gateway.retrieve_event("WH-1/../x")


def test_faults_of_the_account_are_told(
    gateway_of: Callable[..., PayPalGateway], gateway: PayPalGateway, paypal: Control
) -> None:
    assert gateway.find_faults(29999, "usd") == []
    paypal.endpoint(event_types=[name for name in KINDS if name != "PAYMENT.CAPTURE.REVERSED"])
    (fault,) = gateway.find_faults(29999, "usd")
    assert fault.endswith("is not told of: PAYMENT.CAPTURE.REVERSED.")
    (fault,) = gateway_of(PAYPAL_WEBHOOK_ID="OTHER1").find_faults(29999, "usd")
    assert "has no webhook OTHER1" in fault


def test_slow_answers_end(gateway: PayPalGateway, paypal: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.session, "timeout", 0.3)
    gateway.retrieve_payment("UNKNOWN")
    paypal.outage("timeout", path="/v2/*")
    with pytest.raises(GatewayError) as refused:
        gateway.retrieve_payment("UNKNOWN")
    assert refused.value.code == "payment_gateway_unreachable"
    assert client.READ_TIMEOUT * 2 < 30
