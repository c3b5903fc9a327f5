"""The money desk in a real browser: what a member of staff sees and does there, on a desktop and on a phone.

Skipped where there is no chromium (apt-get install chromium).
"""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
from flask import Flask

from devstack.stripe import Control, wait_for
from tests.browser import CHROMIUM, needs_chromium
from tests.client import Client
from tests.factories import STAFF_PASSWORD, Staff, make_booking, make_staff, unique_email
from tests.sure import fetch_row
from tools.stack import Stack

pytestmark = [pytest.mark.browser, needs_chromium, pytest.mark.timeout(120)]

CREATE = "/api/payments/create-payment-intent"
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def address(stack: Stack) -> Iterator[str]:
    """The service under gunicorn, told of payments by Stripe itself; the origin it answers at."""
    with mock.patch.dict(os.environ, {"WEB_CONCURRENCY": "1"}):
        stack.serve()
    yield stack.url("service")
    stack.kill("worker")
    stack.kill("service")


@pytest.fixture
def stripe(stack: Stack, address: str) -> Iterator[Control]:
    control = Control(stack.url("stripe"))
    # Other tests deliver events themselves, or to elsewhere.
    control.webhook(url=f"{address}/api/payments/process-webhook", enabled=True, forget=True)
    yield control
    control.end_outages()
    control.next_refunds(None)
    control.http.close()


@pytest.fixture
def pay(api: Client, db: psycopg.Connection, stripe: Control) -> Callable[..., str]:
    """Makes a booking and pays it; the transaction's id. ``asked`` is what the booking asks for once it is paid."""

    def pay(asked: float = 299.99, **columns: Any) -> str:
        booking_id = make_booking(db, **columns)
        begun = api.post(CREATE, {"bookingId": booking_id})
        db.execute("update bookings set amount = %s where id::text = %s", [asked, booking_id])
        stripe.confirm(begun["paymentIntentId"])
        stripe.wait_delivered()
        paid = "select from transactions where id = %s and status in ('completed', 'refunded')"
        wait_for(lambda: db.execute(paid, [begun["transactionId"]]).fetchone() is not None, 10, "it was not paid")
        return str(begun["transactionId"])

    return pay


@pytest.fixture(scope="module")
def admin(app: Flask, db: psycopg.Connection) -> Staff:
    """One for all: everybody who may be told of payments gets every mail that other tests cause from here on."""
    return make_staff(Client(app), db)


