"""Orders and the attempts to pay them."""

import hashlib
import hmac
from typing import Any

import httpx
import pytest

from devstack.razorpay import Control, RazorpayRefused
from tests.razorpay.process import KEY, KEY_SECRET, Api, Process


def types(control: Control) -> list[str]:
    return [event["type"] for event in control.events()]


def test_order_is_paid_by_the_second_attempt(api: Api, control: Control) -> None:
    order = api.order(receipt="r-1", notes={"transaction_id": "t"})
    assert (order["status"], order["amount_due"], order["attempts"], order["entity"]) == ("created", 10000, 0, "order")
    assert control.pay(order["id"], "declined")["proof"] is None
    assert api.ok("GET", f"/orders/{order['id']}")["status"] == "attempted"
    paid = control.pay(order["id"])
    order = api.ok("GET", f"/orders/{order['id']}")
    assert (order["status"], order["amount_paid"], order["amount_due"], order["attempts"]) == ("paid", 10000, 0, 2)
    attempts = api.ok("GET", f"/orders/{order['id']}/payments")["items"]
    assert [(each["status"], each["captured"]) for each in attempts] == [("captured", True), ("failed", False)]
    assert attempts[1]["error_code"] == "BAD_REQUEST_ERROR" and attempts[0]["error_code"] is None
    told = ["payment.failed", "payment.authorized", "payment.captured", "order.paid"]
    assert types(control) == told
    message = f"{order['id']}|{paid['payment_id']}".encode()
    assert paid["proof"] == {
        "razorpay_payment_id": attempts[0]["id"],
        "razorpay_order_id": order["id"],
        "razorpay_signature": hmac.new(KEY_SECRET.encode(), message, hashlib.sha256).hexdigest(),
    }
    with pytest.raises(RazorpayRefused, match="already done"):
        control.pay(order["id"])
    assert control.books() == {order["id"]: {"currency": "inr", "paid": 10000, "refunded": 0, "withdrawn": 0}}


def test_authorized_payment_is_captured_once(api: Api, control: Control) -> None:
    order = api.order(payment={"capture": "manual"})
    paid = control.pay(order["id"])
    with pytest.raises(RazorpayRefused, match="already in progress"):
        control.pay(order["id"])
    path = f"/payments/{paid['payment_id']}/capture"
    assert "equal to the amount" in api.error("POST", path, {"amount": 9999, "currency": "INR"})["description"]
    captured = api.ok("POST", path, {"amount": 10000, "currency": "INR"})
    assert (captured["status"], captured["captured"], captured["fee"]) == ("captured", True, 200)
    assert (
        api.error("POST", path, {"amount": 10000, "currency": "INR"})["description"]
        == "This payment has already been captured"
    )
    assert types(control) == ["payment.authorized", "payment.captured", "order.paid"]


def test_failed_payment_is_authorized_late(api: Api, control: Control) -> None:
    order = api.order()["id"]
    control.pay(order, "declined")
    late = control.authorize(order)
    assert (late["status"], late["error_code"], control.books()[order]["paid"]) == ("authorized", None, 0)
    refund = control.expire(order)
    assert refund["status"] == "processed" and types(control)[-2:] == ["refund.created", "refund.processed"]
    (payment,) = control.payments(order)
    assert (payment["captured"], payment["status"]) == (False, "refunded")
    assert control.books()[order] == {"currency": "inr", "paid": 0, "refunded": 0, "withdrawn": 0}


def test_slow_payment_settles_by_command(api: Api, control: Control) -> None:
    first, second = api.order()["id"], api.order()["id"]
    for order in (first, second):
        assert control.pay(order, "slow")["status"] == "created"
    assert types(control) == []
    assert control.settle(first)["status"] == "captured" and control.settle(second, "failed")["status"] == "failed"
    assert control.pay(second, "approved")["status"] == "authorized"


