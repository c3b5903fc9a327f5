"""Mails about bookings: queued by the database where the thing happens, one for what happens at once."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from icalendar import Calendar

from devstack.mailbox import Mailbox
from service.config import Config
from service.mail.worker import Worker
from tests.client import Client
from tests.factories import Staff, make_booking, make_customer, unique_email
from tests.mail.outbox import drain, make_due
from tests.site.callers import RETURNING, cookie
from tests.sure import fetch_row

pytestmark = pytest.mark.usefixtures("quiet_outbox")

SUBJECTS = {
    "booking-received": "Booking Confirmation - Northern Lights",
    "booking-confirmed": "Booking Confirmed - Northern Lights",
    "booking-cancelled": "Booking Cancelled - Northern Lights",
    "booking-reminder": "Booking Reminder - Northern Lights",
}


@pytest.fixture
def northern_lights(db: psycopg.Connection) -> Iterator[None]:
    """The package that bookings name is one of ours, so that its title may stand in a mail to anybody."""
    (package,) = fetch_row(db, "insert into packages (title, price) values ('Northern Lights', 299.99) returning id")
    yield
    db.execute("delete from packages where id = %s", [package])


def queued(db: psycopg.Connection, booking_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    """The mails of a booking: (template, state, data), the oldest first."""
    query = "select template, state, data from email_outbox where booking_id = %s order by created_at"
    return db.execute(query, [booking_id]).fetchall()


def templates(db: psycopg.Connection, booking_id: str) -> list[str]:
    return [template for template, _, _ in queued(db, booking_id)]


def set_status(db: psycopg.Connection, booking_id: str, status: str) -> None:
    db.execute("update bookings set status = %s where id = %s", [status, booking_id])


def pay(db: psycopg.Connection, booking_id: str) -> str:
    """What a payment's event does; the transaction's id."""
    columns = "(gateway, booking_id, amount, currency)"
    query = f"insert into transactions {columns} values ('stripe', %s, 29999, 'usd') returning id"
    (payment_id,) = fetch_row(db, query, [booking_id])
    event = {"amount": 29999, "currency": "usd", "occurred_at": "2026-11-22T08:31:07+00:00"}
    db.execute("select app.complete_payment(%s, %s)", [payment_id, json.dumps(event)])
    return str(payment_id)


def ask(db: psycopg.Connection, booking_id: str, template: str, **changes: Any) -> int:
    """What the site's staff pages do to have a mail sent; the row's id."""
    row = {
        "recipient_email": "eve@example.com",
        "subject": SUBJECTS[template],
        "body": "<b>Send money to Eve</b>",
        "email_type": "booking_confirmation" if template == "booking-received" else "status_update",
        "related_to": "booking",
        "related_id": booking_id,
        "status": "sent",
        **changes,
    }
    marks = ", ".join(f"%({name})s" for name in row)
    query = f"insert into email_history ({', '.join(row)}) values ({marks}) returning id"
    return int(fetch_row(db, query, row)[0])


def told(db: psycopg.Connection, row_id: int) -> tuple[str, Any]:
    """What staff reads of the mail they asked for: (status, why not)."""
    query = "select status, error_message, sent_at from email_history where id = %s"
    status, error, sent_at = fetch_row(db, query, [row_id])
    assert (sent_at is not None) == (status == "sent")
    return status, error


@pytest.mark.usefixtures("northern_lights")
def test_a_booking_is_told_with_all_that_its_mail_says(db: psycopg.Connection) -> None:
    booking = make_booking(db, return_date="2027-06-08", number_of_guests=2, amount="100000", currency="inr")
    ((template, state, data),) = queued(db, booking)
    assert (template, state) == ("booking-received", "queued")
    assert data | {"booking_id": str(data["booking_id"])} == {
        "name": None,  # whoever typed it may be anybody
        "booking_id": booking,
        "package": "Northern Lights",
        "travel_date": "2027-06-01",
        "return_date": "2027-06-08",
        "guests": 2,
        "price": 10000000,
        "is_paid": False,
        "currency": "inr",
        "exponent": 2,
    }


def test_a_booking_entered_as_confirmed_is_told_so(db: psycopg.Connection) -> None:
    assert templates(db, make_booking(db, status="Confirmed")) == ["booking-confirmed"]
    assert templates(db, make_booking(db, status="Completed")) == []
    assert templates(db, make_booking(db, email="")) == []


@pytest.mark.usefixtures("northern_lights")
def test_a_booking_its_payment_and_its_confirmation_within_the_minute_are_one_mail(
    db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    email = unique_email()
    booking = make_booking(db, email=email)
    payment_id = pay(db, booking)
    set_status(db, booking, "Pending")
    set_status(db, booking, "Confirmed")
    ((template, _, data),) = queued(db, booking)
    assert template == "booking-confirmed" and data["is_paid"] is True
    assert (data["transaction_id"], data["amount"]) == (payment_id, 29999)
    drain(worker)
    (mail,) = mailbox.messages(email)
    assert mail["subject"].startswith("Your trip is booked, with your receipt: Northern Lights on Tuesday, 1 June 2027")
    read = mailbox.read(mail["id"])
    assert "Amount:  $299.99" in read["text"] and read["attachments"][0]["name"] == "trip.ics"
    (event,) = Calendar.from_ical(mailbox.attachment(mail["id"])).events
    assert event.uid.startswith(f"booking-{booking}@")


def test_a_confirmation_that_is_taken_back_at_once_is_the_cancellation_alone(db: psycopg.Connection) -> None:
    booking = make_booking(db)
    pay(db, booking)
    set_status(db, booking, "Cancelled")
    ((template, _, data),) = queued(db, booking)
    assert template == "booking-cancelled" and data["is_paid"] is True and data["amount"] == 29999
    set_status(db, booking, "Confirmed")
    assert templates(db, booking) == ["booking-confirmed"]


def test_a_receipt_goes_to_the_address_given_while_paying(db: psycopg.Connection) -> None:
    booking, email = make_booking(db, name="", email=""), unique_email("payer")
    columns = "(gateway, booking_id, amount, currency, metadata)"
    query = f"insert into transactions {columns} values ('stripe', %s, 29999, 'usd', %s) returning id"
    contact = json.dumps({"contact": {"email": email, "name": "Eve"}})
    (payment_id,) = fetch_row(db, query, [booking, contact])
    event = {"amount": 29999, "currency": "usd", "occurred_at": "2026-11-22T08:31:07+00:00"}
    db.execute("select app.complete_payment(%s, %s)", [payment_id, json.dumps(event)])
    found = "select recipient, template, data ->> 'name' from email_outbox where booking_id = %s"
    assert fetch_row(db, found, [booking]) == (email, "payment-receipt", None)


def test_a_customer_is_flooded_by_nobody_else(api: Client, db: psycopg.Connection) -> None:
    customer = make_customer(api, db)
    own = [make_booking(db, email=customer.email, customer_id=customer.id) for _ in range(7)]
    strangers = [make_booking(db, email=customer.email) for _ in range(7)]
    states = [[state for _, state, _ in queued(db, booking)] for booking in own + strangers]
    assert states == [["queued"]] * 13 + [["dropped"]]


def test_a_receipt_is_not_lost_in_a_cancellation(db: psycopg.Connection) -> None:
    booking = make_booking(db, status="Completed")
    pay(db, booking)
    set_status(db, booking, "Cancelled")
    assert templates(db, booking) == ["payment-receipt", "booking-cancelled"]


def test_what_happens_after_a_mail_went_is_a_mail_of_its_own(db: psycopg.Connection, worker: Worker) -> None:
    booking = make_booking(db)
    drain(worker)
    set_status(db, booking, "Confirmed")
    drain(worker)
    set_status(db, booking, "Cancelled")
    assert templates(db, booking) == ["booking-received", "booking-confirmed", "booking-cancelled"]


def test_what_happened_to_another_booking_is_another_mail(db: psycopg.Connection) -> None:
    email = unique_email()
    first, second = make_booking(db, email=email), make_booking(db, email=email)
    assert templates(db, first) == templates(db, second) == ["booking-received"]


def test_a_mail_about_a_booking_waits_and_no_other_does(db: psycopg.Connection) -> None:
    make_booking(db)
    claim = "select claim_email(180, 60) ->> 'template'"
    assert db.execute(claim).fetchone() == (None,)
    db.execute("select app.queue_email('staff-alert', 'a@example.com', '{}')")
    assert db.execute(claim).fetchone() == ("staff-alert",)
    db.execute("update email_outbox set created_at = now() - interval '61 seconds'")
    assert db.execute(claim).fetchone() == ("booking-received",)


def test_the_worker_lets_a_mail_about_a_booking_wait_as_long_as_it_is_told(
    db: psycopg.Connection, settings_for: Callable[..., Config]
) -> None:
    make_booking(db)
    patient = Worker(settings_for(BOOKING_MAIL_HOLD="60"))
    assert patient.step() is False
    db.execute("update email_outbox set created_at = now() - interval '61 seconds'")
    assert patient.step() is True
    patient.server.close()


def test_a_change_that_is_none_is_not_told(db: psycopg.Connection, worker: Worker) -> None:
    booking = make_booking(db, status="Confirmed")
    drain(worker)
    set_status(db, booking, "Confirmed")
    db.execute("update bookings set message = 'x' where id = %s", [booking])
    set_status(db, booking, "Completed")
    assert templates(db, booking) == ["booking-confirmed"]


# --- What staff asks for through email_history ---


def test_the_browsers_words_and_address_are_never_sent(
    db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    email = unique_email()
    booking = make_booking(db, email=email)
    drain(worker)
    mailbox.clear()
    row = ask(db, booking, "booking-reminder")
    assert told(db, row) == ("pending", None)
    drain(worker)
    assert told(db, row) == ("sent", None)
    (mail,) = mailbox.messages()
    assert mail["to"] == [email]
    read = mailbox.read(mail["id"])
    assert f"/payment/{booking}" in read["text"] and "Eve" not in read["text"] + read["html"]
    noted = db.execute("select recipient_email from email_history where id = %s", [row]).fetchone()
    assert noted == (email,)


@pytest.mark.parametrize(
    ("template", "status"),
    [("booking-received", "Pending"), ("booking-confirmed", "Confirmed"), ("booking-cancelled", "Cancelled")],
)
def test_a_row_that_repeats_what_was_just_told_sends_nothing_twice(
    db: psycopg.Connection, worker: Worker, template: str, status: str
) -> None:
    booking = make_booking(db, status="Completed")
    set_status(db, booking, "Pending")
    if status != "Pending":
        set_status(db, booking, status)
    before, row = templates(db, booking), ask(db, booking, template)
    drain(worker)
    later = ask(db, booking, template)
    assert told(db, row) == told(db, later) == ("sent", None)
    assert templates(db, booking) == (before or ["booking-received"]) == [template]


def test_a_second_reminder_within_ten_minutes_is_the_first(db: psycopg.Connection, worker: Worker) -> None:
    booking = make_booking(db, status="Confirmed")
    drain(worker)
    rows = [ask(db, booking, "booking-reminder") for _ in range(3)]
    drain(worker)
    assert {told(db, row) for row in rows} == {("sent", None)}
    db.execute("update email_outbox set created_at = now() - interval '11 minutes'")
    ask(db, booking, "booking-reminder")
    assert templates(db, booking).count("booking-reminder") == 2


def test_a_row_for_a_booking_that_was_paid_meanwhile_is_answered_by_its_confirmation(db: psycopg.Connection) -> None:
    booking = make_booking(db)
    pay(db, booking)
    assert told(db, ask(db, booking, "booking-received")) == ("pending", None)
    assert templates(db, booking) == ["booking-confirmed"]


def test_a_mail_that_the_server_refuses_is_told_with_the_reason_and_again_when_it_goes(
    db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    booking = make_booking(db)
    row = ask(db, booking, "booking-received")
    mailbox.fault("rcpt", "refuse", code=451, times=1)
    mailbox.fault("rcpt", "refuse", code=550, times=1)
    drain(worker)
    assert told(db, row)[0] == "pending"
    make_due(db)
    drain(worker)
    status, reason = told(db, row)
    assert status == "failed" and "550" in reason
    db.execute("select retry_dead_emails()")
    assert told(db, row) == ("pending", None)
    drain(worker)
    assert told(db, row) == ("sent", None)


def test_a_mail_that_was_given_up_is_told_as_failed(db: psycopg.Connection) -> None:
    row = ask(db, make_booking(db), "booking-received")
    db.execute("update email_outbox set state = 'sending', attempts = 15, next_attempt_at = now()")
    db.execute("select purge_emails()")
    assert told(db, row) == ("failed", "The worker died each time it sent this mail.")


def test_asking_again_for_a_mail_that_failed_tries_anew(
    db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    booking = make_booking(db)
    mailbox.fault("rcpt", "refuse", code=550, times=1)
    first = ask(db, booking, "booking-received")
    drain(worker)
    second = ask(db, booking, "booking-received")
    drain(worker)
    assert (told(db, first)[0], told(db, second)) == ("failed", ("sent", None))


@pytest.mark.parametrize(
    ("status", "template", "reason"),
    [
        ("Pending", "booking-confirmed", "The booking is Pending."),
        ("Confirmed", "booking-cancelled", "The booking is Confirmed."),
        ("Cancelled", "booking-received", "The booking is Cancelled."),
        ("Cancelled", "booking-reminder", "The booking is Cancelled."),
        ("Completed", "booking-reminder", "The booking is Completed."),
    ],
)
def test_a_mail_that_would_not_be_true_is_not_sent(
    db: psycopg.Connection, worker: Worker, status: str, template: str, reason: str
) -> None:
    booking = make_booking(db, status=status)
    before = templates(db, booking)
    assert told(db, ask(db, booking, template)) == ("failed", reason)
    assert templates(db, booking) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"related_id": "0"},
        {"related_id": None},
        {"related_to": "ticket"},
        {"related_to": None},
        {"subject": "You have won"},
        {"subject": None},
    ],
)
def test_what_is_about_no_booking_of_ours_is_not_sent(db: psycopg.Connection, changes: dict[str, str | None]) -> None:
    booking = make_booking(db, status="Completed")
    status, reason = told(db, ask(db, booking, "booking-reminder", **changes))
    assert status == "failed" and reason.startswith("Only mails about a booking of ours are sent")
    assert db.execute("select count(*) from email_outbox").fetchone() == (0,)


def test_a_booking_without_an_address_is_told_as_that(db: psycopg.Connection) -> None:
    row = ask(db, make_booking(db, email="", status="Confirmed"), "booking-reminder")
    assert told(db, row) == ("failed", "The booking has no e-mail address.")


def test_staff_asks_through_the_service(api: Client, staff: Callable[..., Staff], db: psycopg.Connection) -> None:
    booking = make_booking(db, status="Confirmed")
    row = {
        "recipient_email": "eve@example.com",
        "subject": SUBJECTS["booking-reminder"],
        "email_type": "status_update",
        "related_to": "booking",
        "related_id": booking,
        "status": "pending",
    }
    headers = cookie(staff("Guide")) | RETURNING
    answer = api.post("/rest/v1/email_history?select=*", row, expect=201, headers=headers)
    assert answer[0]["status"] == "pending" and answer[0]["recipient_email"] != "eve@example.com"
    assert templates(db, booking).count("booking-reminder") == 1


# --- What the customer chose ---


def choose(db: psycopg.Connection, customer_id: str, **choices: Any) -> None:
    marks = ", ".join(f"{name} = %({name})s" for name in choices)
    query = f"update customer_preferences set {marks} where customer_id = %(id)s"
    assert db.execute(query, {**choices, "id": customer_id}).rowcount == 1


def test_who_wants_no_notifications_gets_what_is_needed_alone(api: Client, db: psycopg.Connection) -> None:
    customer = make_customer(api, db)
    choose(db, customer.id, email_notifications=False)
    booking = make_booking(db, email=customer.email.upper())
    row = ask(db, booking, "booking-reminder")
    assert told(db, row) == ("failed", "The customer wants no such mails.")
    set_status(db, booking, "Confirmed")
    assert [(template, state) for template, state, _ in queued(db, booking)] == [
        ("booking-received", "dropped"),
        ("booking-reminder", "dropped"),
        ("booking-confirmed", "queued"),
    ]
    assert queued(db, booking)[0][2] == {}


def test_a_mail_is_in_the_language_that_the_customer_chose(
    api: Client, db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    customer = make_customer(api, db)
    choose(db, customer.id, language="de-AT")
    make_booking(db, email=customer.email)
    drain(worker)
    mail = mailbox.wait_for(customer.email, "Wir haben Ihre Buchung erhalten: Northern Lights")
    assert "299,99\xa0$" in mail["text"] and "Dienstag, 1. Juni 2027" in mail["text"]


def test_a_mail_that_waits_goes_to_the_new_address_in_the_language_of_its_owner(
    api: Client, db: psycopg.Connection
) -> None:
    german, english = make_customer(api, db), make_customer(api, db)
    choose(db, german.id, language="de")
    booking = make_booking(db, email=german.email)
    assert queued(db, booking)[0][2]["language"] == "de"
    db.execute("update bookings set email = %s, status = 'Confirmed' where id = %s", [english.email, booking])
    ((template, _, data),) = queued(db, booking)
    assert template == "booking-confirmed" and "language" not in data
