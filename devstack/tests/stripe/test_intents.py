"""Payment intents of the local Stripe, through the real SDK: it takes what is sent and answers as Stripe would."""

import json
from typing import Any

import httpx
import pytest
import stripe

from devstack.stripe import Control, wait_for
from tests.stripe.process import Process, new_intent, refused


def test_intent_keeps_everything_the_service_sends(v1: Any) -> None:
    customer = v1.customers.create({"email": "guest@example.com", "name": "Guest", "metadata": {"customer_id": "c1"}})
    sent = {
        "amount": 29999,
        "currency": "usd",
        "description": "Booking 7",
        "receipt_email": "guest@example.com",
        "statement_descriptor_suffix": "BOOKING 7",
        "metadata": {"booking_id": "7", "transaction_id": "t1"},
        "customer": customer.id,
    }
    intent = v1.payment_intents.create({**sent, "automatic_payment_methods": {"enabled": True}})
    again = v1.payment_intents.retrieve(intent.id, {"expand": ["customer"]}).to_dict()
    for name, value in sent.items():
        assert (again[name]["id"] if name == "customer" else again[name]) == value
    assert again["customer"]["metadata"] == {"customer_id": "c1"}
    assert again["automatic_payment_methods"] == {"allow_redirects": "always", "enabled": True}
    assert again["status"] == "requires_payment_method" and again["livemode"] is False
    assert again["client_secret"].startswith(f"{intent.id}_secret_")
    assert v1.customers.retrieve(customer.id).email == "guest@example.com"


@pytest.mark.parametrize(
    ("params", "status", "code", "param"),
    [
        ({"amount": 49, "currency": "usd"}, 400, "amount_too_small", "amount"),
        ({"amount": 49, "currency": "jpy"}, 400, "amount_too_small", "amount"),
        ({"amount": 100_000_000, "currency": "usd"}, 400, "amount_too_large", "amount"),
        ({"amount": 0, "currency": "usd"}, 400, "parameter_invalid_integer", "amount"),
        ({"amount": -5, "currency": "usd"}, 400, "parameter_invalid_integer", "amount"),
        ({"amount": "1e3", "currency": "usd"}, 400, "parameter_invalid_integer", "amount"),
        ({"amount": "1_000", "currency": "usd"}, 400, "parameter_invalid_integer", "amount"),
        ({"amount": 10**30, "currency": "usd"}, 400, "amount_too_large", "amount"),
        ({"amount": 299.99, "currency": "usd"}, 400, "parameter_invalid_integer", "amount"),
        ({"amount": 1001, "currency": "kwd"}, 400, "parameter_invalid_integer", "amount"),
        ({"amount": 1000, "currency": "xyz"}, 400, None, "currency"),
        ({"amount": 1000}, 400, "parameter_missing", "currency"),
        ({"amount": 1000, "currency": "usd", "colour": "red"}, 400, "parameter_unknown", "colour"),
        # Its name until the API version of this SDK, which says allowed_payment_method_types.
        (
            {"amount": 1000, "currency": "usd", "payment_method_types": ["card"]},
            400,
            "parameter_unknown",
            "payment_method_types",
        ),
        (
            {"amount": 1000, "currency": "usd", "automatic_payment_methods": {"enabled": True, "x": 1}},
            400,
            "parameter_unknown",
            "automatic_payment_methods[x]",
        ),
        (
            {"amount": 1000, "currency": "usd", "automatic_payment_methods": {"enabled": "maybe"}},
            400,
            None,
            "automatic_payment_methods[enabled]",
        ),
        ({"amount": 1000, "currency": "usd", "receipt_email": "nobody"}, 400, "email_invalid", "receipt_email"),
        (
            {"amount": 1000, "currency": "usd", "statement_descriptor_suffix": "1" * 23},
            400,
            None,
            "statement_descriptor_suffix",
        ),
        ({"amount": 1000, "currency": "usd", "metadata": {"k": "v" * 501}}, 400, None, "metadata"),
        ({"amount": 1000, "currency": "usd", "customer": "cus_none"}, 400, "resource_missing", "customer"),
        (
            {"amount": 1000, "currency": "usd", "transfer_group": "g"},
            400,
            "local_stripe_unsupported",
            "transfer_group",
        ),
    ],
)
def test_intent_is_refused_as_stripe_does(v1: Any, control: Control, params: Any, status: Any, code: Any, param: Any):
    error = refused(lambda: v1.payment_intents.create(params))
    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.code, error.param) == (status, code, param)
    assert control.ledger()["payment_intents"] == []


def test_zero_decimal_currency_is_taken_in_whole_units(v1: Any) -> None:
    assert v1.payment_intents.create({"amount": 50, "currency": "JPY"}).currency == "jpy"


def test_keys_are_checked(process: Process, v1: Any) -> None:
    error = refused(lambda: new_intent(process.client("sk_test_wrong").v1))
    assert isinstance(error, stripe.AuthenticationError) and error.http_status == 401
    error = refused(lambda: new_intent(process.client("pk_test_local").v1))
    assert error.json_body["error"]["code"] == "secret_key_required"
    assert httpx.get(f"{process.url}/v1/events").status_code == 401


def test_card_that_succeeds(v1: Any, control: Control) -> None:
    intent = new_intent(v1)
    assert control.confirm(intent.client_secret)["status"] == "succeeded"
    intent = v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge.refunds"]})
    charge = intent.latest_charge
    assert (intent.amount_received, charge.amount, charge.paid, charge.captured) == (29999, 29999, True, True)
    assert charge.payment_method_details.card.last4 == "4242" and charge.refunds.data == []
    assert v1.payment_intents.list({"expand": ["data.latest_charge"]}).data[0].latest_charge.id == charge.id
    assert control.get(intent.client_secret)["status"] == "succeeded"
    assert [event["type"] for event in control.events(about=intent.id)] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]
    assert refused(lambda: v1.payment_intents.confirm(intent.id)).code == "payment_intent_unexpected_state"
    assert refused(lambda: v1.payment_intents.cancel(intent.id)).code == "payment_intent_unexpected_state"


