"""The state machine and the trigger against a model, over random histories."""

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from devstack.stack import Stack
from tests.payments.histories import Bookings, gateway_histories, outcome_in_order

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
