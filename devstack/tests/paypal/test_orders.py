"""Tokens, orders, approvals and captures."""

import signal

import httpx
import pytest

from devstack.paypal import Control, GatewayRefused
from tests.paypal.process import CLIENT, WHOLE, Api, Process, new_order


def test_a_token_is_for_the_client_alone_and_ends(api: Api, control: Control) -> None:
    path, form = "/v1/oauth2/token", {"grant_type": "client_credentials"}
    wrong = api.http.post(path, data=form, auth=("local-client", "guess"))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert api.http.post(path, data={"grant_type": "password"}, auth=CLIENT).status_code == 400
    control.expire_tokens()
    answer = api.call("GET", "/v2/checkout/orders/X")
    assert (answer.status_code, answer.json()["name"]) == (401, "AUTHENTICATION_FAILURE")
    api.log_in()
    assert api.call("GET", "/v2/checkout/orders/X").status_code == 404


def test_an_order_is_approved_then_captured_once(api: Api, control: Control) -> None:
    order = api.order(custom_id="t-1", description="Booking 7")
    assert order["status"] == "PAYER_ACTION_REQUIRED"
    assert {link["rel"] for link in order["links"]} == {"self", "payer-action"}
    path = f"/v2/checkout/orders/{order['id']}/capture"
    assert api.issue("POST", path) == "ORDER_NOT_APPROVED"
    assert control.pay(order["id"]) == {"status": "APPROVED", "proof": None}
    capture = api.capture(order)
    assert (capture["status"], capture["custom_id"]) == ("COMPLETED", "t-1")
    assert capture["supplementary_data"]["related_ids"]["order_id"] == order["id"] != capture["id"]
    assert api.issue("POST", path) == "ORDER_ALREADY_CAPTURED"
    assert api.get(order)["status"] == "COMPLETED"
    assert control.books()[order["id"]] == {"currency": "usd", "paid": 10000, "refunded": 0, "withdrawn": 0}
    types = [event["type"] for event in control.events(about=order["id"])]
    assert types == ["CHECKOUT.ORDER.APPROVED", "PAYMENT.CAPTURE.COMPLETED"]


def test_without_a_source_the_order_is_created_and_answered_in_brief(api: Api) -> None:
    body = new_order()
    del body["payment_source"]
    answer = api.http.post("/v2/checkout/orders", json=body)
    assert answer.status_code == 201
    assert answer.json().keys() == {"id", "status", "links"}
    assert (answer.json()["status"], answer.json()["links"][1]["rel"]) == ("CREATED", "approve")


