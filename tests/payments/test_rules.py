"""The state machine and the trigger against a model, over random histories."""

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from tests.payments.histories import BOOK, Bookings, ask, event, gateway_histories, outcome_in_order, tell
from tools.stack import Stack

BRIEF = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def service_role(stack: Stack) -> Iterator[psycopg.Connection]:
    """A connection with the rights of the service."""
    with psycopg.connect(stack.postgres.uri()) as connection:
        connection.execute("set role service_role")
        connection.commit()
        yield connection


def test_bookings_follow_their_payments_in_any_history(service_role):
    machine = type("Machine", (Bookings,), {"connection": service_role})
    run_state_machine_as_test(machine, settings=BRIEF)


def test_the_order_of_events_does_not_matter(service_role):
    @BRIEF
    @given(history=gateway_histories(), order=st.randoms(use_true_random=False))
    def check(history, order):
        events, expected = history
        assert outcome_in_order(service_role, events, order) == expected

    check()


def test_a_stranger_beside_a_live_payment_is_not_handed_out(service_role):
    """The booking's own was declined, a stranger is processing, and now the first is tried again."""
    with service_role.transaction(force_rollback=True):
        booking_id = ask(service_role, BOOK, 300)
        task = ask(service_role, "select begin_payment(%s, 'stripe')", booking_id)
        ask(service_role, "select attach_payment(%s, 'pi_old')", task["transaction_id"])
        tell(service_role, event("payment.failed", "pi_old", 1, amount=30000))
        tell(service_role, event("payment.processing", "pi_x", 2, amount=30000, metadata={"booking_id": booking_id}))
        tell(service_role, event("payment.processing", "pi_old", 3, amount=30000))
        query = "select gateway_payment_id, status, cancel_requested_at is null from transactions"
        found = service_role.execute(f"{query} where booking_id::text = %s order by 1 desc", [booking_id]).fetchall()
        assert found == [("pi_x", "processing", False), ("pi_old", "processing", True)]


def test_what_was_opened_for_another_price_is_not_handed_out(service_role):
    """As one that was open before there was a trigger that closes it."""
    with service_role.transaction(force_rollback=True):
        booking_id = ask(service_role, BOOK, 300)
        old = ask(service_role, "select begin_payment(%s, 'stripe')", booking_id)
        service_role.execute("update transactions set amount = 25000 where id = %s", [old["transaction_id"]])
        new = ask(service_role, "select begin_payment(%s, 'stripe')", booking_id)
        assert (new["amount"], new["transaction_id"] == old["transaction_id"]) == (30000, False)


def test_the_total_and_single_refunds_complete_each_other(service_role):
    """One refund is known by the charge's total alone, a later one only by itself, and an earlier one fails."""
    with service_role.transaction(force_rollback=True):
        booking_id = ask(service_role, BOOK, 300)
        tell(service_role, event("payment.succeeded", "pi_r", 1, amount=30000, metadata={"booking_id": booking_id}))
        tell(service_role, event("charge.refunded", "pi_r", 3, amount=30000, charge_refunded=1000))
        for refund_id, second, status, expected in (("re_2", 4, "succeeded", 1500), ("re_1", 2, "failed", 1000)):
            created = f"2026-01-01T00:00:0{second}+00:00"
            refund = {"id": refund_id, "amount": 500, "status": status, "created_at": created}
            tell(service_role, event("refund.changed", "pi_r", 5, refund=refund))
            query = "select amount_refunded from transactions where booking_id::text = %s"
            assert ask(service_role, query, booking_id) == expected
