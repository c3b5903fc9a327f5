"""What the money desk of staff asks: what needs a person, replaying, reconciling, the list of a period as a file."""

import csv
import io
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from service.payments import desk
from tests import gateways
from tests.client import Client
from tests.factories import make_staff, unused_booking_id
from tests.payments.test_webhooks import example

DESK = "/api/payments/desk"
REFUND = "/api/payments/refund"
TODAY = datetime.now(UTC).date()
SPAN = {"from": (TODAY - timedelta(days=1)).isoformat(), "to": (TODAY + timedelta(days=1)).isoformat()}


@pytest.fixture(scope="module")
def admin(app, db):
    """One for all: everybody who may be told of payments gets every mail that other tests cause from here on."""
    return make_staff(Client(app), db)


def rows_of(api, **span):
    """The export as the rows of a table, by the names of its columns."""
    data = api.get("/api/payments/transactions.csv", query_string={**SPAN, **span})
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


def one(found, **wanted):
    """The row of a list that has these values; None without one."""
    return next((row for row in found if {name: row[name] for name in wanted} == wanted), None)


def test_who_may_do_what(api, customer, staff, paid):
    booking_id, _ = paid()
    guide, support = staff("Guide").api, staff("Support").api
    for method, path in (("GET", DESK), ("POST", "/api/payments/reconcile"), ("POST", "/api/payments/events/x/replay")):
        api.call(method, path, expect=401)
        customer.api.call(method, path, expect=401)
    assert "bookings_edit" not in guide.get(DESK)["staff"]["permissions"]
    for path in ("/api/payments/reconcile", "/api/payments/events/evt_x/replay"):
        assert guide.post(path, expect=403)["error"] == "Insufficient permissions. Required: bookings_edit"
    answer = support.get("/api/payments/transactions.csv", query_string=SPAN, expect=403)
    assert answer["error"] == "Insufficient permissions. Required: bookings_export"
    assert one(rows_of(staff("Manager").api), Booking=booking_id)


def test_the_desk_says_who_asks(admin):
    answer = admin.api.get(DESK)
    assert answer["staff"].keys() == {"name", "role", "permissions"}
    assert (answer["staff"]["role"], "bookings_edit" in answer["staff"]["permissions"]) == ("Admin", True)
    assert (answer["exponents"]["jpy"], answer["exponents"]["kwd"], "usd" in answer["exponents"]) == (0, 3, False)


def test_a_flagged_payment_waits_as_the_list_tells_it(admin, api, hook, book, db):
    booking_id = book()
    intent = api.post("/api/payments/create-payment-intent", {"bookingId": booking_id})["paymentIntentId"]
    db.execute("update bookings set amount = 310 where id::text = %s", [booking_id])
    hook.stripe.confirm(intent)
    hook.deliver(intent)
    answer = admin.api.get(DESK)
    flagged = one(answer["transactions"], gateway_payment_id=intent)
    assert (flagged["review_reason"], flagged["bookings"]["id"]) == ("amount_mismatch", booking_id)
    (listed,) = admin.api.get(f"/api/payments/transactions?bookingId={booking_id}")["transactions"]
    assert flagged == listed
    assert answer["totals"]["transactions"] >= len(answer["transactions"])


def test_a_dispute_waits_until_it_is_answered_the_most_urgent_first(admin, paid, stripe, hook, db):
    made = {}
    for days, inquiry in ((9, False), (2, True), (5, False)):
        booking_id, intent = paid()
        dispute = stripe.dispute(intent, inquiry=inquiry)["id"]
        hook.deliver(intent)
        due = "update disputes set due_by = now() + %s * interval '1 day' where gateway_dispute_id = %s"
        db.execute(due, [days, dispute])
        made[dispute] = (booking_id, intent)
    answer = admin.api.get(DESK)
    found = [row for row in answer["disputes"] if row["gateway_dispute_id"] in made]
    assert [row["gateway_dispute_id"] for row in found] == [list(made)[at] for at in (1, 2, 0)]
    assert [row["status"] for row in found] == ["warning_needs_response", "needs_response", "needs_response"]
    assert (found[0]["amount"], found[0]["currency"], found[0]["reason"]) == (29999, "usd", "fraudulent")
    assert found[0]["bookings"]["id"] == made[found[0]["gateway_dispute_id"]][0]
    assert answer["totals"]["disputes"] >= 3
    dispute, (_, intent) = next(iter(made.items()))
    stripe.close_dispute(dispute, "lost")
    hook.deliver(intent)
    assert one(admin.api.get(DESK)["disputes"], gateway_dispute_id=dispute) is None
    row = one(rows_of(admin.api), **{"Gateway's id": intent})
    assert (row["Status"], row["Dispute"], row["Taken by disputes"], row["Kept"]) == (
        "refunded",
        "lost",
        "299.99",
        "0.00",
    )


