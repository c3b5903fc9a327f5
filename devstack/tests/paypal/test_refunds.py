"""Refunds, reversals and disputes."""

from typing import Any

import pytest

from devstack.paypal import Control, GatewayRefused
from tests.paypal.process import Api


def captured(api: Api, capture: Any) -> str:
    status: str = api.ok("GET", f"/v2/payments/captures/{capture['id']}")["status"]
    return status


def test_a_capture_is_refunded_in_parts_up_to_its_amount(api: Api, control: Control) -> None:
    order, capture = api.paid(control, custom_id="t-1")
    path = f"/v2/payments/captures/{capture['id']}/refund"
    part = api.refund(capture, "30.00", "refund:1", custom_id="r-1", note_to_payer="Sorry")
    assert (part["status"], part["custom_id"]) == ("COMPLETED", "r-1")
    assert part["links"][1]["href"].endswith(f"/v2/payments/captures/{capture['id']}")
    assert captured(api, capture) == "PARTIALLY_REFUNDED"
    assert api.refund(capture, "30.00", "refund:1", custom_id="r-1", note_to_payer="Sorry")["id"] == part["id"]
    too_much = {"amount": {"currency_code": "USD", "value": "70.01"}}
    assert api.issue("POST", path, too_much) == "REFUND_AMOUNT_EXCEEDED"
    assert api.issue("POST", path, {"amount": {"currency_code": "EUR", "value": "1.00"}}) == (
        "REFUND_CAPTURE_CURRENCY_MISMATCH"
    )
    rest = api.refund(capture)
    assert (rest["amount"]["value"], rest["custom_id"]) == ("70.00", "t-1")  # by hand it carries the capture's
    assert api.issue("POST", path) == "CAPTURE_FULLY_REFUNDED"
    assert captured(api, capture) == "REFUNDED"
    refunds = api.get(order)["purchase_units"][0]["payments"]["refunds"]
    assert [refund["id"] for refund in refunds] == [part["id"], rest["id"]]
    assert control.books()[order["id"]]["refunded"] == 10000


def test_a_pending_refund_ends_and_says_so_only_when_it_succeeds(api: Api, control: Control) -> None:
    order, capture = api.paid(control)
    control.next_refunds("pending", 2)
    lost, made = api.refund(capture, "60.00"), api.refund(capture, "40.00")
    assert (lost["status"], made["status"], captured(api, capture)) == ("PENDING", "PENDING", "COMPLETED")
    assert control.books()[order["id"]]["refunded"] == 10000
    control.change_refund(lost["id"], "failed")
    control.change_refund(made["id"], "succeeded")
    assert captured(api, capture) == "PARTIALLY_REFUNDED"
    assert control.books()[order["id"]]["refunded"] == 4000
    told = control.events("PAYMENT.CAPTURE.REFUNDED")
    assert [event["resource"]["id"] for event in told] == [made["id"]]
    with pytest.raises(GatewayRefused):
        control.change_refund(made["id"], "failed")


def test_a_reversal_is_told_in_the_form_of_a_refund(api: Api, control: Control) -> None:
    order, capture = api.paid(control, custom_id="t-1")
    control.reverse(order["id"], 2500)
    (event,) = control.events("PAYMENT.CAPTURE.REVERSED", about=order["id"])
    assert event["resource_type"] == "refund"
    assert event["resource"]["amount"] == {"currency_code": "USD", "value": "25.00"}
    assert event["resource"]["note_to_payer"] == "Payment reversed"
    assert event["resource"]["links"][1]["href"].endswith(capture["id"])
    assert captured(api, capture) == "PARTIALLY_REFUNDED"
    assert control.books()[order["id"]]["refunded"] == 2500


def test_a_claim_holds_the_money_and_takes_it_when_lost(api: Api, control: Control) -> None:
    order, capture = api.paid(control, custom_id="t-1")
    case = control.dispute(order["id"], 4000)
    assert (case["status"], case["dispute_life_cycle_stage"]) == ("WAITING_FOR_SELLER_RESPONSE", "CHARGEBACK")
    assert case["disputed_transactions"][0]["seller_transaction_id"] == capture["id"]
    assert case["disputed_transactions"][0]["custom"] == "t-1"
    assert control.books()[order["id"]]["refunded"] == 0
    assert api.issue("POST", f"/v2/payments/captures/{capture['id']}/refund") == "TRANSACTION_DISPUTED"
    assert control.respond(case["id"])["status"] == "UNDER_REVIEW"
    closed = control.close_dispute(case["id"], "lost")
    assert closed["dispute_outcome"] == {"outcome_code": "RESOLVED_BUYER_FAVOUR"}
    assert [move["type"] for move in closed["money_movements"]] == ["DEBIT"]
    assert control.books()[order["id"]]["refunded"] == 4000
    listed = api.ok("GET", "/v1/customer/disputes", params={"disputed_transaction_id": capture["id"]})
    assert [item["dispute_id"] for item in listed["items"]] == [case["id"]]
    types = [event["type"] for event in control.events(about=order["id"])]
    assert types[2:] == [
        "CUSTOMER.DISPUTE.CREATED",
        "CUSTOMER.DISPUTE.UPDATED",
        "PAYMENT.CAPTURE.REVERSED",
        "CUSTOMER.DISPUTE.RESOLVED",
    ]
    with pytest.raises(GatewayRefused):
        control.appeal(case["id"])


def test_a_won_claim_moves_nothing(api: Api, control: Control) -> None:
    order, capture = api.paid(control)
    case = control.dispute(order["id"])
    assert control.close_dispute(case["id"])["dispute_outcome"] == {"outcome_code": "RESOLVED_SELLER_FAVOUR"}
    assert control.books()[order["id"]]["refunded"] == 0
    assert api.refund(capture, "1.00")["status"] == "COMPLETED"


def test_an_inquiry_is_ended_by_giving_all_back_or_becomes_a_claim(api: Api, control: Control) -> None:
    order, capture = api.paid(control)
    case = control.dispute(order["id"], inquiry=True)
    part = {"amount": {"currency_code": "USD", "value": "1.00"}}
    assert api.issue("POST", f"/v2/payments/captures/{capture['id']}/refund", part) == "TRANSACTION_DISPUTED"
    api.refund(capture)
    assert control.get(case["id"])["status"] == "RESOLVED"
    assert control.books()[order["id"]]["refunded"] == 10000
    other, _ = api.paid(control, "7.00")
    case = control.dispute(other["id"], inquiry=True)
    assert control.escalate(case["id"])["dispute_life_cycle_stage"] == "CHARGEBACK"
    with pytest.raises(GatewayRefused):
        control.escalate(case["id"])


def test_amounts_without_decimals_are_kept_exactly(api: Api, control: Control) -> None:
    order = api.order("5000", "HUF")
    control.pay(order["id"])
    api.capture(order)
    control.refund(order["id"], 120000)
    assert control.books()[order["id"]] == {"currency": "huf", "paid": 500000, "refunded": 120000, "withdrawn": 0}
    assert control.ledger()["totals"]["huf"]["net"] == 380000