def test_a_request_id_again_answers_how_the_order_is_now(api: Api, control: Control) -> None:
    body = new_order(custom_id="t-1")
    first = api.call("POST", "/v2/checkout/orders", body, "order:1")
    again = api.call("POST", "/v2/checkout/orders", body, "order:1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    control.pay(first.json()["id"])
    assert api.ok("POST", "/v2/checkout/orders", body, "order:1")["status"] == "APPROVED"
    path = f"/v2/checkout/orders/{first.json()['id']}/capture"
    assert api.ok("POST", path, {}, "capture:1") == api.ok("POST", path, {}, "capture:1")
    other = api.issue("POST", "/v2/checkout/orders", new_order("5.00"), "order:1", status=400)
    assert other == "PAYPAL_REQUEST_ID_PREVIOUSLY_USED"
    control.forget_keys()
    assert api.ok("POST", "/v2/checkout/orders", body, "order:1")["id"] != first.json()["id"]


def test_a_declined_instrument_opens_the_order_for_another_approval(api: Api, control: Control) -> None:
    order = api.order()
    control.pay(order["id"], "declined")
    path = f"/v2/checkout/orders/{order['id']}/capture"
    refused = api.call("POST", path, {}, "capture:1")
    assert refused.status_code == 422
    assert refused.json()["details"][0]["issue"] == "INSTRUMENT_DECLINED"
    assert [link["rel"] for link in refused.json()["links"]] == ["redirect"]
    assert api.get(order)["status"] == "PAYER_ACTION_REQUIRED"
    control.pay(order["id"])
    assert api.issue("POST", path, {}, "capture:1") == "INSTRUMENT_DECLINED"  # the same request has the same answer
    assert api.ok("POST", path, {}, "capture:2")["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("outcome", "status", "event", "paid"),
    [
        ("succeeded", "COMPLETED", "PAYMENT.CAPTURE.COMPLETED", 10000),
        ("failed", "DECLINED", "PAYMENT.CAPTURE.DENIED", 0),
    ],
)
def test_an_echeck_is_pending_until_it_is_settled(
    api: Api, control: Control, outcome: str, status: str, event: str, paid: int
) -> None:
    order = api.order()
    control.pay(order["id"], "slow")
    capture = api.capture(order)
    assert (capture["status"], capture["status_details"]) == ("PENDING", {"reason": "ECHECK"})
    assert api.issue("POST", f"/v2/payments/captures/{capture['id']}/refund") == "PENDING_CAPTURE"
    assert control.books()[order["id"]]["paid"] == 0
    control.settle(order["id"], outcome)
    assert api.ok("GET", f"/v2/payments/captures/{capture['id']}")["status"] == status
    assert control.books()[order["id"]]["paid"] == paid
    types = [each["type"] for each in control.events(about=order["id"])]
    assert types[1:] == ["PAYMENT.CAPTURE.PENDING", event]
    with pytest.raises(GatewayRefused):
        control.settle(order["id"])


def test_an_order_that_nobody_captured_is_unknown_after_some_hours(api: Api, control: Control) -> None:
    order, (paid, _) = api.order(), api.paid(control, "7.00")
    for each in (order, paid):
        control.expire(each["id"])
    assert api.issue("GET", f"/v2/checkout/orders/{order['id']}", status=404) == "INVALID_RESOURCE_ID"
    assert api.issue("POST", f"/v2/checkout/orders/{order['id']}/capture", status=404) == "INVALID_RESOURCE_ID"
    assert api.get(paid)["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("currency", "value", "issue"),
    [
        ("JPY", "100", None),
        ("HUF", "3000", None),
        ("TWD", "30", None),
        ("USD", "0.5", None),
        ("HUF", "3000.00", "DECIMALS_NOT_SUPPORTED"),
        ("USD", "1.001", "DECIMAL_PRECISION"),
        ("USD", "0.00", "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("USD", "-1.00", "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("INR", "100.00", "INVALID_CURRENCY_CODE"),
    ],
)
def test_amounts_are_decimal_texts_of_their_currency(api: Api, currency: str, value: str, issue: str | None) -> None:
    answer = api.call("POST", "/v2/checkout/orders", new_order(value, currency), f"order:{currency}:{value}")
    assert answer.status_code == (422 if issue else 201)
    if issue:
        assert answer.json()["details"][0]["issue"] == issue


@pytest.mark.parametrize(
    ("changes", "issue"),
    [
        ({"intent": "SALE"}, "INVALID_PARAMETER_VALUE"),
        ({"intent": "AUTHORIZE"}, "LOCAL_PAYPAL_UNSUPPORTED"),
        ({"purchase_units": []}, "INVALID_ARRAY_MIN_ITEMS"),
        ({"purchase_units": [{}]}, "MISSING_REQUIRED_PARAMETER"),
        ({"purchase_units": [{"amount": {"currency_code": "USD", "value": 100}}]}, "INVALID_PARAMETER_SYNTAX"),
        ({"purchase_units": [{"amount": {"currency_code": "USD"}}]}, "MISSING_REQUIRED_PARAMETER"),
        ({"purchase_units": [{"custom_id": "x" * 128, "amount": {}}]}, "INVALID_STRING_LENGTH"),
        ({"application_context": {"return_url": "https://a.example"}}, "LOCAL_PAYPAL_UNSUPPORTED"),
        ({"payment_source": {"card": {}}}, "LOCAL_PAYPAL_UNSUPPORTED"),
        ({"payment_source": {"paypal": {"experience_context": {"return_url": "/pay"}}}}, "INVALID_PARAMETER_SYNTAX"),
        ({"payment_source": {"paypal": {"experience_context": {"user_action": "PAY"}}}}, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_what_breaks_the_schema_is_refused(api: Api, changes: dict[str, object], issue: str) -> None:
    assert api.issue("POST", "/v2/checkout/orders", new_order() | changes, "order:1", status=400) == issue


def test_a_source_asks_for_a_request_id_and_a_body_for_its_type(api: Api) -> None:
    assert api.issue("POST", "/v2/checkout/orders", new_order(), status=400) == "PAYPAL_REQUEST_ID_REQUIRED"
    long = api.issue("POST", "/v2/checkout/orders", new_order(), "x" * 109, status=400)
    assert long == "INVALID_STRING_LENGTH"
    assert api.http.post("/v2/checkout/orders", data={"intent": "CAPTURE"}).status_code == 415
    headers = WHOLE | {"Content-Type": "application/json"}
    assert api.http.post("/v2/checkout/orders", content="{", headers=headers).status_code == 400
    assert api.issue("GET", "/v2/checkout/unheard-of", status=404) == "LOCAL_PAYPAL_UNSUPPORTED"


def test_a_person_approves_on_the_page_and_comes_back(process: Process, api: Api) -> None:
    order = api.order(description="Khardung <b>La</b>")
    page = next(link["href"] for link in order["links"] if link["rel"] == "payer-action")
    browser = httpx.Client(trust_env=False)
    shown = browser.get(page).text
    assert "100.00 USD" in shown
    assert "Khardung &lt;b&gt;La" in shown
    left = browser.post(page, data={"choice": "cancel"})
    assert left.headers["Location"] == f"https://shop.example/payment/7?token={order['id']}"
    assert api.get(order)["status"] == "PAYER_ACTION_REQUIRED"
    done = browser.post(page, data={"choice": "balance"})
    assert done.status_code == 303
    assert done.headers["Location"].startswith(
        f"https://shop.example/payment/7?way=paypal&token={order['id']}&PayerID="
    )
    assert api.get(order)["status"] == "APPROVED"
    assert "approved already" in browser.get(page).text
    other = api.order("8.00")
    page = page.replace(order["id"], other["id"])
    assert "closed the window" in browser.post(page, data={"choice": "balance", "stay": "yes"}).text
    assert api.get(other)["status"] == "APPROVED"
    assert browser.post(page, data={"choice": "steal"}).status_code == 400
    browser.close()


def test_what_was_answered_outlives_a_kill(process: Process, api: Api, control: Control) -> None:
    order = api.order()
    control.pay(order["id"])
    process.end(signal.SIGKILL)
    process.start()
    capture = api.capture(order)
    process.end(signal.SIGKILL)
    process.start()
    assert api.ok("GET", f"/v2/payments/captures/{capture['id']}")["status"] == "COMPLETED"


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_outage_loses_the_answer_or_the_call(api: Api, control: Control, when: str) -> None:
    order = api.order()
    control.pay(order["id"])
    path = f"/v2/checkout/orders/{order['id']}/capture"
    control.outage("error", path="*/capture", status=503, when=when, count=1)
    assert api.call("POST", path, {}, "capture:1").status_code == 503
    assert api.get(order)["status"] == ("COMPLETED" if when == "after" else "APPROVED")
    assert api.call("POST", path, {}, "capture:1").status_code == (200 if when == "after" else 201)
    logged = control.requests("POST", path)
    assert [entry["status"] for entry in logged] == ([201, 200] if when == "after" else [503, 201])
