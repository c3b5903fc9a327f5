"""Flags: found, cleared with a note by those who may, and gone by themselves with their cause."""

import pytest

ALL = "/api/payments/transactions"
CREATE = "/api/payments/create-payment-intent"


@pytest.fixture
def flagged(api, stripe, hook, db, book):
    """A booking that was paid with another amount; (booking id, transaction id)."""
    booking_id = book()
    answer = api.post(CREATE, {"bookingId": booking_id})
    stripe.confirm(answer["paymentIntentId"])
    db.execute("update bookings set amount = 350 where id::text = %s", [booking_id])
    hook.deliver(answer["paymentIntentId"])
    return booking_id, answer["transactionId"]


def test_flagged_ones_are_found(staff, flagged, paid):
    plain, _ = paid()
    guide = staff("Guide").api
    found = guide.get(f"{ALL}?needs_review=true&limit=100")["transactions"]
    assert flagged[1] in [row["id"] for row in found] and all(row["needs_review"] for row in found)
    found = guide.get(f"{ALL}?needs_review=false&bookingId={plain}")["transactions"]
    assert [row["needs_review"] for row in found] == [False]
    assert guide.get(f"{ALL}?needs_review=false&bookingId={flagged[0]}")["transactions"] == []
    guide.get(f"{ALL}?needs_review=perhaps", expect=400)


def test_a_flag_is_cleared_with_a_note_in_the_audit_log(staff, flagged, ledger):
    booking_id, transaction_id = flagged
    admin, body = staff(), {"review": "resolved", "note": "The price was a typing error."}
    assert ledger.booking(booking_id) == ("Pending", "Pending")
    detail = admin.api.patch(f"{ALL}/{transaction_id}", body)
    assert (detail["needs_review"], detail["review_reason"]) == (False, None)
    last = detail["transaction_audit_logs"][-1]
    assert (last["changed_by"], last["reason"]) == (admin.email, body["note"])
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")  # the amount is taken as what it costs
    assert admin.api.patch(f"{ALL}/{transaction_id}", body, expect=409)["code"] == "review_not_needed"


def test_who_may_not_note_payments_clears_nothing(staff, api, customer, flagged):
    body = {"review": "resolved", "note": "x"}
    path = f"{ALL}/{flagged[1]}"
    assert "bookings_update_payment" in staff("Support").api.patch(path, body, expect=403)["error"]
    customer.api.patch(path, body, expect=401)
    api.patch(path, body, expect=401)


@pytest.mark.parametrize(
    "body", [{}, {"review": "resolved"}, {"review": "open", "note": "x"}, {"review": "resolved", "note": ""}]
)
def test_bad_input_is_refused(staff, flagged, body):
    staff().api.patch(f"{ALL}/{flagged[1]}", body, expect=400)


def test_nobody_is_404(staff):
    body = {"review": "resolved", "note": "x"}
    staff().api.patch(f"{ALL}/6f1c4c0e-0000-4000-8000-000000000000", body, expect=404)


def test_a_flag_whose_money_went_back_is_gone_and_comes_back_with_the_money(staff, flagged, stripe, hook, ledger):
    booking_id, transaction_id = flagged
    admin = staff()
    stripe.next_refunds("pending", 1)
    refund = admin.api.post("/api/payments/refund", {"bookingId": booking_id, "reason": "because"})["refundId"]
    assert admin.api.get(f"{ALL}/{transaction_id}")["needs_review"] is False
    stripe.change_refund(refund, "failed")
    (failed,) = hook.events(refund, "refund.failed")
    hook.send(failed)
    assert admin.api.get(f"{ALL}/{transaction_id}")["needs_review"] is True
    assert ledger.booking(booking_id) == ("Pending", "Pending")


def test_the_alert_goes_to_who_may_act_and_names_units_and_the_payment(staff, db, api, stripe, hook, book):
    support, guide = staff("Support"), staff("Guide")
    booking_id = book()
    answer = api.post(CREATE, {"bookingId": booking_id})
    stripe.confirm(answer["paymentIntentId"])
    db.execute("update bookings set amount = 350 where id::text = %s", [booking_id])
    hook.deliver(answer["paymentIntentId"])
    mails = db.execute(
        "select recipient, data ->> 'message', data ->> 'transaction_id' from email_outbox where dedupe_key like %s",
        [f"review:{answer['transactionId']}:%"],
    ).fetchall()
    recipients = [recipient for recipient, *_ in mails]
    assert support.email in recipients and guide.email not in recipients
    assert "299.99 USD were taken; the booking asks for 350.00 USD." in mails[0][1]
    assert mails[0][2] == answer["transactionId"]
