"""Random histories of money, told to the database and to the model; run briefly here and at length by `make proof`."""

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.payments.model import ORDER, Booking, Payment
from tests.payments.ways import GATEWAYS
from tests.sure import fetch_row

START = datetime(2026, 1, 1, tzinfo=UTC)
# What may be told of a dispute: (status, how often its amount was taken, and given back).
DISPUTE_NEWS = (
    ("warning_needs_response", 0, 0),
    ("warning_closed", 0, 0),
    ("needs_response", 0, 0),
    ("needs_response", 1, 0),
    ("under_review", 1, 0),
    ("lost", 1, 0),
    ("won", 1, 0),
    ("won", 1, 1),
    ("lost", 2, 1),
)
# How one dispute goes on: (status, how often its amount was taken, and given back) after each piece of news. The fourth
# comes in a later second than the third, as no bank decides twice in one.
CHARGEBACK = (("needs_response", 0, 0), ("needs_response", 1, 0))
DISPUTES = (
    CHARGEBACK,
    (*CHARGEBACK, ("under_review", 1, 0), ("lost", 1, 0)),
    (*CHARGEBACK, ("won", 1, 1)),
    (*CHARGEBACK, ("lost", 1, 0), ("won", 1, 1)),
    (*CHARGEBACK, ("won", 1, 1), ("lost", 2, 1)),
    (("warning_needs_response", 0, 0), ("warning_closed", 0, 0)),
    (("warning_needs_response", 0, 0), *CHARGEBACK),
)
KINDS = ("payment.approved", "payment.succeeded", "payment.failed", "payment.processing", "payment.canceled")
# How what follows on a payment's money may say whose it is.
NAMES: tuple[dict[str, Any], ...] = (
    {"payment_id": "pi_truth"},
    {"charge_id": "ch_truth", "metadata": {"transaction_id": "to be known"}},
    {"charge_id": "ch_truth"},
)
BOOK = (
    "insert into bookings (name, email, package, travel_date, source, amount, currency)"
    " values ('Ada', 'ada@example.com', 'Fjords', '2031-01-01', 'Website', %s, 'usd') returning id::text"
)


def event(kind: str, payment_id: str | None, second: int, gateway: str = "stripe", /, **facts: Any) -> dict[str, Any]:
    """An event as the port words it, of some second."""
    told = {
        "gateway": gateway,
        "kind": kind,
        "type": kind,
        "occurred_at": (START + timedelta(seconds=second)).isoformat(),
        "payment_id": payment_id,
        "currency": "usd",
        "metadata": {},
        **facts,
    }
    return {"id": f"evt_{abs(hash(json.dumps(told, sort_keys=True)))}", **told}


def ask(connection: psycopg.Connection, query: str, *params: Any) -> Any:
    return fetch_row(connection, query, params)[0]


def tell(connection: psycopg.Connection, told: dict[str, Any]) -> None:
    """Record an event. The test fails when its effect does."""
    assert verdict_of(connection, told) in ("processed", "duplicate"), told


def verdict_of(connection: psycopg.Connection, told: dict[str, Any]) -> str:
    verdict = ask(connection, "select record_gateway_event(%s, '{}')", json.dumps(told))
    return str(verdict["verdict"])


