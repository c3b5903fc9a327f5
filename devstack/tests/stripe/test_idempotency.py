"""Idempotency keys."""

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
