"""What the tables themselves promise, also to those who come past the service."""

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.payments.histories import ask

SET_STATUS = "select update_booking_payment(%s, %s, %s::numeric)"


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("299.99", "usd", 29999),
        ("300", "EUR", 30000),
        ("5000", "jpy", 5000),
        ("12.3456", "kwd", 12350),
        ("900", "isk", 90000),
        ("900.4", "ugx", 90000),
        (None, "usd", 0),
        ("0.005", "usd", 1),
    ],
)
def test_currency_units_become_minor_units(db, amount, currency, minor):
    assert ask(db, "select app.to_minor_units(%s, %s)", amount, currency) == minor


@pytest.mark.parametrize(
    ("currency", "digits"), [("usd", 2), ("JPY", 0), ("bhd", 3), ("xof", 0), ("ugx", 2), ("zzz", 2)]
)
def test_currencies_have_as_many_digits_as_stripe_counts(db, currency, digits):
    assert ask(db, "select (app.currency(%s)).exponent", currency) == digits


@pytest.mark.parametrize("role", ["postgres", "service_role"])
@pytest.mark.parametrize(
    "change",
    [
        "update transaction_audit_logs set new_status = 'failed'",
        "delete from transaction_audit_logs",
        "truncate transaction_audit_logs",
    ],
)
def test_nobody_changes_the_audit_log(stack, paid, role, change):
    paid()
    with psycopg.connect(stack.postgres.uri()) as connection:
        connection.execute(f"set role {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(change)


@pytest.mark.parametrize(
    "table", ["transactions", "transaction_audit_logs", "refunds", "disputes", "gateway_events", "unverified_events"]
)
@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_no_role_of_the_browser_sees_money(stack, table, role):
    with psycopg.connect(stack.postgres.uri()) as connection:
        connection.execute(f"set role {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"select count(*) from {table}")


def test_a_customer_sees_only_their_own_transactions(stack, customer, paid):
    mine, _ = paid(customer_id=customer.id)
    paid()
    with psycopg.connect(stack.postgres.uri()) as connection:
        connection.execute("select set_config('request.jwt.claims', %s, true)", [f'{{"sub": "{customer.id}"}}'])
        connection.execute("set local role customer")
        assert connection.execute("select booking_id::text, status from transactions").fetchall() == [
            (mine, "completed")
        ]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select metadata from transactions")


def test_a_booking_with_money_cannot_be_deleted(db, paid):
    booking_id, _ = paid()
    with pytest.raises(psycopg.Error, match="Nothing was deleted") as refused, db.transaction():
        db.execute("delete from bookings where id::text = %s", [booking_id])
    assert (refused.value.sqlstate, refused.value.diag.message_hint) == ("PT409", "booking_has_payments")


@pytest.mark.parametrize(
    "change",
    [
        "amount = 0",
        "amount_refunded = amount + 1",
        "amount_refunded = amount",  # and still completed
        "amount_refunded = -1",
        "currency = 'USD'",
        "status = 'paid'",
        "gateway = 'Cash 1'",
        "metadata = '[]'",
    ],
)
def test_impossible_transactions_are_refused(db, paid, change):
    booking_id, _ = paid()
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        db.execute(f"update transactions set {change} where booking_id::text = %s", [booking_id])


def test_a_booking_has_one_live_payment(db, book):
    booking_id = book()
    insert = "insert into transactions (gateway, booking_id, amount, currency) values ('stripe', %s, 100, 'usd')"
    db.execute(insert, [booking_id])
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        db.execute(insert, [booking_id])


def test_two_payments_of_one_booking_that_change_at_once_both_count(stack, db, book, ledger):
    booking_id = book()
    insert = "insert into transactions (booking_id, amount, currency, gateway) values (%s, 100, 'usd', 'manual')"
    first, second = (ask(db, f"{insert} returning id", booking_id) for _ in range(2))
    change = "update transactions set status = %s where id = %s"
    with psycopg.connect(stack.postgres.uri()) as one, psycopg.connect(stack.postgres.uri()) as other:
        one.execute(change, ["completed", first])
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(other.execute, change, ["failed", second])
            time.sleep(0.2)
            assert not waiting.done()
            one.commit()
            waiting.result()
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


def test_staff_notes_what_was_paid_elsewhere(db, book, ledger):
    booking_id = book()
    assert ask(db, SET_STATUS, booking_id, "Paid", None)["payment_status"] == "Paid"
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]
    assert ask(db, SET_STATUS, booking_id, "Refunded", None)["payment_status"] == "Refunded"
    assert ask(db, SET_STATUS, booking_id, "Pending", None)["payment_status"] == "Pending"
    assert ask(db, SET_STATUS, booking_id, "Paid", 123.45)["payment_status"] == "Paid"
    assert ledger.transactions(booking_id) == [("pending", 29999, 0), ("completed", 12345, 0)]
    assert {(by, new) for _, new, by in ledger.audit(booking_id)} == {
        ("postgres", "completed"),
        ("postgres", "refunded"),
        ("postgres", "pending"),
    }


def test_staff_cannot_note_away_what_was_paid_online(db, paid, ledger):
    booking_id, _ = paid()
    for status in ("Pending", "Refunded"):
        with pytest.raises(psycopg.Error) as refused, db.transaction():
            ask(db, SET_STATUS, booking_id, status, None)
        assert (refused.value.sqlstate, refused.value.diag.message_hint) == ("PT409", "paid_online")
    assert ask(db, SET_STATUS, booking_id, "Paid", None)["payment_status"] == "Paid"
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]


def test_staff_settles_a_payment_of_another_amount(db, api, stripe, hook, book, ledger):
    booking_id = book()
    intent = api.post("/api/payments/create-payment-intent", {"bookingId": booking_id})["paymentIntentId"]
    db.execute("update bookings set amount = 310 where id::text = %s", [booking_id])
    stripe.confirm(intent)
    hook.deliver(intent)
    assert ledger.booking(booking_id) == ("Pending", "Pending")
    ask(db, SET_STATUS, booking_id, "Paid", None)
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    assert ledger.transactions(booking_id) == [("completed", 29999, 0)]


def test_a_note_takes_the_open_payment_back(db, api, stripe, book, ledger):
    booking_id = book()
    api.post("/api/payments/create-payment-intent", {"bookingId": booking_id})
    ask(db, SET_STATUS, booking_id, "Paid", None)
    assert ledger.transactions(booking_id) == [("failed", 29999, 0), ("completed", 29999, 0)]