def test_a_failed_refund_waits_until_one_succeeds(admin, paid, stripe, hook):
    booking_id, intent = paid()
    stripe.next_refunds("pending", 1)
    made = admin.api.post(REFUND, {"bookingId": booking_id, "reason": "Storm", "amount": 99})
    stripe.change_refund(made["refundId"], "failed")
    hook.deliver(intent)
    (listed,) = admin.api.get(f"/api/payments/transactions?bookingId={booking_id}")["transactions"]
    waiting = one(admin.api.get(DESK)["refunds"], transaction_id=listed["id"])
    assert (waiting["amount"], waiting["status"], waiting["reason"], waiting["requested_by"]) == (
        99,
        "failed",
        "Storm",
        admin.email,
    )
    assert waiting["bookings"]["id"] == booking_id
    admin.api.post(REFUND, {"bookingId": booking_id, "reason": "Again", "amount": 98})
    assert one(admin.api.get(DESK)["refunds"], transaction_id=listed["id"]) is None


def test_a_refund_without_an_outcome_waits_after_an_hour(admin, paid, stripe, db):
    booking_id, _ = paid()
    stripe.outage("reset")
    admin.api.post(REFUND, {"bookingId": booking_id, "reason": "because"}, expect=503)
    (refund_id,) = db.execute("select id::text from refunds order by created_at desc limit 1").fetchone()
    assert one(admin.api.get(DESK)["refunds"], id=refund_id) is None
    db.execute("update refunds set created_at = now() - interval '61 minutes' where id = %s", [refund_id])
    assert one(admin.api.get(DESK)["refunds"], id=refund_id)["status"] == "reserved"


def test_a_mail_that_cannot_be_sent_waits(admin, db):
    db.execute(
        "insert into email_outbox (template, recipient, state, last_error, finished_at)"
        " values ('payment-receipt', 'desk@nowhere.example', 'dead', '550 No such user', now())"
    )
    dead = one(admin.api.get(DESK)["emails"], recipient="desk@nowhere.example")
    assert (dead["template"], dead["last_error"], dead["booking_id"]) == ("payment-receipt", "550 No such user", None)


def test_a_list_is_cut_and_its_total_told(db):
    for number in range(3):
        db.execute(
            "insert into email_outbox (template, recipient, state, finished_at) values ('welcome', %s, 'dead', now())",
            [f"cut-{number}@nowhere.example"],
        )
    (answer,) = db.execute("select get_payment_desk(2)").fetchone()
    assert [mail["recipient"] for mail in answer["emails"]] != []
    assert (len(answer["emails"]), answer["totals"]["emails"] >= 3) == (2, True)


def test_an_event_waits_and_is_replayed(admin, hook, book, db, ledger):
    booking_id = unused_booking_id(db)
    event = example(hook, metadata={"booking_id": booking_id, "transaction_id": str(uuid.uuid4())})
    hook.send(event)
    replay = f"/api/payments/events/{event['id']}/replay"
    waiting = one(admin.api.get(DESK)["events"], id=event["id"])
    assert (waiting["type"], waiting["state"], waiting["attempts"], waiting["is_given_up"]) == (
        "payment_intent.succeeded",
        "unmatched",
        1,
        False,
    )
    assert admin.api.post(replay) == {"verdict": "unmatched"}
    db.execute("update gateway_events set received_at = now() - interval '31 days' where id = %s", [event["id"]])
    assert one(admin.api.get(DESK)["events"], id=event["id"])["is_given_up"] is True
    book(id=booking_id)
    assert admin.api.post(replay) == {"verdict": "processed"}
    assert admin.api.post(replay) == {"verdict": "duplicate"}
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    assert one(admin.api.get(DESK)["events"], id=event["id"]) is None


def test_an_event_that_never_came_is_fetched(admin, api, stripe, hook, book, ledger):
    booking_id = book()
    intent = api.post("/api/payments/create-payment-intent", {"bookingId": booking_id})["paymentIntentId"]
    stripe.confirm(intent)
    (event,) = hook.events(intent, "payment_intent.succeeded")
    assert admin.api.post(f"/api/payments/events/{event['id']}/replay") == {"verdict": "processed"}
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


@pytest.mark.parametrize("event_id", ["evt_of_nobody", "x'y", "x" * 256, "%00"])
def test_an_event_of_nobody_is_404(admin, event_id):
    answer = admin.api.post(f"/api/payments/events/{event_id}/replay", expect=404)
    assert answer == {"error": "Event not found", "code": "event_not_found"}


