"""What strangers can make us send to an address that nobody has proven: little, and not in their words."""

import json
import uuid
from collections.abc import Callable

import psycopg
import pytest
from psycopg.types.json import Jsonb

from devstack.mailbox import Mailbox
from service.mail import render
from service.mail.worker import Worker
from tests.client import Client
from tests.factories import PASSWORD, Staff, make_booking, make_customer, make_staff, unique_email
from tests.mail.outbox import drain
from tests.sure import fetch_row

pytestmark = pytest.mark.usefixtures("quiet_outbox")

LIMIT = 6  # within an hour
TOO_MANY = "As many mails as strangers may cause have gone to this address."


def sent(db: psycopg.Connection, email: str) -> list[str]:
    """The templates of what the address gets."""
    query = "select template from email_outbox where recipient = %s and state <> 'dropped' order by created_at, id"
    return [template for (template,) in db.execute(query, [email])]


def told(db: psycopg.Connection, email: str, template: str) -> None:
    """Queue a mail of that template with the data of its sample."""
    data = json.loads((render.FOLDER / template / "sample.json").read_text())
    db.execute("select app.queue_email(%s, %s, %s)", [template, email, Jsonb(data)])


def register(api: Client, email: str) -> Client:
    answer = api.post("/api/customers/register", {"email": email, "password": PASSWORD, "name": "Eve"}, expect=201)
    return api.signed_in(answer["token"])


def test_registering_and_deleting_over_and_over_is_bounded(api: Client, db: psycopg.Connection) -> None:
    email, seen = unique_email("victim"), 0
    for _ in range(12):
        me = register(api, email)
        seen += len(sent(db, email))
        me.delete(f"/api/customers/{me.get('/api/customers/me')['customer']['id']}", {"password": PASSWORD})
    assert seen == LIMIT


def test_one_limit_holds_for_all_that_an_address_gets(api: Client, db: psycopg.Connection) -> None:
    email = unique_email("victim")
    for template in ("payment-failed", "payment-receipt", "refund-issued"):
        told(db, email, template)
    make_booking(db, email=email.upper())
    register(api, email)
    api.post("/api/customers/forgot-password", {"email": email})
    for template in ("payment-failed", "payment-receipt"):
        told(db, email, template)
    make_booking(db, email=email)
    query = "select state, last_error, data from email_outbox where lower(recipient) = %s order by created_at, id"
    rows = db.execute(query, [email]).fetchall()
    assert [state for state, *_ in rows[:LIMIT]] == ["queued"] * LIMIT
    assert rows[LIMIT:] == [("dropped", TOO_MANY, {})] * 3


def test_declined_cards_are_bounded(db: psycopg.Connection) -> None:
    email = unique_email("victim")
    booking = make_booking(db, email=email)
    columns = "(gateway, booking_id, amount, currency)"
    paid = f"insert into transactions {columns} values ('stripe', %s, 29999, 'usd') returning id"
    (payment,) = fetch_row(db, paid, [booking])
    for _ in range(12):
        facts = Jsonb({"amount": 29999, "reason": "Your card was declined."})
        db.execute("select app.queue_payment_mail('payment-failed', %s, null, %s)", [payment, facts])
    assert len(sent(db, email)) == LIMIT


def test_a_merged_mail_counts_once_and_a_new_recipient_counts(db: psycopg.Connection) -> None:
    first, second = unique_email("first"), unique_email("second")
    for _ in range(LIMIT):
        told(db, second, "payment-failed")
    booking = make_booking(db, email=first)
    for status in ("Confirmed", "Cancelled"):
        db.execute("update bookings set status = %s where id = %s", [status, booking])
    assert sent(db, first) == ["booking-cancelled"]
    db.execute("update bookings set email = %s where id = %s", [second, booking])
    db.execute("select app.queue_booking_mail(%s, 'booking-cancelled')", [booking])
    assert (sent(db, first), len(sent(db, second))) == ([], LIMIT)


def test_who_has_proven_the_address_and_staff_get_everything(api: Client, db: psycopg.Connection) -> None:
    customer, staff = make_customer(api, db), make_staff(api, db)
    for person in (customer.email, staff.email):
        before = len(sent(db, person))
        for _ in range(2 * LIMIT):
            told(db, person, "payment-receipt")
        assert len(sent(db, person)) == before + 2 * LIMIT


