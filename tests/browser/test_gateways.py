"""Paying through each gateway on the small site of `make run`, in a real browser; skipped where there is none."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any
from unittest import mock

import psycopg
import pytest

from devstack.paypal import Control as PayPal
from devstack.razorpay import Control as Razorpay
from devstack.stripe import Control as Stripe
from tests.browser import CHROMIUM, needs_chromium
from tests.factories import make_booking
from tests.sure import fetch_row
from tools import run
from tools.stack import Stack

pytestmark = [pytest.mark.browser, needs_chromium]


@pytest.fixture(scope="module")
def address(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service with the small site, and its worker; every gateway delivers its events."""
    dist = tmp_path_factory.mktemp("gateways") / "dist"
    shutil.copytree(run.SMALL_SITE, dist)
    page = dist / "index.html"
    page.write_text(run.with_stripe(page.read_text(), stack.url("stripe")))
    (dist / "config.js").write_text(f"const config = {json.dumps({'mailbox': '', 'currency': 'usd'})};")
    for name, control in (("stripe", Stripe), ("razorpay", Razorpay), ("paypal", PayPal)):
        local = control(stack.url(name))
        local.deliveries(on=True, forget=True)  # other tests deliver events themselves
        local.http.close()
    with mock.patch.dict(os.environ, {"FRONTEND_DIST": str(dist), "WEB_CONCURRENCY": "1"}):
        stack.serve()
    yield stack.url("service")
    stack.kill("worker")
    stack.kill("service")


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(base_url=address)
        page.set_default_timeout(15_000)
        yield page
        browser.close()


def wait_until_paid(page: Any, db: psycopg.Connection, booking_id: str) -> str:
    """The gateway by which it was paid."""
    for _ in range(150):
        query = "select gateway from transactions where booking_id::text = %s and status = 'completed'"
        if row := db.execute(query, [booking_id]).fetchone():
            assert fetch_row(db, "select payment_status from bookings where id::text = %s", [booking_id]) == ("Paid",)
            return str(row[0])
        page.wait_for_timeout(100)
    raise AssertionError("it was not paid")


def test_by_card(page: Any, db: psycopg.Connection):
    booking_id = make_booking(db)
    page.goto(f"/pay?booking={booking_id}")
    page.get_by_label("Card number").fill("4242424242424242")
    page.get_by_role("button", name="Pay by card").click()
    page.wait_for_selector(".done")
    assert wait_until_paid(page, db, booking_id) == "stripe"


def test_in_razorpays_window(page: Any, db: psycopg.Connection):
    booking_id = make_booking(db)
    page.goto(f"/pay?booking={booking_id}")
    page.get_by_role("button", name="Pay with Razorpay").click()
    window = page.locator("dialog.razorpay-checkout")
    window.get_by_label("UPI id").fill("failure@razorpay")
    window.get_by_role("button", name="Pay").click()
    window.locator(".razorpay-error", has_text=re.compile(r"\w")).wait_for()
    window.get_by_label("UPI id").fill("success@razorpay")
    window.get_by_role("button", name="Pay").click()
    assert "Paid" in page.wait_for_selector(".done").text_content()
    assert wait_until_paid(page, db, booking_id) == "razorpay"


def test_on_paypals_page(page: Any, db: psycopg.Connection):
    booking_id = make_booking(db)
    page.goto(f"/pay?booking={booking_id}")
    page.get_by_role("button", name="Pay with PayPal").click()
    page.get_by_role("button", name="Cancel and return").click()
    assert "Nothing was paid" in page.wait_for_selector(".failed").text_content()
    page.get_by_role("button", name="Pay with PayPal").click()
    page.get_by_role("button", name="Pay with PayPal").click()  # on PayPal's own page now
    assert "Paid" in page.wait_for_selector(".done").text_content()
    assert f"/payment/{booking_id}" in page.url
    assert wait_until_paid(page, db, booking_id) == "paypal"


def test_paypals_window_is_closed_after_the_approval(page: Any, db: psycopg.Connection):
    booking_id = make_booking(db)
    page.goto(f"/pay?booking={booking_id}")
    page.get_by_role("button", name="Pay with PayPal").click()
    page.wait_for_selector("#what")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Pay with PayPal").click()
    assert wait_until_paid(page, db, booking_id) == "paypal"
