"""Events: sent until they are taken, listed, and verified by the bytes of their bodies."""

import json
from typing import Any

import pytest

from devstack.paypal import Control, wait_for
from tests.paypal.process import WEBHOOK_ID, Api, Receiver

VERIFY = "/v1/notifications/verify-webhook-signature"
EVENTS = "/v1/notifications/webhooks-events"


def asked(body: str, headers: dict[str, str], **changes: str) -> str:
    fields = {
        "auth_algo": headers["paypal-auth-algo"],
        "cert_url": headers["paypal-cert-url"],
        "transmission_id": headers["paypal-transmission-id"],
        "transmission_sig": headers["paypal-transmission-sig"],
        "transmission_time": headers["paypal-transmission-time"],
        "webhook_id": WEBHOOK_ID,
    } | changes
    return json.dumps(fields)[:-1] + f',"webhook_event":{body}}}'


def verify(api: Api, content: str) -> Any:
    answer = api.http.post(VERIFY, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()["verification_status"]


def test_an_event_is_sent_until_it_is_taken(api: Api, control: Control, receiver: Receiver) -> None:
    receiver.answers = [500, 503]
    order = api.order(custom_id="t-1")
    control.pay(order["id"])
    control.wait_delivered()
    (event,) = receiver.got
    assert event["event_type"] == "CHECKOUT.ORDER.APPROVED"
    assert event["resource"]["id"] == order["id"]
    assert event["resource"]["purchase_units"][0]["custom_id"] == "t-1"
    assert [attempt["status"] for attempt in control.attempts(event["id"])] == [500, 503, 200]


def test_only_the_bytes_that_were_sent_are_verified(api: Api, control: Control, receiver: Receiver) -> None:
    api.paid(control)
    control.wait_delivered()
    body, headers = receiver.raw[0]
    assert verify(api, asked(body, headers)) == "SUCCESS"
    assert verify(api, asked(json.dumps(json.loads(body), separators=(",", ":")), headers)) == "FAILURE"
    assert verify(api, asked(body.replace("100.00", "900.00"), headers)) == "FAILURE"
    assert verify(api, asked(body, headers, transmission_sig="Zm9yZ2Vk")) == "FAILURE"
    assert verify(api, asked(body, headers, webhook_id="OTHER")) == "FAILURE"
    assert verify(api, asked(body, headers, cert_url="https://evil.example/cert.pem")) == "FAILURE"
    by_hand = b'{"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED"}'
    signed = {name.lower(): value for name, value in control.sign(by_hand).items()}
    assert verify(api, asked(by_hand.decode(), signed)) == "SUCCESS"


@pytest.mark.parametrize("changes", [{"transmission_id": "x" * 51}, {"auth_algo": "SHA-256"}, {"extra": "1"}])
def test_a_request_to_verify_has_its_form(api: Api, control: Control, changes: dict[str, str]) -> None:
    signed = {name.lower(): value for name, value in control.sign(b"{}").items()}
    answer = api.http.post(VERIFY, content=asked("{}", signed, **changes), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_events_are_listed_newest_first_by_pages(api: Api, control: Control) -> None:
    order, capture = api.paid(control)
    api.refund(capture, "1.00")
    first = api.ok("GET", EVENTS, params={"page_size": 2, "start_time": "2020-01-01T00:00:00Z"})
    assert [event["event_type"] for event in first["events"]] == [
        "PAYMENT.CAPTURE.REFUNDED",
        "PAYMENT.CAPTURE.COMPLETED",
    ]
    assert {event["status"] for event in first["events"]} == {"PENDING"}
    (more,) = first["links"]
    assert more["rel"] == "next"
    rest = api.ok("GET", more["href"])
    assert [event["event_type"] for event in rest["events"]] == ["CHECKOUT.ORDER.APPROVED"]
    assert rest["links"] == []
    assert api.ok("GET", EVENTS, params={"start_time": "2100-01-01T00:00:00Z"})["count"] == 0
    assert api.ok("GET", EVENTS, params={"event_type": "PAYMENT.CAPTURE.REFUNDED"})["count"] == 1
    assert api.ok("GET", EVENTS, params={"transaction_id": capture["id"]})["count"] == 2
    for wrong in ({"start_time": "yesterday"}, {"page_size": "1000"}, {"sort": "asc"}):
        assert api.call("GET", EVENTS, params=wrong).status_code == 400
    known = rest["events"][0]
    assert api.ok("GET", f"{EVENTS}/{known['id']}")["resource"]["id"] == order["id"]
    assert api.call("GET", f"{EVENTS}/WH-1").status_code == 404


def test_an_event_is_sent_again_when_asked(api: Api, control: Control, receiver: Receiver) -> None:
    api.paid(control)
    control.wait_delivered()
    event = receiver.got[0]
    assert api.ok("GET", f"{EVENTS}/{event['id']}")["status"] == "SUCCESS"
    assert api.call("POST", f"{EVENTS}/{event['id']}/resend").status_code == 202
    wait_for(lambda: receiver.got.count(event) == 2, 5, "it did not come again")
    assert len({headers["paypal-transmission-id"] for _, headers in receiver.raw}) == len(receiver.raw)


def test_the_webhook_hears_of_its_types_alone(api: Api, control: Control, receiver: Receiver) -> None:
    control.endpoint(event_types=["PAYMENT.CAPTURE.COMPLETED"])
    api.paid(control)
    control.wait_delivered()
    assert receiver.types() == ["PAYMENT.CAPTURE.COMPLETED"]
    (webhook,) = api.ok("GET", "/v1/notifications/webhooks")["webhooks"]
    assert (webhook["id"], webhook["url"]) == (WEBHOOK_ID, receiver.url)
    assert [each["name"] for each in webhook["event_types"]] == ["PAYMENT.CAPTURE.COMPLETED"]
    assert api.ok("GET", f"/v1/notifications/webhooks/{WEBHOOK_ID}")["url"] == receiver.url
    control.reset()


def test_an_event_can_be_made_by_hand(api: Api, control: Control, receiver: Receiver) -> None:
    made = control.make_event("PAYMENT.CAPTURE.COMPLETED", {"id": "CAPTURE1"})
    control.wait_delivered()
    assert receiver.got[0]["id"] == made["id"]
    assert control.deliver(made["id"], copies=3)[2]["status"] == 200
    assert len(receiver.got) == 4
