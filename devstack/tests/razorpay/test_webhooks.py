"""Webhooks, faults on command, and what survives a kill."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from devstack.razorpay import Control, signed, wait_for
from tests.razorpay.process import SECRET, Api, Process, Receiver


def test_events_are_signed_and_sent_again(api: Api, control: Control, receiver: Receiver) -> None:
    receiver.answers = [500, 302]
    order = api.order(notes={"transaction_id": "t"})["id"]
    control.pay(order)
    control.wait_delivered()
    assert sorted(event["event"] for event in receiver.got) == ["order.paid", "payment.authorized", "payment.captured"]
    paid = next(event for event in receiver.got if event["event"] == "order.paid")
    assert paid["contains"] == ["payment", "order"] and paid["payload"]["order"]["entity"]["notes"] == {
        "transaction_id": "t"
    }
    assert {event["id"] for event in receiver.got} == {event["id"] for event in control.events()}
    event = control.events("payment.captured")[0]["id"]
    assert [attempt["status"] for attempt in control.deliver(event, copies=3)] == [200] * 3
    made = control.make_event("payment.captured", {"payment": {"id": "pay_x"}})
    assert made["payload"] == {"payment": {"entity": {"id": "pay_x"}}}


def test_snapshot_is_of_its_moment(api: Api, control: Control) -> None:
    control.pay(api.order()["id"])
    statuses = [event["payload"]["payment"]["entity"]["status"] for event in control.events()]
    assert statuses == ["authorized", "captured", "captured"]


def test_webhook_is_disabled_when_it_fails_too_long(tmp_path: Path) -> None:
    process, receiver = Process(tmp_path, "--disable-after", "1.5"), Receiver()
    api, control = Api(process.url), Control(process.url)
    try:
        control.webhook(url=receiver.url, secret=SECRET)
        receiver.answers = [500] * 100
        control.pay(api.order()["id"], "declined")
        wait_for(lambda: not control.webhook()["enabled"], 5, "it is still enabled")
        receiver.answers = []
        control.pay(api.order()["id"], "declined")
        time.sleep(0.2)
        assert receiver.got == [] and len(control.waiting()) == 1
        control.webhook(enabled=True)
        control.wait_delivered()
        assert len(receiver.got) == 1  # what was given up comes only by command
        control.deliver(control.events()[0]["id"])
        assert len(receiver.got) == 2
    finally:
        api.http.close()
        control.http.close()
        process.end(signal.SIGTERM)
        receiver.shutdown()
        receiver.server_close()


def test_own_payload_can_be_signed(api: Api, control: Control, receiver: Receiver) -> None:
    body = json.dumps({"event": "x"}).encode()
    assert httpx.post(receiver.url, content=body, headers=signed(body, SECRET, "e1")).status_code == 200
    assert receiver.got == [{"id": "e1", "event": "x"}]


@pytest.mark.parametrize("status", [429, 500, 502])
def test_outages_by_status(api: Api, control: Control, status: int) -> None:
    control.outage("error", status=status, count=1, method="POST")
    body = {"amount": 1000, "currency": "INR"}
    error = api.error("POST", "/orders", body, status=status)
    assert error["code"] == ("BAD_REQUEST_ERROR" if status == 429 else "SERVER_ERROR")
    assert control.ledger()["orders"] == [] and api.order()["id"]
    lost, _ = control.requests("POST", "/v1/orders")
    assert (lost["outage"], lost["status"], lost["params"]) == ("error before", status, body)


def test_lost_answer_is_found_again_by_its_receipt(api: Api, control: Control) -> None:
    control.outage("reset", when="after", count=1)
    body: dict[str, Any] = {"receipt": "t:1", "unique_receipt": True}
    with pytest.raises(httpx.TransportError):
        api.order(**body)
    (made,) = control.ledger()["orders"]
    assert api.order(**body)["id"] == made["id"]


def test_nothing_answered_is_lost_by_a_kill(process: Process, api: Api, control: Control, receiver: Receiver) -> None:
    receiver.answers = [503] * 1000
    order = api.order()["id"]
    control.pay(order)
    control.refund(order, 1000)
    control.pay(api.order()["id"], "slow")
    books, events = control.books(), {event["id"] for event in control.events()}
    process.end(signal.SIGKILL)
    receiver.answers = []
    process.start()
    assert control.books() == books and events == {event["id"] for event in control.events()}
    control.wait_delivered()
    assert {event["id"] for event in receiver.got} == events
    assert api.ok("GET", f"/orders/{order}")["status"] == "paid"
