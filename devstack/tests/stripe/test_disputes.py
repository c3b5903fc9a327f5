"""Disputes: inquiries, chargebacks, their ends, appeals, and what they leave to refund."""

from typing import Any

import pytest

from devstack.stripe import Control, StripeRefused, wait_for
from tests.stripe.process import paid_intent, refused, types

CREATED, WITHDRAWN = "charge.dispute.created", "charge.dispute.funds_withdrawn"
UPDATED, CLOSED = "charge.dispute.updated", "charge.dispute.closed"
REINSTATED = "charge.dispute.funds_reinstated"


def amounts(dispute: Any) -> list[int]:
    return [entry["amount"] for entry in dispute["balance_transactions"]]


def history(control: Control, dispute: Any) -> list[tuple[str, str, list[int]]]:
    """(type, status, amounts of the balance transactions) of each of a dispute's events."""
    told = [(event["type"], event["data"]["object"]) for event in control.events(about=dispute["id"])]
    return [(type, thing["status"], amounts(thing)) for type, thing in told]


def disputed(v1: Any, control: Control, **options: Any) -> tuple[Any, dict[str, Any]]:
    intent = paid_intent(v1, control)
    return intent, control.dispute(intent.id, **options)


def test_chargeback_is_won(v1: Any, control: Control) -> None:
    intent, dispute = disputed(v1, control, reason="product_not_received")
    assert v1.charges.retrieve(intent.latest_charge).disputed is True
    assert refused(lambda: v1.refunds.create({"payment_intent": intent.id})).code == "charge_disputed"
    assert control.ledger()["totals"]["usd"]["net"] == 0
    shown = v1.disputes.retrieve(dispute["id"]).to_dict()
    assert (shown["status"], shown["is_charge_refundable"]) == ("needs_response", False)
    assert (shown["network_reason_code"], shown["evidence_details"]["due_by"] > shown["created"]) == ("13.1", True)
    (taken,) = shown["balance_transactions"]
    expected = {"amount": -10000, "fee": 1500, "net": -11500, "currency": "usd", "type": "adjustment"}
    assert expected.items() <= taken.items() and taken["id"].startswith("txn_")
    assert control.respond(dispute["id"])["status"] == "under_review"
    control.close_dispute(dispute["id"], "won")
    assert history(control, dispute) == [
        (CREATED, "needs_response", []),
        (WITHDRAWN, "needs_response", [-10000]),
        (UPDATED, "under_review", [-10000]),
        (REINSTATED, "won", [-10000, 10000]),
        (CLOSED, "won", [-10000, 10000]),
    ]
    assert v1.disputes.retrieve(dispute["id"]).is_charge_refundable is True
    assert v1.charges.retrieve(intent.latest_charge).disputed is True, "it has been"
    assert control.ledger()["totals"]["usd"]["net"] == 10000
    assert v1.refunds.create({"payment_intent": intent.id}).amount == 10000


def test_chargeback_is_lost_and_nothing_is_left_to_refund(v1: Any, control: Control) -> None:
    intent, dispute = disputed(v1, control)
    v1.disputes.close(dispute["id"])
    assert history(control, dispute)[-1] == (CLOSED, "lost", [-10000])
    assert refused(lambda: v1.refunds.create({"payment_intent": intent.id})).code == "charge_disputed"
    assert refused(lambda: v1.disputes.close(dispute["id"])).http_status == 400


def test_inquiry_takes_nothing(v1: Any, control: Control) -> None:
    intent, dispute = disputed(v1, control, inquiry=True)
    assert (dispute["status"], dispute["is_charge_refundable"]) == ("warning_needs_response", True)
    assert dispute["payment_method_details"]["card"]["case_type"] == "inquiry"
    assert control.ledger()["totals"]["usd"]["net"] == 10000
    assert v1.charges.retrieve(intent.latest_charge).disputed is True
    assert control.respond(dispute["id"])["status"] == "warning_under_review"
    with pytest.raises(StripeRefused):
        control.close_dispute(dispute["id"], "won")
    control.close_dispute(dispute["id"], "warning_closed")
    assert [type for type, _, _ in history(control, dispute)] == [CREATED, UPDATED, CLOSED]
    assert v1.refunds.create({"payment_intent": intent.id}).amount == 10000