def test_reconciling_tells_what_it_did(admin, api, stripe, book, ledger):
    booking_id = book()
    stripe.confirm(api.post("/api/payments/create-payment-intent", {"bookingId": booking_id})["paymentIntentId"])
    answer = admin.api.post("/api/payments/reconcile")
    assert answer.keys() == {"payments", "refunds", "events", "errors", "waiting", "unmatched"}
    assert (answer["payments"] >= 1, answer["errors"]) == (True, 0)
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")


def test_without_a_gateway_there_is_nothing_to_ask(app_with, admin):
    lone = Client(app_with(**gateways.NONE), admin.token)
    assert lone.post("/api/payments/reconcile", expect=503)["code"] == "payments_not_configured"
    lone.get(DESK)


def test_the_export_holds_what_was_paid_in_currency_units(admin, paid, db):
    booking_id, intent = paid(name="Žofie, „the“ 2nd", package='Fjords "by night"')
    admin.api.post(REFUND, {"bookingId": booking_id, "reason": "Storm", "amount": 99})
    db.execute("update transactions set payment_method = 'card' where gateway_payment_id = %s", [intent])
    row = one(rows_of(admin.api), Booking=booking_id)
    assert {name: value for name, value in row.items() if name not in ("Transaction", "Begun (UTC)", "Paid (UTC)")} == {
        "Status": "completed",
        "Currency": "USD",
        "Amount": "299.99",
        "Refunded": "0.99",
        "Taken by disputes": "0.00",
        "Kept": "299.00",
        "Paid by": "card",
        "Gateway": "stripe",
        "Gateway's id": intent,
        "Failed because": "",
        "Flag": "",
        "Dispute": "",
        "Booking": booking_id,
        "Name": "Žofie, „the“ 2nd",
        "E-mail": row["E-mail"],
        "Package": 'Fjords "by night"',
    }
    begun, paid_at = (datetime.fromisoformat(row[name] + "+00:00") for name in ("Begun (UTC)", "Paid (UTC)"))
    assert timedelta(0) <= datetime.now(UTC) - begun < timedelta(minutes=5)
    assert abs(paid_at - begun) < timedelta(minutes=1)
    assert admin.api.last.mimetype == "text/csv"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://evil.example")'])
def test_no_text_of_the_export_is_a_formula(admin, paid, text):
    booking_id, _ = paid(package=text)
    assert one(rows_of(admin.api), Booking=booking_id)["Package"] == f"'{text}"


def test_neither_is_one_behind_what_a_spreadsheet_skips():
    assert [desk._cell(text) for text in ("\t=1", "\r=1", "a=1", 1, None)] == ["'\t=1", "'\r=1", "a=1", "1", ""]


def test_the_export_is_of_whole_days_and_named_so(admin, paid):
    booking_id, _ = paid()
    today = datetime.now(UTC).date()
    inside = {"from": today.isoformat(), "to": today.isoformat()}
    assert one(rows_of(admin.api, **inside), Booking=booking_id)
    named = f'attachment; filename="transactions-{today}-to-{today}.csv"'
    assert admin.api.last.headers["Content-Disposition"] == named
    assert admin.api.last.headers["Cache-Control"] == "no-store"
    assert rows_of(admin.api, **{"from": "2001-01-01", "to": "2001-12-31"}) == []


@pytest.mark.parametrize("span", [{}, {"from": "2026-01-01"}, {"from": "x", "to": "2026-01-01"}])
def test_a_period_has_two_ends(admin, span):
    answer = admin.api.get("/api/payments/transactions.csv", query_string=span, expect=400)
    assert answer["code"] == "validation_failed"


def test_the_export_goes_on_page_by_page_and_has_an_end(paid, db):
    for _ in range(3):
        paid()
    call = "select export_transactions('2020-01-01', '2100-01-01', p_limit => 2, p_after => %s)"
    seen, after = [], None
    while page := db.execute(call, [after]).fetchone()[0]:
        assert len(page) <= 2
        seen += [row["id"] for row in page]
        after = page[-1]["id"]
    (count,) = db.execute("select count(*) from transactions").fetchone()
    assert len(seen) == len(set(seen)) == count
    with pytest.raises(Exception, match="more than 2 transactions") as refused:
        db.execute("select export_transactions('2020-01-01', '2100-01-01', p_max => 2)")
    assert refused.value.diag.message_hint == "export_too_large"


def test_the_page_lets_nothing_else_in(api):
    page = api.get("/staff/payments").decode()
    assert "/staff/payments.js" in page and "http" not in page
    script = api.get("/staff/payments.js").decode()
    assert "innerHTML" not in script and "http" not in script
    for path in ("/staff/payments", "/staff/payments.js", "/staff/set-password"):
        api.get(path)
        headers = api.last.headers
        assert "script-src 'self'; connect-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
        assert headers["X-Content-Type-Options"] == "nosniff"
