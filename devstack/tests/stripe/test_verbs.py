"""The verbs that the controls of all gateways have, over Stripe."""

from typing import Any

from devstack.stripe import Control
from tests.stripe.process import new_intent


def test_payers_pay_decline_and_dawdle(v1: Any, control: Control) -> None:
    paid, declined, slow = (new_intent(v1, 10000).id for _ in range(3))
    assert control.pay(paid) == {"status": "succeeded", "proof": None}
    assert control.pay(declined, "declined")["status"] == "requires_payment_method"
    assert control.pay(slow, "slow")["status"] == "processing"
    assert control.books()[slow]["paid"] == 0
    control.settle(slow)
    assert {id: entry["paid"] for id, entry in control.books().items()} == {paid: 10000, declined: 0, slow: 10000}


def test_books_have_what_went_back(v1: Any, control: Control) -> None:
    intent = new_intent(v1, 10000).id
    control.pay(intent)
    control.refund(intent, 4000)
    dispute = control.dispute(intent)
    assert control.books() == {intent: {"currency": "usd", "paid": 10000, "refunded": 4000, "withdrawn": 6000}}
    control.close_dispute(dispute["id"], "won")
    assert control.books()[intent]["withdrawn"] == 0