def test_repeated_order_is_the_same(api: Api, control: Control) -> None:
    body: dict[str, Any] = {"receipt": "t:1", "unique_receipt": True}
    first = api.order(**body)
    assert api.order(**body)["id"] == first["id"] and api.order(receipt="t:1")["id"] != first["id"]
    assert "unique" in api.error("POST", "/orders", {"amount": 200, "currency": "INR", **body})["description"]
    control.set(repeated_receipts="refused")
    assert "unique" in api.error("POST", "/orders", {"amount": 10000, "currency": "INR", **body})["description"]
    found = api.ok("GET", "/orders", params={"receipt": "t:1"})
    assert (found["count"], found["items"][1]["id"]) == (2, first["id"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"amount": 99}, "minimum amount"),
        ({"amount": 100.5}, "must be an integer"),
        ({"amount": "100"}, "must be an integer"),
        ({"amount": True}, "must be an integer"),
        ({"amount": -1}, "at least 1"),
        ({"amount": None}, "amount: is required"),
        ({"currency": "XXX"}, "Currency is not supported"),
        ({"currency": "KWD", "amount": 99991}, "last digit"),
        ({"receipt": "x" * 41}, "40 characters"),
        ({"notes": {"a": "x" * 257}}, "256 characters"),
        ({"notes": {str(number): "x" for number in range(16)}}, "15 pairs"),
        ({"partial_payment": True}, "partial payments"),
        ({"payment": {"capture": "automatic", "capture_options": {}}}, "capture alone"),
        ({"colour": "red"}, "should not be sent"),
    ],
)
def test_order_is_refused_as_razorpay_does(api: Api, control: Control, body: Any, said: str) -> None:
    error = api.error("POST", "/orders", {"amount": 10000, "currency": "INR", **body})
    assert said in error["description"] and error["code"] == "BAD_REQUEST_ERROR"
    assert control.ledger()["orders"] == []


def test_keys_unknown_ids_and_routes(process: Process, api: Api) -> None:
    answer = httpx.get(f"{process.url}/v1/orders", auth=(KEY, "wrong"))
    assert (answer.status_code, answer.json()["error"]["description"]) == (401, "Authentication failed")
    assert httpx.get(f"{process.url}/v1/orders").status_code == 401
    assert "does not exist" in api.error("GET", "/orders/order_none")["description"]
    assert api.error("GET", "/customers", status=404)["reason"] == "unmodelled"
    for text in (b"[]", b"{", b"\xff"):
        headers = {"Content-Type": "application/json"}
        assert api.http.post("/orders", content=text, headers=headers).status_code == 400


def test_pages(api: Api) -> None:
    ids = [api.order()["id"] for _ in range(12)]
    assert [each["id"] for each in api.ok("GET", "/orders")["items"]] == ids[:1:-1]
    shown = api.ok("GET", "/orders", params={"count": 100, "skip": 10})
    assert (shown["entity"], [each["id"] for each in shown["items"]]) == ("collection", [ids[1], ids[0]])
    assert api.ok("GET", "/orders", params={"from": 99999999999})["count"] == 0
    assert api.error("GET", "/orders", params={"count": 101})["field"] == "count"


def test_browser_pays_with_what_is_typed(process: Process, api: Api, control: Control) -> None:
    order = api.order()
    body = {"key": KEY, "order_id": order["id"], "amount": 10000, "email": "ada@example.com"}

    def pay(**more: Any) -> httpx.Response:
        return httpx.post(f"{process.url}/v1/checkout/pay", json=body | more)

    assert pay(key="rzp_test_other", vpa="success@razorpay").status_code == 400
    assert "different" in pay(amount=1, vpa="success@razorpay").json()["error"]["description"]
    declined = pay(vpa="failure@razorpay").json()["error"]
    assert declined["reason"] == "payment_failed" and declined["metadata"]["order_id"] == order["id"]
    assert pay(card="4000 0000 0000 0002").status_code == 400
    assert pay(vpa="pending@razorpay").json() == {"status": "created"}
    control.settle(order["id"], "failed")
    proof = pay(card="4111 1111 1111 1111").json()
    assert proof["razorpay_order_id"] == order["id"]
    paid = api.ok("GET", f"/payments/{proof['razorpay_payment_id']}")
    assert (paid["method"], paid["email"], paid["status"]) == ("card", "ada@example.com", "captured")
    assert "class Razorpay" in httpx.get(f"{process.url}/v1/checkout.js").text
