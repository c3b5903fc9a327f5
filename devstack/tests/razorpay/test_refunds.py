"""Refunds, their idempotency, and disputes."""

import threading
from typing import Any

import pytest

from devstack.razorpay import Control, RazorpayRefused, wait_for
from tests.razorpay.process import Api


def paid(api: Api, control: Control, amount: int = 10000) -> tuple[str, str]:
    order = api.order(amount)["id"]
    return order, control.pay(order)["payment_id"]


def test_partial_refunds_up_to_the_whole(api: Api, control: Control) -> None:
    order, payment = paid(api, control)
    path = f"/payments/{payment}/refund"
    first = api.ok("POST", path, {"amount": 4000, "notes": {"refund_id": "r"}, "speed": "optimum"})
    assert (first["status"], first["payment_id"], first["speed_processed"]) == ("processed", payment, "instant")
    assert "greater" in api.error("POST", path, {"amount": 6001})["description"]
    assert api.ok("POST", path)["amount"] == 6000
    assert "fully refunded already" in api.error("POST", path)["description"]
    listed = api.ok("GET", f"/payments/{payment}/refunds")["items"]
    assert [each["notes"] for each in listed] == [[], {"refund_id": "r"}]
    now = api.ok("GET", f"/payments/{payment}")
    assert (now["status"], now["refund_status"], now["amount_refunded"]) == ("refunded", "full", 10000)
    assert control.books()[order]["refunded"] == 10000
    told = control.events("refund.created", "refund.processed")
    assert len(told) == 4 and told[0]["contains"] == ["refund", "payment"]


@pytest.mark.parametrize("body", [{"amount": 99}, {"amount": 0}, {"speed": "fast"}, {"reason": "x"}])
def test_refund_is_refused(api: Api, control: Control, body: Any) -> None:
    _, payment = paid(api, control)
    api.error("POST", f"/payments/{payment}/refund", body)
    assert control.ledger()["refunds"] == []


def test_unpaid_payment_is_not_refunded(api: Api, control: Control) -> None:
    payment = control.pay(api.order()["id"], "approved")["payment_id"]
    assert "should be captured" in api.error("POST", f"/payments/{payment}/refund")["description"]


def test_pending_refund_ends_by_command(api: Api, control: Control) -> None:
    order, payment = paid(api, control)
    control.next_refunds("pending", 2)
    one, other = (api.ok("POST", f"/payments/{payment}/refund", {"amount": 3000})["id"] for _ in range(2))
    assert control.books()[order]["refunded"] == 6000
    assert control.change_refund(one, "normal")["speed_processed"] == "normal"
    control.change_refund(one, "succeeded")
    control.change_refund(other, "failed")
    assert (control.get(one)["status"], control.get(other)["status"]) == ("processed", "failed")
    assert control.books()[order]["refunded"] == 3000 and api.ok("GET", f"/payments/{payment}")["status"] == "captured"
    kinds = [event["type"] for event in control.events(about=other)]
    assert kinds == ["refund.created", "refund.failed"]
    control.next_refunds("failed", 1)
    third = control.refund(order)["id"]
    wait_for(lambda: control.get(third)["status"] == "failed", 3, "it did not fail")


def test_refund_is_made_once_under_a_key(api: Api, control: Control) -> None:
    order, payment = paid(api, control)
    path, headers = f"/payments/{payment}/refund", {"X-Refund-Idempotency": "refund-0001"}
    first = api.ok("POST", path, {"amount": 1000}, headers=headers)
    assert api.ok("POST", path, {"amount": 1000}, headers=headers)["id"] == first["id"]
    assert api.error("POST", path, {"amount": 2000}, headers=headers)["reason"] == "key_reused"
    api.error("POST", path, {"amount": 1000}, headers={"X-Refund-Idempotency": "short"})
    control.outage("delay", seconds=0.5, count=1, path="*/refund")
    slow = {"X-Refund-Idempotency": "refund-0002"}
    thread = threading.Thread(target=lambda: api.ok("POST", path, {"amount": 1000}, headers=slow))
    thread.start()
    wait_for(lambda: control.call("GET", "/_local/outages")[0]["count"] == 0, 2, "it did not arrive")
    assert api.error("POST", path, {"amount": 1000}, headers=slow, status=409)["reason"] == "key_in_use"
    thread.join()
    assert control.books()[order]["refunded"] == 2000


def test_chargeback_takes_the_money_and_gives_it_back(api: Api, control: Control) -> None:
    order, payment = paid(api, control)
    dispute = control.dispute(order)
    shown = api.ok("GET", f"/disputes/{dispute['id']}")
    assert (shown["phase"], shown["status"], shown["amount_deducted"]) == ("chargeback", "open", 10000)
    assert control.books()[order]["withdrawn"] == 10000
    assert "is disputed" in api.error("POST", f"/payments/{payment}/refund")["description"]
    control.respond(dispute["id"])
    control.ask_again(dispute["id"])
    control.respond(dispute["id"])
    control.close_dispute(dispute["id"], "won")
    assert control.books()[order]["withdrawn"] == 0
    told = [event["type"].rpartition(".")[2] for event in control.events(about=dispute["id"])]
    assert told == ["created", "under_review", "action_required", "under_review", "won"]
    assert api.ok("POST", f"/payments/{payment}/refund")["amount"] == 10000


def test_inquiry_escalates_to_a_chargeback_that_is_lost(api: Api, control: Control) -> None:
    order, _ = paid(api, control)
    control.set(deduct_at_onset=False)
    asked = control.dispute(order, inquiry=True)
    taken = control.escalate(asked["id"])
    assert control.get(asked["id"])["status"] == "closed" and taken["amount_deducted"] == 0
    lost = api.ok("POST", f"/disputes/{taken['id']}/accept")
    assert (lost["status"], lost["amount_deducted"]) == ("lost", 10000)
    assert control.books()[order]["withdrawn"] == 10000
    with pytest.raises(RazorpayRefused, match="no appeal"):
        control.appeal(taken["id"])
    assert [each["id"] for each in api.ok("GET", "/disputes")["items"]] == [taken["id"], asked["id"]]
