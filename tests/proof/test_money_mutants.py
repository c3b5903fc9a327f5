"""Can the tests of the money's rules fail? Each rule is broken in turn, and some test of them has to notice."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from tests.payments import test_rules
from tests.payments.histories import Bookings, gateway_histories, outcome_in_order
from tests.payments.test_rules import BRIEF
from tools.stack import Stack

LENGTH = settings(BRIEF, max_examples=500, derandomize=False, database=None, phases=[Phase.generate])
# name: (function, what stands there, what is put in its place)
MUTANTS = {
    "older news count": ("move_payment", "> (status_at, (status = 'failed')::integer)", ">= (status_at, 0)"),
    "canceled is not the end": ("move_payment", "and canceled_at is null", ""),
    "late failures undo": ("move_payment", "status not in ('completed', 'refunded') and", ""),
    "two live ones": ("lock_event_transaction", "then now() end", "then null end"),
    "last row decides": (
        "tg_transactions__sync_booking",
        "when v_paid.id is not null then",
        "when new.status = 'completed' then",
    ),
    "any refund is all": (
        "tg_transactions__sync_booking",
        "and not bool_or(t.status = 'completed')",
        "",
    ),
    "first attempt decides": ("tg_transactions__sync_booking", "t.created_at desc, t.id desc", "t.created_at, t.id"),
    "any amount pays": ("tg_transactions__sync_booking", "and review_reason is distinct from 'amount_mismatch'", ""),
    "cancelled is confirmed": ("tg_transactions__sync_booking", "and status = 'Pending' then", "then"),
    "superseded ones failed": ("tg_transactions__sync_booking", "filter (where t.cancel_requested_at is null)", ""),
    "refunds count twice": ("refunded_amount", "gateway_created_at <= p_payment.charge_refunded_at", "false"),
    "refunds of the same second count twice": ("refunded_amount", "gateway_created_at <=", "gateway_created_at <"),
    "only the total counts": (
        "refunded_amount",
        "coalesce(sum(amount) filter (where status in ('pending', 'succeeded')), 0) +",
        "",
    ),
    "only the list counts": ("refunded_amount", "p_payment.charge_refunded -", "0 -"),
    "disputes take nothing": ("withdrawn_amount", "amount_withdrawn - amount_reinstated", "amount_withdrawn * 0"),
    "won disputes give nothing back": ("withdrawn_amount", "amount_withdrawn - amount_reinstated", "amount_withdrawn"),
    "older news of disputes count": ("note_dispute", "order by told.status_at desc,", "order by told.status_at,"),
    "won disputes stay flagged": ("note_dispute", "else nullif(review_reason, 'dispute')", "else review_reason"),
    "disputed is paid again": ("check_payable", "d.outcome is null", "false"),
    "refunds cannot fail": ("refund_rank", "when 'succeeded' then 2 else 3", "when 'succeeded' then 3 else 2"),
    "totals by time alone": (
        "apply_gateway_event",
        "> (charge_refunded_at, charge_refunded)",
        "> (charge_refunded_at, 10^9)",
    ),
    "failed ones stay open": ("supersede_payments", "status <> 'processing'", "status = 'pending'"),
    "others stay payable": ("complete_payment", "perform app.supersede_payments(v_booking.id, p_id);", ""),
    "double payments pass": ("settle_doubles", "cardinality(v_standing) > 1 and p_is_new", "false"),
    "doubles stay flagged": ("settle_doubles", "cardinality(v_standing) = 1", "false"),
    "cancelled stays payable": ("tg_bookings__close_payment", "new.status <> 'Cancelled'", "true"),
    "failed debits stay payable": ("move_payment", "not v_is_wanted", "false"),
    "old prices are paid": ("open_payment", "and amount = v_amount", ""),
    "another gateway's is handed out": ("open_payment", "and gateway = p_gateway", ""),
    "what nobody wants is taken": ("public.begin_capture", "and is_live", ""),
    "approved is paid": ("approve_payment", "set approved_at = p_at", "set status = 'processing', approved_at = p_at"),
    "gateways share their names": (
        "lock_event_transaction",
        "where gateway = v_gateway and gateway_payment_id = v_payment_id for",
        "where gateway_payment_id = v_payment_id for",
    ),
    "a charge names no payment": (
        "lock_event_transaction",
        "where gateway = v_gateway and gateway_charge_id = v_charge_id",
        "where false",
    ),
    "what named a charge is forgotten": ("lock_event_transaction", "or charge_id = v_charge_id", ""),
    "cash leaves cards open": (
        "note_payment_by_hand",
        "perform app.supersede_payments(v_booking.id);",
        "",
    ),
    "paid is paid again": ("check_payable", "p_booking.id and status = 'completed'", "p_booking.id and false"),
}

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def owner(stack: Stack) -> Iterator[psycopg.Connection]:
    stack.postgres.create_database("mutants")
    stack.postgres.migrate("mutants")
    with psycopg.connect(stack.postgres.uri(database="mutants"), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_noticed(stack: Stack, owner: psycopg.Connection, name: str) -> None:
    function, there, instead = MUTANTS[name]
    named = function if "." in function else f"app.{function}"
    text = owner.execute("select pg_get_functiondef(%s::regproc)", [named]).fetchone()[0]
    assert there in text
    owner.execute(text.replace(there, instead))
    try:
        with psycopg.connect(stack.postgres.uri(database="mutants")) as connection:
            connection.execute("set role service_role")
            connection.commit()
            assert any(fails(check, connection) for check in CHECKS)
    finally:
        owner.execute(text)


def fails(check: Callable[[psycopg.Connection], None], connection: psycopg.Connection) -> bool:
    try:
        check(connection)
    except (AssertionError, psycopg.Error, BaseExceptionGroup):
        connection.rollback()
        return True
    return False


def any_history(connection: psycopg.Connection) -> None:
    run_state_machine_as_test(type("Machine", (Bookings,), {"connection": connection}), settings=LENGTH)


def any_order(connection: psycopg.Connection) -> None:
    @LENGTH
    @given(history=gateway_histories(), order=st.randoms(use_true_random=False))
    def check(history, order):
        events, expected = history
        assert outcome_in_order(connection, events, order) == expected

    check()


CHECKS = [
    test_rules.test_what_was_opened_for_another_price_is_not_handed_out,
    test_rules.test_a_stranger_beside_a_live_payment_is_not_handed_out,
    test_rules.test_the_total_and_single_refunds_complete_each_other,
    any_order,
    any_history,
]