def test_what_staff_does_is_told_after_any_flood(db: psycopg.Connection, staff: Callable[..., Staff]) -> None:
    email = unique_email("guest")
    bookings = [make_booking(db, email=email) for _ in range(2 * LIMIT)]
    assert len(sent(db, email)) == LIMIT
    staff().api.patch(f"/api/bookings/{bookings[-1]}", {"status": "Confirmed"})
    assert sent(db, email)[LIMIT:] == ["booking-confirmed"]


def test_questions_about_nobodys_address_count_for_nobody(api: Client, db: psycopg.Connection) -> None:
    email = unique_email("nobody")
    subject = "select encode(sha256(%s::bytea), 'hex')"
    (known,) = fetch_row(db, subject, [email.encode()])
    api.post("/api/customers/forgot-password", {"email": email})
    assert fetch_row(db, "select count(*) from rate_limits where (name, subject_hash) = ('mail', %s)", [known]) == (0,)
    register(api, email)
    assert fetch_row(db, "select count(*) from rate_limits where (name, subject_hash) = ('mail', %s)", [known]) == (1,)


def test_the_figures_are_rows_of_a_table(db: psycopg.Connection) -> None:
    figures = db.execute("select count, seconds from app.mail_limits order by seconds").fetchall()
    assert figures == [(LIMIT, 3600), (20, 86400)]
    email = unique_email("victim")
    with db.transaction(force_rollback=True):
        db.execute("update app.mail_limits set count = 2 where seconds = 3600")
        for _ in range(4):
            told(db, email, "payment-failed")
        assert len(sent(db, email)) == 2


def test_nothing_that_a_stranger_typed_stands_in_a_mail_to_an_unproven_address(
    api: Client, db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    email, mark = unique_email("victim"), "Zaphod"
    typed = {"name": f"{mark} Guest", "phone": mark, "package": f"{mark}: call 555", "message": mark}
    booking = make_booking(db, email=email, **typed)
    drain(worker)
    me = register(api, email)
    me.put(f"/api/customers/{me.get('/api/customers/me')['customer']['id']}", {"name": f"{mark} Customer"})
    api.post("/api/customers/forgot-password", {"email": email})
    for template in ("payment-receipt", "booking-cancelled"):
        facts = {"amount": 1, "paid_at": "2027-01-01T10:00:00+00:00", "transaction_id": str(uuid.uuid4())}
        db.execute("select app.queue_booking_mail(%s, %s, %s)", [booking, template, Jsonb(facts)])
    drain(worker)
    mails = [mailbox.read(mail["id"]) for mail in mailbox.messages(email)]
    assert len(mails) == 5
    for mail in mails:
        assert mark not in json.dumps(mail), mail["subject"]


@pytest.mark.parametrize(
    ("language", "greeting"), [("en", "Hello traveller,"), ("de", "Guten Tag lieber Gast,"), ("hi", "नमस्ते यात्री,")]
)
def test_an_unproven_address_is_greeted_without_a_name(language: str, greeting: str) -> None:
    data = json.loads((render.FOLDER / "booking-received" / "sample.json").read_text())
    data |= {"name": None, "language": language}
    mail = render.render("booking-received", data, site_url="https://travel.example", brand="JKLG Travel")
    assert mail.text.startswith(greeting)


def test_a_package_of_ours_is_named_and_a_proven_customer_is_greeted(api: Client, db: psycopg.Connection) -> None:
    customer, guest = make_customer(api, db), unique_email("guest")
    db.execute("insert into packages (title, price) values ('Zanskar on Ice', 10)")
    for email, own in ((guest, None), (customer.email, customer.id)):
        make_booking(db, email=email, customer_id=own, package="Zanskar on Ice", name="Ada Byron")
    query = "select data ->> 'name', data ->> 'package' from email_outbox where recipient = %s and data ? 'package'"
    assert fetch_row(db, query, [guest]) == (None, "Zanskar on Ice")
    assert fetch_row(db, query, [customer.email]) == ("Ada Byron", "Zanskar on Ice")