class Bookings(RuleBasedStateMachine):
    """One booking, its payments by any gateway begun, paid, failed, canceled, given back, noted by staff in any order.

    ``connection`` is set by the test: a role with the service's rights, in a transaction that is rolled back.
    """

    connection: psycopg.Connection

    def __init__(self) -> None:
        super().__init__()
        self.undo = self.connection.transaction(force_rollback=True)
        self.undo.__enter__()
        self.booking_id = ask(self.connection, BOOK, 300)
        self.booking = Booking(30000)

    def teardown(self) -> None:
        self.undo.__exit__(None, None, None)

    def begun(self) -> list[Payment]:
        return [payment for payment in self.booking.payments if not payment.is_manual]

    def payment_id(self, payment: Payment) -> str:
        """What is the first at one gateway is called as the first at another."""
        before = [other for other in self.booking.payments[: payment.number] if other.gateway == payment.gateway]
        return f"pi_{self.booking_id.replace('-', '')}_{len(before)}"

    def event(self, kind: str, payment: Payment, second: int, **facts: Any) -> dict[str, Any]:
        return event(kind, self.payment_id(payment), second, payment.gateway, **facts)

    @rule(gateway=st.sampled_from(GATEWAYS))
    def begin(self, gateway: str) -> None:
        expected = self.booking.begin(gateway)
        if isinstance(expected, str):
            assert self.refusal("select begin_payment(%s, %s)", self.booking_id, gateway) == expected
            return
        task = ask(self.connection, "select begin_payment(%s, %s)", self.booking_id, gateway)
        assert (task["amount"], task["gateway"]) == (expected.amount, expected.gateway)
        attached = ask(
            self.connection, "select attach_payment(%s, %s)", task["transaction_id"], self.payment_id(expected)
        )
        assert attached == {"payment_id": self.payment_id(expected), "is_live": not expected.is_superseded}

    @precondition(lambda self: self.begun())
    @rule(data=st.data())
    def capture(self, data: st.DataObject) -> None:
        """What its payer has agreed to."""
        payment = data.draw(st.sampled_from(self.begun()))
        query = "select id::text from transactions where (gateway, gateway_payment_id) = (%s, %s)"
        named = ask(self.connection, query, payment.gateway, self.payment_id(payment))
        if self.booking.capture(payment):
            assert ask(self.connection, "select begin_capture(%s)", named)["amount"] == payment.amount
        else:
            assert self.refusal("select begin_capture(%s)", named) == "payment_canceled"

    @rule(price=st.sampled_from([100, 30000, 45000]))
    def change_price(self, price: int) -> None:
        self.booking.reprice(price)
        self.connection.execute("update bookings set amount = %s where id::text = %s", [price / 100, self.booking_id])

    @rule()
    @precondition(lambda self: len(self.booking.payments) > 1)
    def cancel_booking(self) -> None:
        self.booking.cancel()
        self.connection.execute("update bookings set status = 'Cancelled' where id::text = %s", [self.booking_id])

    @precondition(lambda self: self.begun())
    @rule(data=st.data(), news=st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 3)), min_size=1, max_size=4))
    def hear(self, data: st.DataObject, news: list[tuple[str, int]]) -> None:
        payment = data.draw(st.sampled_from(self.begun()))
        for kind, second in news:
            told = self.event(kind, payment, second, amount=payment.amount, failure_code="card_declined")
            tell(self.connection, told)
            self.booking.tell(payment, kind, second, payment.amount)
            self.database_agrees()

    @precondition(lambda self: len(self.booking.payments) < 6)
    @rule(kind=st.sampled_from(KINDS), second=st.integers(1, 3), gateway=st.sampled_from(GATEWAYS))
    def hear_of_a_stranger(self, kind: str, second: int, gateway: str) -> None:
        """A payment that has no row here, made from its metadata."""
        payment = Payment(len(self.booking.payments), 30000, gateway, is_superseded=self.booking.live is not None)
        self.booking.payments.append(payment)
        metadata = {"booking_id": self.booking_id}
        told = self.event(kind, payment, second, amount=30000, failure_code="x", metadata=metadata)
        tell(self.connection, told)
        self.booking.tell(payment, kind, second, 30000)

    @precondition(lambda self: any(payment.paid for payment in self.begun()))
    @rule(data=st.data(), share=st.sampled_from([1, 2, 4]), status=st.sampled_from(["pending", "succeeded"]))
    def refund(self, data: st.DataObject, share: int, status: str) -> None:
        payment = data.draw(st.sampled_from([payment for payment in self.begun() if payment.paid]))
        left = (payment.paid or 0) - payment.given_back
        if left >= share:
            refund_id = f"re_{payment.number}_{len(payment.refunds)}_{self.booking_id.replace('-', '')}"
            self.booking.give_back(payment, refund_id, left // share, status)
            self.hear_refund(payment, refund_id)

    @precondition(lambda self: any(payment.refunds for payment in self.begun()))
    @rule(data=st.data(), status=st.sampled_from(["succeeded", "failed", "canceled"]))
    def settle_refund(self, data: st.DataObject, status: str) -> None:
        known = [(payment, refund_id) for payment in self.begun() for refund_id in payment.refunds]
        payment, refund_id = data.draw(st.sampled_from(known))
        amount, before = payment.refunds[refund_id]
        if before in ("pending", "succeeded"):
            self.booking.give_back(payment, refund_id, amount, status)
            self.hear_refund(payment, refund_id)

    @precondition(lambda self: any(payment.paid for payment in self.begun()))
    @rule(
        data=st.data(),
        number=st.integers(1, 2),
        news=st.lists(st.tuples(st.sampled_from(DISPUTE_NEWS), st.integers(1, 3)), min_size=1, max_size=3),
    )
    def dispute(self, data: st.DataObject, number: int, news: list[tuple[tuple[str, int, int], int]]) -> None:
        payment = data.draw(st.sampled_from([payment for payment in self.begun() if payment.paid]))
        dispute_id = f"dp_{self.payment_id(payment)}_{number}"
        amount = (payment.paid or 0) // number
        for (status, taken, given), second in news:
            self.booking.dispute(payment, dispute_id, amount, (second, ORDER.index(status)), (taken, given))
            told = {
                "id": dispute_id,
                "status": status,
                "amount": amount,
                "reason": "fraudulent",
                "due_by": None,
                "withdrawals": taken,
                "reinstatements": given,
                "created_at": START.isoformat(),
            }
            tell(self.connection, self.event("dispute.changed", payment, second, dispute=told))
            self.database_agrees()

    def hear_refund(self, payment: Payment, refund_id: str) -> None:
        amount, status = payment.refunds[refund_id]
        refund = {"id": refund_id, "amount": amount, "status": status, "created_at": START.isoformat()}
        tell(self.connection, self.event("refund.changed", payment, 6, refund=refund))

    @rule(status=st.sampled_from(["Paid", "Pending", "Refunded"]))
    @precondition(lambda self: not any(payment.status == "completed" for payment in self.begun()))
    def note(self, status: str) -> None:
        manual = [payment for payment in self.booking.payments if payment.is_manual]
        if status == "Pending" and any(payment.status == "refunded" for payment in self.begun()):
            return
        if status != "Paid":
            for payment in manual:
                if payment.paid is not None and (status == "Pending" or payment.status == "completed"):
                    payment.refunds = {"manual": (payment.amount, "succeeded")} if status == "Refunded" else {}
                    payment.review = None
                    payment.paid = payment.amount if status == "Refunded" else None
        if self.booking.payment_status != status:
            if status == "Paid":
                self.booking.supersede()
            made = Payment(len(self.booking.payments), self.booking.price)
            made.paid = None if status == "Pending" else made.amount
            made.refunds = {"manual": (made.amount, "succeeded")} if status == "Refunded" else {}
            self.booking.payments.append(made)
        self.booking.settle()
        query = "select update_booking_payment(%s, %s, null)"
        assert ask(self.connection, query, self.booking_id, status)["payment_status"] == status

    @invariant()
    def database_agrees(self) -> None:
        found = self.connection.execute(
            "select payment_status, status from bookings where id::text = %s", [self.booking_id]
        ).fetchone()
        assert found == (self.booking.payment_status, self.booking.status)
        rows = self.connection.execute(
            "select status, amount_refunded, amount_withdrawn, review_reason, cancel_requested_at is not null"
            " from transactions"
            " where booking_id::text = %s order by created_at",
            [self.booking_id],
        ).fetchall()
        assert rows == [(p.status, p.given_back, p.withdrawn, p.review, p.is_superseded) for p in self.booking.payments]

    def refusal(self, query: str, *params: Any) -> str:
        try:
            with self.connection.transaction():
                ask(self.connection, query, *params)
        except psycopg.Error as error:
            assert (error.sqlstate or "").startswith("PT4"), error
            return error.diag.message_hint or ""
        return "nothing was refused"


# What is known of one payment: (status, amount refunded, amount withdrawn, review reason).
Outcome = tuple[str, int, int, str | None]


@st.composite
def disputes(draw: st.DrawFn, left: int) -> tuple[list[tuple[int, dict[str, Any]]], int, str | None]:
    """One dispute of what is left of a payment: its news, each some seconds later; what it holds at last, the flag."""
    amount, course = draw(st.sampled_from([1, left])), draw(st.sampled_from(DISPUTES))
    told = {"id": "dp_truth", "amount": amount, "created_at": _at(1)}
    news = [
        (max(0, number - 2), told | {"status": status, "withdrawals": taken, "reinstatements": given})
        for number, (status, taken, given) in enumerate(course)
    ]
    status, taken, given = course[-1]
    return news, amount * (taken - given), None if status in ("won", "warning_closed") else "dispute"


@st.composite
def gateway_histories(draw: st.DrawFn) -> tuple[list[dict[str, Any]], Outcome]:
    """What happened to one payment at some gateway: its events in order, and the outcome.

    What follows on the money names the payment (Stripe), or the charge alone and perhaps our transaction (PayPal).
    Several things may happen in one second. One cannot: a new try in the second in which the last one failed. Where
    only the charge's own events are subscribed to, refunds are known by their total, and failed ones not at all. The
    total may or may not still hold what failed.
    """
    is_each_told, is_total_kept = draw(st.booleans()), draw(st.booleans())
    gateway, names = draw(st.sampled_from(GATEWAYS)), draw(st.sampled_from(NAMES))
    second, events = draw(st.integers(1, 3)), []

    def happen(kind: str, **facts: Any) -> None:
        nonlocal second
        second += draw(st.integers(0, 1))
        events.append(event(kind, "pi_truth", second, gateway, **facts))

    status = "pending"
    for kind in draw(st.lists(st.sampled_from(["payment.failed", "payment.processing"]), max_size=3)):
        second += 1
        happen(kind, amount=30000, failure_code="card_declined")
        status = kind.removeprefix("payment.")
    end = draw(st.sampled_from(["paid", "paid", "paid", "canceled", "open"]))
    if end == "canceled":
        happen("payment.canceled", amount=30000)
    if end != "paid":
        return events, ("failed" if end == "canceled" else status, 0, 0, None)
    happen("payment.succeeded", amount=30000, charge_id="ch_truth")
    refunds: dict[str, dict[str, Any]] = {}
    disputed_after, withdrawn, review = draw(st.integers(0, 5)), 0, None

    for number in range(draw(st.integers(0, 5))):
        if number == disputed_after and _total(refunds) < 30000:
            news, withdrawn, review = draw(disputes(30000 - _total(refunds)))
            events += [
                event("dispute.changed", None, second + later, gateway, dispute=told, **names) for later, told in news
            ]
            second += 1 + len(news)
        live = _live(refunds)
        if live and is_each_told and draw(st.booleans()):
            refund = draw(st.sampled_from(live))
            refund["status"] = draw(
                st.sampled_from(["failed"] if refund["status"] == "succeeded" else ["succeeded", "failed", "canceled"])
            )
            happen("refund.changed", refund=dict(refund), **names)
        elif (rest := 30000 - _total(refunds) - withdrawn) > 0:
            amount = min(rest, draw(st.sampled_from([1, 5000, 30000])))
            second += draw(st.integers(0, 1))
            refund = {"id": f"re_{len(refunds)}", "amount": amount, "created_at": _at(second)}
            refund["status"] = draw(st.sampled_from(["pending", "succeeded"]))
            refunds[refund["id"]] = refund
            if is_each_told:
                events.append(event("refund.changed", None, second, gateway, refund=dict(refund), **names))
            told = _sum(refunds.values()) if is_total_kept else _total(refunds)
            events.append(event("charge.refunded", "pi_truth", second, gateway, amount=30000, charge_refunded=told))
    return events, (
        "refunded" if _total(refunds) + withdrawn >= 30000 else "completed",
        _total(refunds),
        withdrawn,
        review,
    )


def outcome_in_order(connection: psycopg.Connection, events: list[dict[str, Any]], order: random.Random) -> Outcome:
    """Tell the events in a shuffled order, some of them twice; what is known then."""
    told = events + [one for one in events if order.random() < 0.4]
    order.shuffle(told)
    gateway = events[0]["gateway"] if events else "stripe"
    with connection.transaction(force_rollback=True):
        booking_id = ask(connection, BOOK, 300)
        task = ask(connection, "select begin_payment(%s, %s)", booking_id, gateway)
        ask(connection, "select attach_payment(%s, 'pi_truth')", task["transaction_id"])
        for one in told:
            if one["metadata"]:
                one["metadata"] = {"transaction_id": task["transaction_id"]}
        verdicts = {verdict_of(connection, one) for one in told}
        assert verdicts <= {"processed", "duplicate", "foreign"}
        mine = {one["id"]: one for one in told}
        waiting = "select id, state from gateway_events where state <> 'processed' and id = any (%s)"
        for known, state in connection.execute(waiting, [list(mine)]).fetchall():
            assert state == "unmatched"  # so that reconciliation tries it again
            tell(connection, mine[known])
        query = "select status, amount_refunded, amount_withdrawn, review_reason from transactions"
        status, refunded, withdrawn, review = fetch_row(
            connection, f"{query} where booking_id::text = %s", [booking_id]
        )
        return status, refunded, withdrawn, review


def _live(refunds: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in refunds.values() if one["status"] in ("pending", "succeeded")]


def _total(refunds: dict[str, dict[str, Any]]) -> int:
    return _sum(_live(refunds))


def _sum(refunds: Iterable[dict[str, Any]]) -> int:
    return sum(one["amount"] for one in refunds)


def _at(second: int) -> str:
    return (START + timedelta(seconds=second)).isoformat()
