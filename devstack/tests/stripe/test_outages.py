"""Faults on command, and what is refused."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
import stripe
from stripe import StripeClient

from devstack.stripe import Control
from tests.stripe.process import Process, new_intent, refused


def test_outages_by_status(process: Process, v1: Any, control: Control) -> None:
    control.outage("error", status=500, count=1)
    assert isinstance(refused(lambda: new_intent(v1)), stripe.APIError)
    control.outage("error", status=429, method="POST", path="/v1/refunds")
    assert new_intent(v1).amount == 29999
    assert isinstance(refused(lambda: v1.refunds.create({"payment_intent": "pi_x"})), stripe.RateLimitError)
    control.end_outages()
    assert refused(lambda: v1.refunds.create({"payment_intent": "pi_x"})).http_status == 404
    control.outage("error", status=402, error={"type": "card_error", "code": "card_declined"}, count=1)
    assert isinstance(refused(lambda: new_intent(v1)), stripe.CardError)
    assert len(control.ledger()["payment_intents"]) == 1


def test_lost_answer_is_found_again_by_its_key(v1: Any, control: Control) -> None:
    for kind in ("reset", "error"):
        control.outage(kind, when="after", count=1, path="/v1/payment_intents")
        body, options = {"amount": 1000, "currency": "usd"}, {"idempotency_key": f"k-{kind}"}
        refused(partial(v1.payment_intents.create, body, options))
        made = control.ledger()["payment_intents"][-1]
        assert v1.payment_intents.create(body, options).id == made["id"]
    assert len(control.ledger()["payment_intents"]) == 2


def test_remembered_fault_is_replayed_until_the_key_changes(v1: Any, control: Control) -> None:
    control.outage("error", status=500, count=1, remember=True)
    body = {"amount": 1000, "currency": "usd"}
    for _ in range(2):
        assert refused(lambda: v1.payment_intents.create(body, {"idempotency_key": "k"})).http_status == 500
    assert v1.payment_intents.create(body, {"idempotency_key": "k2"}).amount == 1000


def test_slow_and_silent_answers(process: Process, v1: Any, control: Control) -> None:
    control.outage("delay", seconds=0.4, count=1)
    started = time.monotonic()
    new_intent(v1)
    assert time.monotonic() - started >= 0.4
    control.outage("timeout", path="/v1/payment_intents*", count=1)
    quick = StripeClient(
        "sk_test_local",
        base_addresses={"api": process.url},
        http_client=stripe.RequestsClient(timeout=(1, 0.3)),
        max_network_retries=0,
    )
    assert isinstance(refused(lambda: new_intent(quick.v1)), stripe.APIConnectionError)
    late, silent = control.requests()
    assert (late["outage"], late["status"]) == ("delay before", 200)
    assert (silent["outage"], silent["status"]) == ("timeout before", None)


def test_request_log_tells_what_was_sent(v1: Any, control: Control) -> None:
    v1.payment_intents.create({"amount": 1000, "currency": "usd"}, {"idempotency_key": "k"})
    (call,) = control.requests("POST", "/v1/payment_intents")
    assert call["params"] == {"amount": "1000", "currency": "usd"}
    assert (call["idempotency_key"], call["status"], call["replayed"]) == ("k", 200, False)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[]", b'"x"', b"a[b=1", b"metadata=x&metadata[y]=z", b"{", b"\x00"])
def test_malformed_bodies_are_refused(process: Process, control: Control, body: bytes) -> None:
    headers = {"Authorization": "Bearer sk_test_local", "Content-Type": "application/x-www-form-urlencoded"}
    answer = httpx.post(f"{process.url}/v1/payment_intents", content=body, headers=headers)
    assert answer.status_code == 400 and answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.filterwarnings("ignore:Bare functions")  # localstripe's own routes
def test_every_modelled_parameter_is_one_of_the_sdk() -> None:
    from devstack.stripe.api import ROUTES
    from devstack.stripe.parameters import hints

    for route in ROUTES:
        own = {"created", "starting_after", "ending_before", "limit", "payment_method_data"}
        assert route.supported - own <= hints(route.schema).keys(), route.path


def test_what_is_not_modelled_is_refused(v1: Any) -> None:
    assert refused(lambda: v1.invoices.list()).code == "local_stripe_unsupported"


def test_slow_answers_do_not_wait_for_each_other(process: Process, control: Control) -> None:
    control.outage("delay", seconds=0.8)

    def read(_: int) -> int:
        headers = {"Authorization": "Bearer sk_test_local"}
        return httpx.get(f"{process.url}/v1/events", headers=headers, timeout=10).status_code

    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(8))) == [200] * 8
    assert 0.8 <= time.monotonic() - started < 2.4