def test_declined_card_leaves_the_intent_open(v1: Any, control: Control) -> None:
    intent = new_intent(v1)
    card = {"payment_method": "pm_card_chargeDeclinedInsufficientFunds"}
    error = refused(lambda: v1.payment_intents.confirm(intent.id, card))
    assert (error.code, error.json_body["error"]["decline_code"]) == ("card_declined", "insufficient_funds")
    assert isinstance(error, stripe.CardError) and error.http_status == 402
    intent = v1.payment_intents.retrieve(intent.id)
    assert intent.status == "requires_payment_method" and intent.payment_method is None
    assert intent.last_payment_error.decline_code == "insufficient_funds"
    failed = control.events("payment_intent.payment_failed")
    assert failed[0]["data"]["object"]["last_payment_error"]["charge"] == intent.latest_charge
    assert control.confirm(intent.id, "4242424242424242")["status"] == "succeeded"
    assert v1.payment_intents.retrieve(intent.id).last_payment_error is None


@pytest.mark.parametrize(("outcome", "status"), [("succeeded", "succeeded"), ("failed", "requires_payment_method")])
def test_processing_payment_settles_by_command(v1: Any, control: Control, outcome: str, status: str) -> None:
    intent = new_intent(v1)
    assert control.confirm(intent.id, "pm_usBankAccount_processing")["status"] == "processing"
    assert refused(lambda: v1.payment_intents.cancel(intent.id)).code == "payment_intent_unexpected_state"
    assert control.settle(intent.id, outcome)["status"] == status
    assert control.events("payment_intent.processing", about=intent.id)


def test_bank_debit_settles_by_itself(v1: Any, control: Control) -> None:
    intent = new_intent(v1)
    control.confirm(intent.id, "pm_usBankAccount_insufficientFunds")
    (failed,) = wait_for(lambda: control.events("payment_intent.payment_failed"), 3, "never failed")
    assert failed["request"] == {"id": None, "idempotency_key": None}
    assert v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"


def test_intent_is_updated_and_canceled(v1: Any, control: Control) -> None:
    intent = new_intent(v1, metadata={"a": "1", "b": "2"})
    intent = v1.payment_intents.update(intent.id, {"amount": 500, "metadata": {"a": "", "c": "3"}})
    assert (intent.amount, intent.metadata.to_dict()) == (500, {"b": "2", "c": "3"})
    intent = v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert (intent.status, intent.cancellation_reason) == ("canceled", "abandoned")
    assert refused(lambda: v1.payment_intents.update(intent.id, {"amount": 600})).http_status == 400
    assert refused(lambda: v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})).http_status == 400
    assert [event["type"] for event in control.events()] == ["payment_intent.created", "payment_intent.canceled"]


def test_browser_pays_with_client_secret_and_publishable_key(process: Process, v1: Any, control: Control) -> None:
    intent = new_intent(v1, metadata={"booking_id": "7"})
    path = f"{process.url}/v1/payment_intents/{intent.id}"
    assert httpx.options(path).headers["access-control-allow-origin"] == "*"
    form = {
        "key": "pk_test_local",
        "client_secret": intent.client_secret,
        "payment_user_agent": "stripe.js",
        "return_url": "http://localhost/done",
        "payment_method_data[type]": "card",
        "payment_method_data[card][number]": "4242 4242 4242 4242",
        "payment_method_data[card][exp_month]": "12",
        "payment_method_data[card][exp_year]": "34",
        "payment_method_data[card][cvc]": "123",
        "payment_method_data[billing_details][name]": "Guest",
    }
    wrong = httpx.post(f"{path}/confirm", data=form | {"client_secret": "x"}, headers={"Origin": "http://a.b"})
    assert wrong.status_code == 400 and wrong.headers["access-control-allow-origin"] == "*"
    mistyped = httpx.post(f"{path}/confirm", data=form | {"payment_method_data[card][number]": "4242424242424241"})
    assert (mistyped.status_code, mistyped.json()["error"]["code"]) == (402, "incorrect_number")
    paid = httpx.post(f"{path}/confirm", data=form)
    assert (paid.status_code, paid.json()["status"]) == (200, "succeeded")
    assert "metadata" not in paid.json()
    seen = httpx.get(path, params={"key": "pk_test_local", "client_secret": intent.client_secret})
    assert seen.json()["status"] == "succeeded"
    assert httpx.get(path, params={"key": "pk_test_local"}).status_code == 400


def test_browser_script_and_what_its_box_asks(process: Process, v1: Any) -> None:
    script = httpx.get(f"{process.url}/js.stripe.com/v3/")
    assert script.headers["content-type"].startswith("text/javascript") and "confirmCardPayment" in script.text
    intent = new_intent(v1)
    path = f"{process.url}/v1/payment_intents/{intent.id}/_authenticate"
    body = json.dumps({"key": "pk_test_local", "client_secret": intent.client_secret})
    assert httpx.post(f"{path}?success=false", content=body).json()["status"] == "requires_payment_method"
    assert httpx.post(f"{path}?success=true", content=body).json()["status"] == "succeeded"


def test_card_that_must_be_authenticated(v1: Any, control: Control) -> None:
    intent = new_intent(v1)
    assert control.confirm(intent.id, "pm_card_authenticationRequired")["status"] == "requires_action"
    assert control.authenticate(intent.id)["status"] == "succeeded"
