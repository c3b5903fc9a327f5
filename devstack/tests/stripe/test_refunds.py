"""Refunds and disputes."""

from typing import Any

import pytest

from devstack.stripe import Control, wait_for
from tests.stripe.process import new_intent, paid_intent, refused


def test_partial_refunds_up_to_the_whole(v1: Any, control: Control) -> None:
    intent = paid_intent(v1, control)
    sent = {"payment_intent": intent.id, "amount": 4000, "reason": "duplicate", "metadata": {"refund_id": "r1"}}
    first = v1.refunds.create(sent)
    assert {name: first.to_dict()[name] for name in sent} == sent
    assert (first.status, first.charge, first.currency) == ("succeeded", intent.latest_charge, "usd")
    error = refused(lambda: v1.refunds.create({"charge": intent.latest_charge, "amount": 6001}))
    assert error.http_status == 400 and "greater than unrefunded amount" in error.user_message
    assert v1.refunds.create({"charge": intent.latest_charge}).amount == 6000
    error = refused(lambda: v1.refunds.create({"payment_intent": intent.id}))
    assert (error.http_status, error.code) == (400, "charge_already_refunded")
    charge = v1.charges.retrieve(intent.latest_charge, {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded, len(charge.refunds.data)) == (10000, True, 2)
    assert [r.amount for r in v1.refunds.list({"payment_intent": intent.id})] == [6000, 4000]
    assert v1.refunds.update(first.id, {"metadata": {"x": "y"}}).metadata.x == "y"
    refunded = [e["data"]["object"]["amount_refunded"] for e in control.events("charge.refunded")]
    assert refunded == [4000, 10000] and len(control.events("refund.created")) == 2
    assert control.ledger()["totals"] == {"usd": {"paid": 10000, "refunded": 10000, "disputed": 0, "net": 0}}


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"reason": "the guest fell ill"}, 400, None),
        ({"amount": 0}, 400, "parameter_invalid_integer"),
        ({"amount": -1}, 400, "parameter_invalid_integer"),
        ({"colour": "red"}, 400, "parameter_unknown"),
        ({"payment_intent": "pi_none"}, 404, "resource_missing"),
    ],
)
def test_refund_is_refused_as_stripe_does(v1: Any, control: Control, params: Any, status: int, code: Any) -> None:
    intent = paid_intent(v1, control)
    error = refused(lambda: v1.refunds.create({"payment_intent": intent.id} | params))
    assert (error.http_status, error.code) == (status, code)
    assert control.ledger()["refunds"] == []


def test_refund_of_an_unpaid_intent_is_refused(v1: Any) -> None:
    intent = new_intent(v1)
    assert "successful charge" in refused(lambda: v1.refunds.create({"payment_intent": intent.id})).user_message


def test_pending_refund_fails_by_command(v1: Any, control: Control) -> None:
    intent = paid_intent(v1, control)
    control.next_refunds("pending", 1)
    refund = v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "pending" and v1.charges.retrieve(intent.latest_charge).refunded is True
    control.change_refund(refund.id, "failed")
    assert v1.refunds.retrieve(refund.id).failure_reason == "expired_or_canceled_card"
    assert v1.charges.retrieve(intent.latest_charge).amount_refunded == 0
    assert [e["data"]["object"]["status"] for e in control.events("refund.updated", "refund.failed")] == ["failed"] * 2
    assert v1.refunds.create({"payment_intent": intent.id}).status == "succeeded"


@pytest.mark.parametrize(
    ("card", "first", "last"),
    [("pm_card_pendingRefund", "pending", "succeeded"), ("pm_card_refundFail", "succeeded", "failed")],
)
def test_refund_changes_by_the_card(v1: Any, control: Control, card: str, first: str, last: str) -> None:
    intent = paid_intent(v1, control, card)
    refund = v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == first
    wait_for(lambda: v1.refunds.retrieve(refund.id).status == last, 3, "the refund did not change")


def test_dispute_is_opened_and_closed(v1: Any, control: Control) -> None:
    intent = paid_intent(v1, control)
    dispute = control.dispute(intent.id, reason="product_not_received")
    assert v1.charges.retrieve(intent.latest_charge).disputed is True
    assert refused(lambda: v1.refunds.create({"payment_intent": intent.id})).code == "charge_disputed"
    assert control.ledger()["totals"]["usd"]["net"] == 0
    assert v1.disputes.retrieve(dispute["id"]).status == "needs_response"
    control.close_dispute(dispute["id"], "won")
    assert v1.charges.retrieve(intent.latest_charge).disputed is False
    assert [
        e["data"]["object"]["status"] for e in control.events("charge.dispute.created", "charge.dispute.closed")
    ] == [
        "needs_response",
        "won",
    ]
