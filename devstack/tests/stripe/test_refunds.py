"""Refunds, and payments that somebody else took."""

from typing import Any

import pytest

from devstack.stripe import Control, StripeRefused, wait_for
from tests.stripe.process import new_intent, paid_intent, refused, types


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


def test_refund_waits_for_the_payer_and_is_canceled(v1: Any, control: Control) -> None:
    intent = paid_intent(v1, control)
    control.next_refunds("requires_action", 1)
    refund = v1.refunds.create({"payment_intent": intent.id, "amount": 6000})
    assert (refund.status, refund.next_action.type) == ("requires_action", "display_details")
    assert refused(lambda: v1.refunds.create({"payment_intent": intent.id, "amount": 4001})).http_status == 400
    canceled = v1.refunds.cancel(refund.id)
    assert (canceled.status, canceled.failure_reason, canceled.next_action) == ("canceled", "merchant_request", None)
    assert types(control, intent.id, "refund") == ["refund.created", "refund.updated", "charge.refund.updated"]
    (updated,) = control.events("charge.refund.updated")
    assert updated["data"]["object"]["status"] == "canceled"
    assert updated["data"]["previous_attributes"] == {"status": "requires_action"}
    assert v1.charges.retrieve(intent.latest_charge).amount_refunded == 0
    assert v1.refunds.create({"payment_intent": intent.id}).amount == 10000


def test_only_a_refund_on_its_way_is_canceled(v1: Any, control: Control) -> None:
    intent = paid_intent(v1, control)
    done = v1.refunds.create({"payment_intent": intent.id, "amount": 1})
    with pytest.raises(StripeRefused):
        control.change_refund(done.id, "canceled")
    control.next_refunds("pending", 1)
    waiting = v1.refunds.create({"payment_intent": intent.id, "amount": 1})
    assert refused(lambda: v1.refunds.cancel(waiting.id)).http_status == 400
    assert control.change_refund(waiting.id, "canceled")["status"] == "canceled"
    with pytest.raises(StripeRefused):
        control.change_refund(waiting.id, "succeeded")


@pytest.mark.parametrize("keep_total", [True, False])
def test_total_of_a_charge_after_a_failed_refund(v1: Any, control: Control, keep_total: bool) -> None:
    control.failed_refunds(keep_total=keep_total)
    intent = paid_intent(v1, control)
    refund = v1.refunds.create({"payment_intent": intent.id})
    control.change_refund(refund.id, "failed")
    charge = v1.charges.retrieve(intent.latest_charge)
    assert (charge.amount_refunded, charge.refunded) == ((10000, True) if keep_total else (0, False))
    assert control.ledger()["totals"]["usd"]["refunded"] == 0
    assert v1.refunds.create({"payment_intent": intent.id}).amount == 10000


def test_charge_without_an_intent_goes_back(v1: Any, control: Control) -> None:
    charge = control.foreign_charge(5000, "usd")
    assert (charge["paid"], charge["payment_intent"], charge["metadata"]) == (True, None, {})
    assert [event["type"] for event in control.events()] == ["charge.succeeded"]
    control.refund(charge["id"], 2000)
    dispute = control.dispute(charge["id"])
    assert (dispute["amount"], dispute["payment_intent"]) == (3000, None)
    about = control.events(about=charge["id"])
    assert len(about) == 5 and all(event["data"]["object"]["payment_intent"] is None for event in about)


def test_another_program_is_paid_on_the_account(v1: Any, control: Control) -> None:
    paid = control.foreign_payment(5000, "usd", {"order": "9"})
    assert (paid["status"], paid["metadata"]) == ("succeeded", {"order": "9"})
    assert types(control, paid["id"]) == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    open = control.foreign_payment(5000, "usd", pay=False)
    assert v1.payment_intents.retrieve(open["id"]).status == "requires_payment_method"