def test_inquiry_escalates_for_what_is_not_refunded(v1: Any, control: Control) -> None:
    intent, dispute = disputed(v1, control, inquiry=True)
    v1.refunds.create({"payment_intent": intent.id, "amount": 4000})
    escalated = control.escalate(dispute["id"])
    assert (escalated["amount"], escalated["is_charge_refundable"]) == (6000, False)
    assert escalated["payment_method_details"]["card"]["case_type"] == "chargeback"
    assert history(control, dispute)[1:] == [(UPDATED, "needs_response", []), (WITHDRAWN, "needs_response", [-6000])]
    (updated,) = control.events(UPDATED)
    assert updated["data"]["previous_attributes"] == {"status": "warning_needs_response"}
    with pytest.raises(StripeRefused):
        control.escalate(dispute["id"])


def test_full_refund_ends_the_danger_of_an_inquiry_and_not_the_inquiry(v1: Any, control: Control) -> None:
    intent, dispute = disputed(v1, control, inquiry=True)
    v1.refunds.create({"payment_intent": intent.id})
    shown = v1.disputes.retrieve(dispute["id"])
    assert (shown.status, shown.is_charge_refundable) == ("warning_needs_response", False)
    with pytest.raises(StripeRefused):
        control.escalate(dispute["id"])


@pytest.mark.parametrize(("first", "then"), [("lost", "won"), ("won", "lost")])
def test_appeal_turns_the_end_round(v1: Any, control: Control, first: str, then: str) -> None:
    intent, dispute = disputed(v1, control)
    with pytest.raises(StripeRefused):
        control.appeal(dispute["id"], then)
    control.close_dispute(dispute["id"], first)
    control.appeal(dispute["id"], then)
    money = {"won": (REINSTATED, [-10000, 10000]), "lost": (WITHDRAWN, [-10000, 10000, -10000])}[then]
    before = amounts(dispute) if first == "lost" else [-10000, 10000]
    assert history(control, dispute)[-2:] == [(UPDATED, then, before), (money[0], then, money[1])]
    assert control.ledger()["totals"]["usd"]["net"] == (10000 if then == "won" else 0)
    assert v1.disputes.retrieve(dispute["id"]).is_charge_refundable is (then == "won")


def test_second_dispute_follows_the_first(v1: Any, control: Control) -> None:
    intent, first = disputed(v1, control, amount=3000)
    with pytest.raises(StripeRefused):
        control.dispute(intent.id, 1000)
    control.close_dispute(first["id"], "lost")
    error = refused(lambda: v1.refunds.create({"payment_intent": intent.id, "amount": 7001}))
    assert error.http_status == 400 and "70.00" in error.user_message
    v1.refunds.create({"payment_intent": intent.id, "amount": 2000})
    second = control.dispute(intent.id, reason="duplicate")
    assert second["amount"] == 5000
    assert {each.id for each in v1.disputes.list({"payment_intent": intent.id})} == {first["id"], second["id"]}
    assert control.ledger()["totals"]["usd"] == {"paid": 10000, "refunded": 2000, "disputed": 8000, "net": 0}


def test_what_is_refunded_is_not_disputed(v1: Any, control: Control) -> None:
    intent = paid_intent(v1, control)
    v1.refunds.create({"payment_intent": intent.id})
    with pytest.raises(StripeRefused):
        control.dispute(intent.id)


def test_pending_refund_fails_by_a_chargeback(v1: Any, control: Control) -> None:
    intent = paid_intent(v1, control)
    control.next_refunds("pending", 1)
    refund = v1.refunds.create({"payment_intent": intent.id})
    assert control.dispute(intent.id)["amount"] == 10000
    failed = v1.refunds.retrieve(refund.id)
    assert (failed.status, failed.failure_reason) == ("failed", "charge_for_pending_refund_disputed")
    assert types(control, intent.id, "refund.failed") == ["refund.failed", "charge.refund.updated", CREATED, WITHDRAWN]


@pytest.mark.parametrize(
    ("card", "status"),
    [("pm_card_createDispute", "needs_response"), ("pm_card_createDisputeInquiry", "warning_needs_response")],
)
def test_card_is_disputed_by_itself(v1: Any, control: Control, card: str, status: str) -> None:
    intent = paid_intent(v1, control, card)
    (created,) = wait_for(lambda: control.events(CREATED, about=intent.id), 3, "no dispute")
    assert created["data"]["object"]["status"] == status


def test_bank_debit_has_no_code_of_a_card(v1: Any, control: Control) -> None:
    intent = paid_intent(v1, control, "pm_usBankAccount_processing")
    control.settle(intent.id)
    dispute = control.dispute(intent.id, reason="insufficient_funds")
    assert (dispute["network_reason_code"], dispute["payment_method_details"]) == (None, None)
    with pytest.raises(StripeRefused):
        control.dispute(intent.id, reason="boredom")
