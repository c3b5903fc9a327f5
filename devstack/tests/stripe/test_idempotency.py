"""Idempotency keys."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import stripe

from devstack.stripe import Control
from tests.stripe.process import Process, new_intent, refused


def test_same_key_gives_the_same_answer_also_at_once(process: Process, v1: Any, control: Control) -> None:
    def create(_: int) -> str:
        intents: Any = process.client().v1.payment_intents
        return intents.create({"amount": 1000, "currency": "usd"}, {"idempotency_key": "pi:1"}).client_secret

    with ThreadPoolExecutor(16) as pool:
        secrets = set(pool.map(create, range(32)))
    assert len(secrets) == 1 == len(control.ledger()["payment_intents"])
    assert [call["replayed"] for call in control.requests("POST", "/v1/payment_intents")].count(False) == 1
    control.forget_keys()
    assert create(0) not in secrets


def test_same_key_for_something_else_is_an_error(v1: Any, control: Control) -> None:
    options = {"idempotency_key": "k"}
    v1.payment_intents.create({"amount": 1000, "currency": "usd"}, options)
    error = refused(lambda: v1.payment_intents.create({"amount": 1001, "currency": "usd"}, options))
    assert isinstance(error, stripe.IdempotencyError) and error.http_status == 400
    assert isinstance(refused(lambda: v1.customers.create({}, options)), stripe.IdempotencyError)
    assert len(control.ledger()["payment_intents"]) == 1


def test_key_keeps_a_decline_but_not_bad_parameters(v1: Any, control: Control) -> None:
    intent, options = new_intent(v1), {"idempotency_key": "k"}
    refused(lambda: v1.payment_intents.create({"amount": 1000, "currency": "zzz"}, options))
    declined = {"payment_method": "pm_card_chargeDeclined"}
    first = refused(lambda: v1.payment_intents.confirm(intent.id, declined, options))
    control.confirm(intent.id)
    again = refused(lambda: v1.payment_intents.confirm(intent.id, declined, options))
    assert (again.code, again.http_body) == ("card_declined", first.http_body)


def test_key_in_use_is_refused_at_once(process: Process, v1: Any, control: Control) -> None:
    body, options = {"amount": 1000, "currency": "usd"}, {"idempotency_key": "k"}
    control.outage("delay", seconds=1, count=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(v1.payment_intents.create, body, options)
        time.sleep(0.3)
        started = time.monotonic()
        error: Any = refused(lambda: v1.payment_intents.create(body, options))
        told = error.json_body["error"]
        assert (error.http_status, told["code"]) == (409, "idempotency_key_in_use")
        assert told["type"] == "idempotency_error"
        assert error.headers["Stripe-Should-Retry"] == "true" and error.headers["Idempotency-Key"] == "k"
        # Others are not held up: without a key, with another one, and those that only read.
        assert new_intent(v1).amount == 29999
        v1.payment_intents.create(body, {"idempotency_key": "k2"})
        assert v1.payment_intents.list().data and time.monotonic() - started < 0.6
        made = first.result()
    assert v1.payment_intents.create(body, options).id == made.id
    statuses = [call["status"] for call in control.requests("POST") if call["idempotency_key"] == "k"]
    assert statuses == [409, 200, 200]


def test_sdk_gets_past_a_key_in_use_by_itself(process: Process, v1: Any, control: Control) -> None:
    body, options = {"amount": 1000, "currency": "usd"}, {"idempotency_key": "k"}
    patient: Any = process.client(retries=4).v1
    control.outage("delay", seconds=0.6, count=1)
    with ThreadPoolExecutor(2) as pool:
        ids = {made.id for made in pool.map(lambda _: patient.payment_intents.create(body, options), range(2))}
    assert len(ids) == 1


def test_key_is_free_once_the_answer_is_kept(v1: Any, control: Control) -> None:
    body, options = {"amount": 1000, "currency": "usd"}, {"idempotency_key": "k"}
    control.outage("delay", when="after", seconds=1, count=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(v1.payment_intents.create, body, options)
        time.sleep(0.3)
        second = v1.payment_intents.create(body, options)
        assert first.result().id == second.id
