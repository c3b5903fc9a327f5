"""The agency's one currency: nothing asks for dollars where it sells in rupees."""

from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest
from flask import Flask

from devstack.mailbox import Mailbox
from devstack.stripe import Control
from service.config import Config
from service.mail.worker import Worker
from tests.client import Client
from tests.conftest import DIRECTORY
from tests.factories import Customer, make_customer, make_staff, unique_email
from tests.payments.conftest import Hook
from tests.sure import fetch_row
from tools.stack import Stack, StackError, free_ports

CREATE = "/api/payments/create-payment-intent"


@pytest.fixture(scope="module")
def rupees() -> Iterator[Stack]:
    """What PAYMENT_CURRENCY=inr make run starts, but for the service itself, with its seed."""
    stack = Stack(DIRECTORY / "rupees", free_ports(), currency="INR")
    try:
        stack.start(seed=True)
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def settings(rupees: Stack, settings_for: Callable[..., Config]) -> Config:
    return settings_for(**rupees.service_environment())


@pytest.fixture(scope="module")
def app(settings: Config, app_of: Callable[[Config], Flask]) -> Flask:
    return app_of(settings)


@pytest.fixture(scope="module")
def db(rupees: Stack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(rupees.postgres.uri(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def hook(rupees: Stack, api: Client, settings: Config) -> Iterator[Hook]:
    stripe = Control(rupees.url("stripe"))
    stripe.deliveries(on=False)
    yield Hook(api, stripe, settings)
    stripe.http.close()


@pytest.fixture
def letters(
    rupees: Stack, settings: Config, app: Flask, db: psycopg.Connection
) -> Iterator[Callable[[str], list[str]]]:
    """Sends every mail, also what waits for more of its minute; the texts of those to an address."""
    mailbox = Mailbox(rupees.url("mailbox"))

    def read(email: str) -> list[str]:
        db.execute("update email_outbox set next_attempt_at = now()")
        with app.app_context():
            worker = Worker(settings)
            while worker.step():
                pass
            worker.server.close()
        found = [mailbox.read(each["id"]) for each in mailbox.messages(email)]
        return [f"{each['subject']}\n{each['text']}\n{each['html']}" for each in found]

    yield read
    mailbox.close()


def book_by_api(api: Client, db: psycopg.Connection, email: str) -> str:
    given = {"package_id": 1, "customer_email": email, "customer_name": "Ada", "customer_phone": ""}
    given |= {"travel_date": "2030-06-01", "number_of_guests": 2}
    booking = api.post("/api/bookings", given, expect=201)["booking"]
    return str(booking["id"])


def book_by_site(api: Client, db: psycopg.Connection, email: str) -> str:
    """As the package page does, through supabase-js."""
    (title,) = fetch_row(db, "select title from packages where id = 1")
    row = {"name": "Ada", "email": email, "phone": "", "package": title, "travel_date": "2030-06-01"}
    row |= {"booking_date": "2030-01-01", "amount": 1, "status": "Pending", "message": "", "payment_status": "Pending"}
    headers = {"Prefer": "return=representation"}
    (booking,) = api.post("/rest/v1/bookings", {**row, "source": "Website"}, headers=headers, expect=201)
    assert booking["currency"] == "inr"
    return str(booking["id"])


def find_older(api: Client, db: psycopg.Connection, email: str) -> str:
    """A row from before there was a column for it."""
    booking_id = book_by_api(api, db, email)
    db.execute("update bookings set currency = null where id::text = %s", [booking_id])
    return booking_id


@pytest.mark.parametrize("book", [book_by_api, book_by_site, find_older])
def test_a_booking_of_every_door_is_paid_in_the_agency_s_currency(api: Client, db, hook: Hook, letters, book):
    customer = make_customer(api, db, email=unique_email(book.__name__))
    booking_id = book(api, db, customer.email)
    assert api.get(f"/api/bookings/{booking_id}")["booking"]["currency"] == "inr"
    amount = round(fetch_row(db, "select amount from bookings where id::text = %s", [booking_id])[0] * 100)
    intent = customer.api.post(CREATE, {"bookingId": booking_id})
    assert (intent["amount"], intent["currency"]) == (amount, "inr")
    assert hook.stripe.get(intent["paymentIntentId"])["currency"] == "inr"
    hook.stripe.confirm(intent["paymentIntentId"])
    hook.deliver(intent["paymentIntentId"])
    payment = customer.api.get(f"/api/payments/booking/{booking_id}")
    assert (payment["paymentStatus"], payment["currency"]) == ("Paid", "inr")
    _check_totals(customer, amount)
    staff = make_staff(api, db)
    refund = staff.api.post("/api/payments/refund", {"bookingId": booking_id, "reason": "storm", "amount": 5000})
    assert (refund["success"], hook.stripe.get(refund["refundId"])["currency"]) == (True, "inr")
    mails = "select distinct data ->> 'currency' from email_outbox where booking_id::text = %s or recipient = %s"
    assert set(db.execute(mails, [booking_id, customer.email])) - {(None,)} == {("inr",)}
    _check_letters(letters(customer.email))


def _check_totals(customer: Customer, amount: int) -> None:
    me = customer.api.get("/api/customers/me")["customer"]
    assert (me["total_spent"], me["loyalty_points"]) == (amount / 100, amount // 1000)
    preferences = customer.api.get(f"/api/customers/{customer.id}/preferences")["preferences"]
    assert preferences["currency"] == "inr"


def _check_letters(texts: list[str]) -> None:
    assert [text for text in texts if "$" in text or "USD" in text.upper()] == []
    assert [text for text in texts if "₹50.00" in text and "refund" in text]


def test_what_is_stored_names_no_other_currency(db):
    """After all the above, and the seed."""
    tables = [name for (name,) in db.execute("select tablename from pg_tables where schemaname = 'public'")]
    assert "site_settings" in tables
    rows = [(name, row) for name in tables for (row,) in db.execute(f"select to_jsonb(t)::text from public.{name} t")]
    assert len(rows) > 50
    assert [(name, row) for name, row in rows if '"usd"' in row.lower()] == []


def test_spending_in_another_currency_is_not_added_up(api: Client, db):
    customer = make_customer(api, db)
    booking_id = book_by_api(api, db, customer.email)
    with db.transaction(force_rollback=True):
        for currency, amount in (("inr", 250000), ("usd", 99900)):
            db.execute(
                "insert into transactions (booking_id, customer_id, amount, currency, gateway, status)"
                " values (app.to_booking_key(%s), %s, %s, %s, 'manual', 'completed')",
                [booking_id, customer.id, amount, currency],
            )
        totals = fetch_row(db, "select total_spent, loyalty_points from customers where id = %s", [customer.id])
    assert totals == (2500, 250)


def test_the_local_stripe_takes_the_currencies_of_the_database(rupees: Stack, db):
    known = [code for (code,) in db.execute("select code from app.currencies order by code")]
    answer = httpx.post(
        rupees.url("stripe") + "/v1/payment_intents",
        data={"amount": "5000", "currency": "xyz"},
        headers={"Authorization": f"Bearer {rupees.secrets['stripe_secret_key']}"},
    )
    assert (answer.status_code, answer.json()["error"]["message"].partition("these: ")[2].split(", ")) == (400, known)


def test_a_service_of_another_currency_serves_but_takes_no_payments(api: Client, db, settings, app_of):
    other = Client(app_of(settings.model_copy(update={"payment_currency": "usd"})))
    body = other.get("/api/ready")
    assert (body["status"], body["problems"]) == ("ready", {})
    assert body["warnings"]["currency"] == "PAYMENT_CURRENCY is usd, the database's inr: no payment is taken"
    booking_id = book_by_api(other, db, unique_email())
    refused = other.post(CREATE, {"bookingId": booking_id}, expect=503)
    assert refused == {"error": "Online payment is paused. Please contact us.", "code": "currency_disagrees"}
    assert other.last.headers["Retry-After"] == "3600"
    assert "currency" not in api.get("/api/ready")["warnings"]
    assert api.post(CREATE, {"bookingId": booking_id})["currency"] == "inr"


def test_a_currency_that_does_not_exist_is_refused_at_release(api: Client, db, settings, app_of):
    unknown = app_of(settings.model_copy(update={"payment_currency": "xyz"}))
    checked = unknown.test_cli_runner().invoke(args=["check"])
    assert (checked.exit_code, checked.output) == (1, "Error: currency: xyz is no currency.\n")
    booking_id = book_by_api(api, db, unique_email())
    agency = fetch_row(db, "delete from app.agency returning currency")
    try:
        assert Client(unknown).post(CREATE, {"bookingId": booking_id}, expect=503)["code"] == "currency_disagrees"
    finally:
        db.execute("insert into app.agency (currency) values (%s)", agency)


def test_the_first_payment_sets_what_no_release_has_set(api: Client, db):
    booking_id = book_by_api(api, db, unique_email())
    db.execute("delete from app.agency")
    assert api.get("/api/ready")["warnings"]["currency"] == "not set in the database: `flask check` sets it"
    assert api.post(CREATE, {"bookingId": booking_id})["currency"] == "inr"
    assert "currency" not in api.get("/api/ready")["warnings"]


def test_another_currency_beside_bookings_is_refused_unless_forced(rupees: Stack, api: Client, db, settings, app_of):
    """The release step in its three answers. Last, as the agency sells in dollars in between."""
    booking_id = book_by_api(api, db, unique_email())
    other = app_of(settings.model_copy(update={"payment_currency": "usd"}))
    (count,) = fetch_row(db, "select count(*) from bookings")
    told = f"The database has {count} bookings in another currency than USD."
    checked = other.test_cli_runner().invoke(args=["check"])
    hint = "Set PAYMENT_CURRENCY to theirs, or call `flask check --force-currency`: they keep theirs."
    assert (checked.exit_code, checked.output) == (1, f"Error: currency: {told} {hint}\n")
    assert fetch_row(db, "select currency from app.agency") == ("inr",)
    checked = other.test_cli_runner().invoke(args=["check", "--force-currency"])
    assert (checked.exit_code, checked.output.startswith("The settings are complete")) == (0, True)
    assert Client(other).post(CREATE, {"bookingId": booking_id})["currency"] == "inr"
    newer = book_by_api(api, db, unique_email())
    assert Client(other).post(CREATE, {"bookingId": newer})["currency"] == "usd"
    with pytest.raises(StackError, match=r"PAYMENT_CURRENCY=inr: .* `make reset` forgets them"):
        rupees.migrate()
