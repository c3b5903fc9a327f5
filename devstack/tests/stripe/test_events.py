"""Events, and the webhooks that bring them."""

import time
from typing import Any

import stripe

from devstack.stripe import Control, signed
from tests.stripe.process import SECRET, Receiver, new_intent, paid_intent


def test_events_are_paged_and_filtered(v1: Any, control: Control) -> None:
    intents = [new_intent(v1) for _ in range(5)]
    control.confirm(intents[0].id)
    listed = v1.events.list({"limit": 2, "types": ["payment_intent.created"], "delivery_success": False})
    assert listed.has_more and [e.data.object["id"] for e in listed.data] == [intents[4].id, intents[3].id]
    assert [e.data.object["id"] for e in listed.auto_paging_iter()] == [intent.id for intent in reversed(intents)]
    assert v1.events.list({"delivery_success": True}).data == []
    assert v1.events.list({"created": {"gte": int(time.time()) + 60}}).data == []
    assert [e.type for e in v1.events.list({"type": "charge.*"}).data] == ["charge.succeeded"]
    event = v1.events.retrieve(listed.data[0].id)
    assert (event.object, event.livemode, event.pending_webhooks) == ("event", False, 1)
    assert event.api_version == stripe.api_version and event.request.id.startswith("req_")
    before = v1.events.list({"ending_before": listed.data[1].id, "type": "payment_intent.created"})
    assert [e.id for e in before.data] == [listed.data[0].id]


def test_webhooks_are_signed_and_sent(v1: Any, control: Control, receiver: Receiver) -> None:
    intent = paid_intent(v1, control)
    control.wait_delivered()
    assert sorted(receiver.types()) == ["charge.succeeded", "payment_intent.created", "payment_intent.succeeded"]
    paid = next(event for event in receiver.got if event["type"] == "payment_intent.succeeded")
    assert paid["data"]["object"]["id"] == intent.id and paid["pending_webhooks"] == 1
    assert v1.events.list({"delivery_success": False}).data == []
    assert v1.events.retrieve(paid["id"]).pending_webhooks == 0


def test_refused_webhook_is_sent_again(v1: Any, control: Control, receiver: Receiver) -> None:
    receiver.answers = [500, 400, 302]
    new_intent(v1)
    control.wait_delivered()
    assert [attempt["status"] for attempt in control.attempts()] == [500, 400, 302, 200]
    assert receiver.types() == ["payment_intent.created"]


def test_deliveries_off_and_on(v1: Any, control: Control, receiver: Receiver) -> None:
    control.deliveries(on=False)
    first = new_intent(v1)
    time.sleep(0.2)
    assert receiver.got == [] and len(control.waiting()) == 1
    control.deliveries(on=True)
    control.wait_delivered()
    assert receiver.got[0]["data"]["object"]["id"] == first.id
    control.deliveries(on=False)
    new_intent(v1)
    control.deliveries(on=True, forget=True)
    assert control.waiting() == [] and len(receiver.got) == 1
    assert len(v1.events.list({"delivery_success": False}).data) == 1


def test_events_are_delivered_by_command_in_any_order(v1: Any, control: Control, receiver: Receiver) -> None:
    control.deliveries(on=False)
    intent = paid_intent(v1, control)
    ids = [event["id"] for event in control.events(about=intent.id)]
    for event_id in reversed(ids):
        assert [attempt["status"] for attempt in control.deliver(event_id, copies=3)] == [200] * 3
    assert [event["id"] for event in receiver.got] == [event_id for event_id in reversed(ids) for _ in range(3)]
    made = control.make_event("invoice.paid", {"id": "in_1", "object": "invoice"})
    assert control.deliver(made["id"])[0]["body"] == made["id"]


def test_own_payload_can_be_signed() -> None:
    headers = signed(b'{"object": "event"}', SECRET)
    stripe.WebhookSignature.verify_header('{"object": "event"}', headers["Stripe-Signature"], SECRET, 300)