class Desk:
    """One browser at the desk."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda told: self.faults.extend([told.text] if "Content Security" in told.text else []))

    def open(self, query: str = "") -> None:
        self.page.goto(f"{self.address}/staff/payments{query}")

    def sign_in(self, person: Staff, password: str = STAFF_PASSWORD, query: str = "") -> None:
        self.open(query)
        self.page.get_by_label("E-mail", exact=True).fill(person.email)
        self.page.get_by_label("Password").fill(password)
        self.click("Sign in")

    def click(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def unfold(self, name: str) -> None:
        self.page.locator("summary", has_text=name).click()

    def search(self, text: str) -> None:
        self.page.get_by_label("Name, e-mail, package or id").fill(text)
        self.click("Search")
        self.page.wait_for_url("**?q=*")

    def sees(self, text: str, place: str = "main:not([hidden])") -> None:
        """Wait for a text in a place; the page's own sentence is at "#said"."""
        self.page.locator(place, has_text=text).first.wait_for()

    def hides(self, text: str, place: str) -> None:
        self.page.locator(place, has_text=text).wait_for(state="detached")

    def is_wider_than_its_window(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.fixture
def desk(address: str) -> Iterator[Desk]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(locale="en-US")
        page.set_default_timeout(15_000)
        yield Desk(page, address)
        browser.close()


def lose_answer(route: Any) -> None:
    """The request arrives, its answer does not."""
    route.fetch()
    route.abort()


def test_who_is_not_signed_in_is_asked_to_and_gets_where_they_wanted(desk: Desk, admin: Staff, pay):
    transaction_id = pay(name="Ada <b>Byron</b>")
    desk.sign_in(admin, "wrong", f"?transaction={transaction_id}")
    desk.sees("Invalid credentials (request ", "#said.bad")
    desk.page.get_by_label("Password").fill(STAFF_PASSWORD)
    desk.click("Sign in")
    desk.sees("$299.99, Ada <b>Byron</b>", "h1")
    desk.sees("Admin Person (Admin)", "#who")
    desk.click("Sign out")
    desk.sees("You are signed out.", "#said")
    desk.open()
    desk.sees("Sign in")
    assert desk.faults == []


def test_a_session_that_ends_is_told(desk: Desk, admin: Staff, db: psycopg.Connection):
    desk.sign_in(admin)
    desk.sees("What needs a person")
    db.execute("delete from staff_sessions")
    desk.search("anybody")
    desk.sees("Your session has ended. Please log in again.", "#said.bad")
    desk.sees("Sign in")


def test_found_opened_and_refunded_once(desk: Desk, admin: Staff, pay, stripe: Control, db: psycopg.Connection):
    name = unique_email("Grace").partition("@")[0]
    transaction_id = pay(name=name)
    desk.sign_in(admin)
    desk.search(name)
    desk.page.get_by_role("link", name=name).click()
    desk.unfold("Refund")
    amount, reason = desk.page.get_by_label("Amount in USD"), desk.page.get_by_label("Reason, for the log")
    assert amount.input_value() == "299.99"
    reason.fill("Storm <i>on</i> the pass")
    for text in ("300", "1.234", "0", "x"):
        amount.fill(text)
        assert not amount.evaluate("field => field.validity.valid"), text
    amount.fill("100,50")
    # The answer is lost; the same form sent again asks for the same refund.
    desk.page.route("**/api/payments/refund", lose_answer)
    desk.click("Refund $100.50")
    desk.sees("The service cannot be reached.", "#said.bad")
    desk.page.unroute("**/api/payments/refund")
    desk.click("Refund $100.50")
    desk.sees("$100.50 had been made before; nothing was sent twice.", "#said")
    desk.sees("Storm <i>on</i> the pass", "ol")
    desk.sees("$100.50 refunded", "ol")
    row = fetch_row(db, "select amount_refunded, gateway_payment_id from transactions where id = %s", [transaction_id])
    assert (row[0], len([one for one in stripe.ledger()["refunds"] if one["payment_intent"] == row[1]])) == (10050, 1)
    # The rest of it.
    desk.unfold("Refund")
    reason.fill("All of it")
    desk.click("Refund $199.49")
    desk.sees("$199.49 were refunded.", "#said")
    desk.sees("refunded", "dd")
    assert desk.page.locator("summary").count() == 0
    desk.page.go_back()
    desk.sees(name, "#found")
    assert desk.faults == []


def test_what_stripe_refuses_is_told_as_it_is(desk: Desk, admin: Staff, pay, stripe: Control):
    transaction_id = pay()
    desk.sign_in(admin, query=f"?transaction={transaction_id}")
    desk.unfold("Refund")
    desk.page.get_by_label("Reason, for the log").fill("because")
    stripe.outage("error", status=500, path="/v1/refunds")
    desk.click("Refund $299.99")
    desk.sees("The payment service had a problem. Please try again in a moment. (request ", "#said.bad")
    stripe.end_outages()
    desk.click("Refund $299.99")
    desk.sees("$299.99 were refunded.", "#said")


def test_a_flag_is_seen_and_cleared_with_a_note(desk: Desk, admin: Staff, pay):
    name = unique_email("Alan").partition("@")[0]
    pay(asked=310, name=name)
    desk.sign_in(admin)
    desk.page.locator("#transactions").get_by_role("link", name=name).click()
    desk.sees("What was taken does not fit the booking, which is not Paid by it.")
    desk.unfold("Clear the flag")
    desk.page.get_by_label("What was done about it").fill("Told the guest, who pays the rest.")
    desk.click("Clear the flag")
    desk.sees("The flag is cleared, and your note is in the log.", "#said")
    desk.sees("Told the guest, who pays the rest.", "ol")
    desk.page.get_by_role("link", name="← All payments").click()
    desk.hides(name, "#transactions")


def test_a_dispute_is_shown_with_the_time_that_is_left(desk: Desk, admin: Staff, pay, stripe, db: psycopg.Connection):
    name = unique_email("Dan").partition("@")[0]
    transaction_id = pay(name=name)
    (intent,) = fetch_row(db, "select gateway_payment_id from transactions where id = %s", [transaction_id])
    dispute = stripe.dispute(intent)
    stripe.wait_delivered()
    db.execute(
        "update disputes set due_by = now() + interval '49 hours' where gateway_dispute_id = %s", [dispute["id"]]
    )
    desk.sign_in(admin)
    row = desk.page.locator("#disputes tr", has_text=name)
    assert "2 days left" in row.text_content() and "needs response" in row.text_content()
    row.get_by_role("link", name=name).click()
    desk.sees("2 days left", "#transaction table")
    desk.sees("$299.99 taken by a dispute", "ol")
    desk.sees("$0.00", "dd")
    assert desk.page.locator("summary").all_text_contents() == ["Clear the flag"]


def test_an_event_is_replayed_and_everything_reconciled(
    desk: Desk, admin: Staff, api: Client, stripe, db: psycopg.Connection
):
    booking_id = make_booking(db)
    intent = api.post(CREATE, {"bookingId": booking_id})["paymentIntentId"]
    stripe.deliveries(on=False)
    stripe.confirm(intent)
    (event,) = stripe.events("payment_intent.succeeded", about=intent)
    db.execute(
        "insert into gateway_events (gateway, id, type, state, occurred_at, attempts, last_error)"
        " values ('stripe', %s, 'payment_intent.succeeded', 'failed', now(), 3, 'P0001 something odd')",
        [event["id"]],
    )
    desk.sign_in(admin)
    desk.sees("P0001 something odd", "#events")
    desk.click(f"Replay {event['id']}")
    desk.sees("The event has had its effect now.", "#said")
    desk.hides(event["id"], "#events tr")
    assert fetch_row(db, "select payment_status from bookings where id::text = %s", [booking_id]) == ("Paid",)
    desk.click("Reconcile now")
    desk.sees("Payments asked about: ", "#said")


def test_the_list_of_a_period_is_downloaded(desk: Desk, admin: Staff, pay, tmp_path: Path):
    transaction_id = pay()
    desk.sign_in(admin)
    desk.page.get_by_label("From").fill((datetime.now(UTC) - timedelta(days=1)).date().isoformat())
    desk.page.get_by_label("To, this day included").fill((datetime.now(UTC) + timedelta(days=1)).date().isoformat())
    with desk.page.expect_download() as downloaded:
        desk.click("Download CSV")
    desk.sees(f"{downloaded.value.suggested_filename} is downloaded.", "#said")
    downloaded.value.save_as(tmp_path / "list.csv")
    assert transaction_id in (tmp_path / "list.csv").read_text("utf-8-sig")


def test_a_guide_looks_and_is_offered_nothing_else(desk: Desk, staff, pay):
    transaction_id = pay(asked=310)
    desk.sign_in(staff("Guide"))
    desk.sees(
        "The role Guide may look, but not refund, replay events or reconcile, or clear flags, or download the list."
    )
    for name in ("Reconcile now", "Download CSV"):
        assert not desk.page.get_by_text(name, exact=True).is_visible()
    desk.open(f"?transaction={transaction_id}")
    desk.sees("Flagged: What was taken does not fit")
    assert desk.page.locator("summary").count() == 0


def test_who_may_not_even_look_is_told_so(desk: Desk, staff, db: psycopg.Connection):
    right = "app.role_permissions where role = 'Guide' and permission = 'bookings_view'"
    db.execute(f"delete from {right}".encode())
    try:
        desk.sign_in(staff("Guide"))
        desk.sees("Insufficient permissions. Required: bookings_view (request ", "#said.bad")
        assert desk.page.get_by_role("button", name="Sign out").is_visible()
    finally:
        db.execute("insert into app.role_permissions (role, permission) values ('Guide', 'bookings_view')")


def test_it_fits_a_phone(desk: Desk, admin: Staff, pay):
    transaction_id = pay(asked=310, email="somebody-with-a-very-long-name@a-rather-long-domain.example.com")
    desk.page.set_viewport_size(PHONE)
    desk.sign_in(admin)
    desk.sees("amount mismatch", "#found")
    assert not desk.is_wider_than_its_window()
    desk.open(f"?transaction={transaction_id}")
    desk.unfold("Refund")
    assert not desk.is_wider_than_its_window()


def test_it_is_used_by_the_keyboard_alone(desk: Desk, admin: Staff, pay):
    name = unique_email("Mary").partition("@")[0]
    pay(name=name)
    desk.sign_in(admin)
    desk.sees("What needs a person")
    desk.page.get_by_label("Name, e-mail, package or id").focus()
    desk.page.keyboard.type(name)
    desk.page.keyboard.press("Enter")
    desk.sees("1 in all")
    desk.page.get_by_role("link", name=name).last.focus()
    desk.page.keyboard.press("Enter")
    desk.sees(f"$299.99, {name}", "h1")
    assert desk.page.evaluate("document.activeElement.tagName") == "H1"
    desk.page.keyboard.press("Tab")
    while desk.page.evaluate("document.activeElement.tagName") != "SUMMARY":
        desk.page.keyboard.press("Tab")
    desk.page.keyboard.press("Enter")
    desk.page.keyboard.press("Tab")
    assert desk.page.evaluate("document.activeElement.name") == "amount"
