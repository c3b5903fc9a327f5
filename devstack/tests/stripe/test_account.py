"""What an account is set up with: method types, webhook endpoints, customers that are gone."""

import time
from typing import Any

import httpx
import pytest
import stripe

from devstack.stripe import Control, StripeRefused
from tests.stripe.process import Process, Receiver, new_intent, refused

AUTOMATIC: dict[str, Any] = {"automatic_payment_methods": {"enabled": True}}
NO_REDIRECTS: dict[str, Any] = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}


def test_automatic_methods_are_the_account_s(v1: Any, control: Control) -> None:
    assert new_intent(v1).payment_method_types == ["card"]
    assert new_intent(v1, automatic_payment_methods={"enabled": False}).payment_method_types == ["card"]
    assert new_intent(v1, **AUTOMATIC).payment_method_types == ["card", "link", "us_bank_account", "amazon_pay"]
    assert new_intent(v1, **NO_REDIRECTS).payment_method_types == ["card", "link", "us_bank_account"]
    control.method_types("klarna", "link", "card")
    assert new_intent(v1, **AUTOMATIC).payment_method_types == ["klarna", "link", "card"]
    intent = new_intent(v1, **NO_REDIRECTS)
    control.confirm(intent.id)
    intent = v1.payment_intents.update(intent.id, {"description": "x"}, {}).to_dict()
    assert intent["payment_method_types"] == ["link", "card"]
    paid = v1.charges.retrieve(control.get(intent["id"])["latest_charge"])
    assert paid.payment_method_details.type == "card"
    with pytest.raises(StripeRefused):
        control.method_types()


def test_payer_who_may_be_sent_away_needs_a_way_back(process: Process, v1: Any, control: Control) -> None:
    intent = new_intent(v1, **AUTOMATIC)
    pay = {"payment_method": "pm_card_visa"}
    error = refused(lambda: v1.payment_intents.confirm(intent.id, pay))
    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.param) == (400, "return_url")
    with pytest.raises(StripeRefused) as caught:
        control.confirm(intent.id)
    assert (caught.value.status, caught.value.error["param"]) == (400, "return_url")
    form = {"key": "pk_test_local", "client_secret": intent.client_secret, **pay}
    browser = httpx.post(f"{process.url}/v1/payment_intents/{intent.id}/confirm", data=form)
    assert (browser.status_code, browser.json()["error"]["param"]) == (400, "return_url")
    assert control.get(intent.id)["status"] == "requires_payment_method"
    assert control.confirm(intent.id, return_url="https://example.com/done")["status"] == "succeeded"
    assert control.confirm(new_intent(v1, **NO_REDIRECTS).id)["status"] == "succeeded"


def test_way_back_of_an_intent_that_is_confirmed_at_once(v1: Any, control: Control) -> None:
    body: dict[str, Any] = {"payment_method": "pm_card_visa", "confirm": True}
    assert refused(lambda: new_intent(v1, **body, **AUTOMATIC)).param == "return_url"
    assert control.ledger()["payment_intents"] == []
    assert new_intent(v1, **body, **AUTOMATIC, return_url="https://example.com").status == "succeeded"
    assert new_intent(v1, **body, **NO_REDIRECTS).status == "succeeded"
    assert refused(lambda: new_intent(v1, return_url="https://example.com")).param == "return_url"


def test_endpoints_are_listed(v1: Any, control: Control, receiver: Receiver) -> None:
    (endpoint,) = v1.webhook_endpoints.list().data
    assert (endpoint.url, endpoint.status, endpoint.livemode) == (receiver.url, "enabled", False)
    assert (endpoint.enabled_events, endpoint.api_version) == (["*"], stripe.api_version)
    assert (endpoint.description, endpoint.metadata.to_dict()) == (None, {})
    assert v1.webhook_endpoints.retrieve(endpoint.id).url == receiver.url
    assert refused(lambda: v1.webhook_endpoints.retrieve("we_none")).code == "resource_missing"
    other = control.foreign_endpoint("https://shop.example/hook", enabled_events=["charge.refunded"])
    control.endpoint(status="disabled", api_version="2020-08-27", description="x", metadata={"a": "b"})
    mine, theirs = v1.webhook_endpoints.list().data
    assert (mine.id, mine.status, mine.api_version, mine.metadata.a) == (endpoint.id, "disabled", "2020-08-27", "b")
    assert (theirs.id, theirs.status, theirs.enabled_events) == (other["id"], "enabled", ["charge.refunded"])
    with pytest.raises(StripeRefused):
        control.endpoint(status="off")
    control.webhook(url=None)
    assert [each.id for each in v1.webhook_endpoints.list().data] == [other["id"]]


def test_endpoint_hears_of_what_it_lists(v1: Any, control: Control, receiver: Receiver) -> None:
    control.endpoint(enabled_events=["payment_intent.succeeded"], api_version="2020-08-27")
    intent = new_intent(v1)
    control.confirm(intent.id)
    control.wait_delivered()
    time.sleep(0.2)
    assert receiver.types() == ["payment_intent.succeeded"] and receiver.got[0]["api_version"] == "2020-08-27"
    created = control.events("payment_intent.created")[0]
    assert (created["delivered"], created["pending_webhooks"]) == (False, 0)
    assert v1.events.list({"delivery_success": False}).data == []
    control.endpoint(status="disabled", enabled_events=["*"])
    new_intent(v1)
    time.sleep(0.2)
    assert len(receiver.got) == 1 and control.waiting() == []
    control.endpoint(status="enabled")
    new_intent(v1)
    control.wait_delivered()
    assert len(receiver.got) == 2


def test_deleted_customer(v1: Any, control: Control) -> None:
    customer = v1.customers.create({"name": "Ada", "email": "ada@example.com"})
    assert (customer.name, customer.email) == ("Ada", "ada@example.com")
    intent = new_intent(v1, customer=customer.id)
    gone = {"id": customer.id, "object": "customer", "deleted": True}
    assert v1.customers.delete(customer.id).to_dict() == gone
    assert v1.customers.retrieve(customer.id).to_dict() == gone
    assert v1.payment_intents.retrieve(intent.id, {"expand": ["customer"]}).customer.deleted is True
    assert v1.customers.list().data == []
    error = refused(lambda: new_intent(v1, customer=customer.id))
    assert (error.http_status, error.code, error.param) == (400, "resource_missing", "customer")
    assert refused(lambda: v1.customers.update(customer.id, {"name": "B"})).code == "resource_missing"
    assert refused(lambda: v1.customers.delete(customer.id)).http_status == 404
    (deleted,) = control.events("customer.deleted")
    assert deleted["data"]["object"]["email"] == "ada@example.com"
