"""Stripe's events, as files of API version 2026-10-28.endive, in our words."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.payments.gateway import EventRefused
from service.payments.gateways.stripe_events import KINDS, read_event

FILES = Path(__file__).parents[2] / "stripe_events"
METADATA = {
    "booking_id": "6d3f0a55-2f0b-4a43-9a52-5b8f2c1de001",
    "transaction_id": "0f4a8f5c-9f0e-4d2b-8f7e-1c2d3e4f5a6b",
}
NOBODY = {"booking_id": None, "transaction_id": None}
REFUND = {"amount": 5000, "reference": "9d6b2c1e-7a54-4c0e-9c55-0a1b2c3d4e5f"}
DISPUTE = {"amount": 29999, "reason": "fraudulent", "withdrawals": 0, "reinstatements": 0}
EXPECTED: dict[str, dict[str, Any]] = {
    "payment_intent.succeeded": {"amount": 29999, "payment_method": "card", "metadata": METADATA},
    "payment_intent.payment_failed": {
        "amount": 29999,
        "failure_code": "insufficient_funds",
        "failure_reason": "There was not enough money in the account.",
        "metadata": METADATA,
    },
    "payment_intent.processing": {"amount": 29999, "metadata": METADATA},
    "payment_intent.canceled": {"amount": 29999, "metadata": METADATA},
    "charge.refunded": {"amount": 29999, "charge_refunded": 5000, "payment_method": "card", "metadata": METADATA},
    "refund.created": {"refund": {**REFUND, "status": "succeeded"}, "metadata": NOBODY},
    "refund.failed": {"refund": {**REFUND, "status": "failed"}, "metadata": NOBODY},
    "charge.dispute.created": {
        "dispute": {**DISPUTE, "status": "needs_response"},
        "metadata": NOBODY,
    },
    "charge.dispute.closed": {"dispute": {**DISPUTE, "status": "lost"}, "metadata": NOBODY},
}


def load(name: str) -> dict[str, Any]:
    return json.loads((FILES / f"{name}.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_an_event_reads_in_our_words(name):
    raw = load(name)
    told = read_event(json.dumps(raw), is_live=False)
    for facts in (told.get("refund"), told.get("dispute")):
        if facts:
            assert facts.pop("id") == raw["data"]["object"]["id"]
            assert facts.pop("created_at").startswith("20")
            assert facts.pop("due_by", "20").startswith("20")
    thing = raw["data"]["object"]
    assert told == {
        "id": raw["id"],
        "type": name,
        "gateway": "stripe",
        "kind": KINDS[name],
        "payment_id": thing["id"] if name.startswith("payment_intent") else thing["payment_intent"],
        "currency": "usd",
        "occurred_at": told["occurred_at"],
        **EXPECTED[name],
    }


def test_events_that_concern_nothing_are_left_alone():
    assert read_event(json.dumps(load("payment_intent.created")), is_live=False) is None


@pytest.mark.parametrize("name", EXPECTED)
def test_an_event_of_the_other_mode_is_refused(name):
    with pytest.raises(EventRefused) as refused:
        read_event(json.dumps(load(name)), is_live=True)
    assert refused.value.code == "webhook_wrong_mode"


@pytest.mark.parametrize("name", EXPECTED)
def test_an_event_that_lacks_anything_is_refused_and_never_an_error(name):
    """Each key taken out, and each value put to something else, at any depth."""
    odd_values = (None, "", "\x00", [], {}, -1, 1e30, True, "x" * 1000)
    for path in paths(load(name)):
        for odd in (*odd_values, KeyError):
            changed = load(name)
            place = changed
            for step in path[:-1]:
                place = place[step]
            if odd is KeyError:
                del place[path[-1]]
            else:
                place[path[-1]] = odd
            try:
                told = read_event(json.dumps(changed), is_live=False)
            except EventRefused:
                continue
            assert told is None or "\x00" not in json.dumps(told)


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(value, dict):
        return [above]
    return ([above] if above else []) + [path for key, one in value.items() for path in paths(one, (*above, key))]
