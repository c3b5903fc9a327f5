"""The site's own calls, from a real browser, on one origin with the service: from signing up to the staff's pages.

Skipped where there is no chromium (apt-get install chromium) or no supabase-js to be had from the npm registry.
"""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import psycopg
import pytest

from devstack.mailbox import Mailbox
from devstack.stripe import Control
from tests.browser import CHROMIUM, needs_chromium
from tests.factories import PASSWORD, unique_email
from tests.sure import match
from tools.project import PROJECT, SEED
from tools.stack import Stack

SUPABASE_JS = "2.119.1"
SITE = Path(__file__).parent / "site"

pytestmark = [pytest.mark.browser, needs_chromium]


@pytest.fixture(scope="module")
def supabase_js() -> bytes:
    """The script of supabase-js as browsers load it, fetched once from the npm registry."""
    folder = PROJECT / ".devstack" / "npm"
    package = folder / f"supabase-supabase-js-{SUPABASE_JS}.tgz"
    if not package.exists():
        npm = shutil.which("npm") or pytest.skip("there is no npm here to fetch supabase-js with")
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "pack", "--silent", "--cache", str(folder / "cache"), f"@supabase/supabase-js@{SUPABASE_JS}"]
        if subprocess.run(command, cwd=folder, capture_output=True, timeout=60).returncode:
            pytest.skip("the npm registry cannot be reached for supabase-js")
    with tarfile.open(package) as archive:
        script = archive.extractfile("package/dist/umd/supabase.js")
        assert script
        return script.read()


@pytest.fixture(scope="module")
def address(stack: Stack, supabase_js: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service under gunicorn with the site's folder, and its worker; the origin they answer at."""
    dist = tmp_path_factory.mktemp("browser") / "dist"
    shutil.copytree(SITE, dist)
    (dist / "assets" / "supabase-js.js").write_bytes(supabase_js)
    config = {
        "anonKey": stack.key("anon"),
        "stripeKey": stack.secrets["stripe_publishable_key"],
        "stripeUrl": stack.url("stripe"),
    }
    (dist / "config.js").write_text(f"const config = {json.dumps(config)};")
    stack.postgres.execute(SEED.read_text())
    control = Control(stack.url("stripe"))
    control.deliveries(on=True, forget=True)  # other tests deliver events themselves
    control.http.close()
    with mock.patch.dict(os.environ, {"FRONTEND_DIST": str(dist), "WEB_CONCURRENCY": "1"}):
        stack.serve()
    yield stack.url("service")
    stack.kill("worker")
    stack.kill("service")


class Visitor:
    """One browser on the site: opens pages, fills forms, reads what they show."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        self.faults: list[str] = []
        page.on("console", lambda message: self.faults.extend([message.text] if message.type == "error" else []))
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    def open(self, path: str) -> None:
        self.page.goto(self.address + path)
        self.page.wait_for_selector("body[data-ready]")

    def submit(self, given: dict[str, Any], form: int = 0) -> Any:
        """Fill the page's form and send it; what came of it."""
        self.page.evaluate("document.querySelector('#done')?.remove()")
        place = self.page.locator("form").nth(form)
        for name, value in given.items():
            place.locator(f"[name={name}]").fill(str(value))
        place.locator("button").click()
        return self.shown("done")

    def shown(self, name: str) -> Any:
        self.page.wait_for_selector(f"#{name}, #failed")
        failed = self.page.locator("#failed")
        assert failed.count() == 0, failed.text_content()
        text = self.page.locator(f"#{name}").text_content()
        return json.loads(text) if text[:1] in '{["' or text.isdecimal() else text


@pytest.fixture
def visitor(address: str) -> Iterator[Visitor]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(15_000)
        yield Visitor(page, address)
        browser.close()


@pytest.mark.timeout(180)
def test_the_sites_own_calls(visitor: Visitor, stack: Stack, db: psycopg.Connection):
    email = unique_email("browser")
    # What everybody reads, straight from the tables.
    visitor.open("/")
    packages = visitor.shown("packages")
    package = next(row for row in packages if row["title"] == "Kathmandu Valley Heritage")
    assert len(package["itineraries"]) == 4
    assert {row["published"] for row in visitor.shown("faqs")} == {True}

    # Signing up, by the address without /api and with `Bearer null`; the mailed link; logging in.
    visitor.open("/signup")
    done = visitor.submit({"name": "Ada Byron", "email": email, "password": PASSWORD})
    assert done["requiresVerification"] is True
    visitor.page.context.clear_cookies()
    with closing(Mailbox(stack.url("mailbox"))) as mailbox:
        letter = mailbox.wait_for(email, "")
    link = urlsplit(match(r"https?://\S+/verify-email\?\S+", letter["text"])[0])
    visitor.open(f"{link.path}?{link.query}")
    assert visitor.shown("done")["message"] == "Email verified successfully"
    visitor.open("/login")
    assert visitor.submit({"email": email, "password": PASSWORD})["customer"]["email"] == email

    # Booking with the price of the package, paying the card, and seeing both on the dashboard.
    visitor.open(f"/book?package={package['id']}")
    order = {"customer_name": "Ada", "customer_email": email, "travel_date": "2031-05-01", "number_of_guests": 2}
    booking = visitor.submit(order)
    assert (booking["totalPrice"], booking["status"]) == (599.98, "pending")
    visitor.open(f"/pay?booking={booking['id']}")
    assert visitor.shown("booking")["totalPrice"] == 599.98
    assert visitor.shown("stripe") == "function"
    assert visitor.submit({"number": "4242424242424242"}) == "succeeded"
    for _ in range(50):
        visitor.open("/dashboard")
        (own,) = visitor.shown("bookings")
        if own["paymentStatus"] == "Paid":
            break
        visitor.page.wait_for_timeout(200)
    assert (own["id"], own["paymentStatus"], own["status"]) == (booking["id"], "Paid", "confirmed")
    assert visitor.shown("customer")["total_bookings"] == 1

    # A visitor's booking and ticket by supabase-js: the amount is the package's, the row comes back.
    visitor.open("/enquire")
    (sent,) = visitor.submit({"name": "Eve", "email": email, "package": "Chitwan Jungle Safari"})
    assert (sent["amount"], sent["payment_status"]) == (349.5, "Pending")
    ticket = visitor.submit({"subject": "Visa?", "customer": "Eve", "email": email}, form=1)
    assert (ticket["status"], ticket["assigned_to"]) == ("Open", "")
    assert visitor.faults == []

    # Nobody is staff by looking at the staff's page.
    visitor.open("/admin")
    assert visitor.page.locator("#bookings").text_content() == "[]"
    assert "permission denied" in visitor.page.locator("#failed").text_content()
    visitor.faults.clear()

    # Staff signs in, lists and edits through supabase-js, and saves settings.
    visitor.open("/admin/login")
    staff = {"email": "admin@jklg.example", "password": "travel-demo-2026"}
    assert visitor.submit(staff)["role"] == "Admin"
    visitor.open("/admin")
    assert visitor.shown("count") >= 3
    listed = visitor.shown("bookings")
    assert {booking["id"], sent["id"]} <= {row["id"] for row in listed}
    assert all("password_hash" not in row for row in visitor.shown("users"))
    assert "Visa?" in {row["subject"] for row in visitor.shown("tickets")}
    (edited,) = visitor.submit({"id": sent["id"], "status": "Confirmed", "notes": "Called."})
    assert (edited["status"], edited["notes"]) == ("Confirmed", "Called.")
    stored = db.execute("select status, notes from bookings where id = %s", [sent["id"]]).fetchone()
    assert stored == ("Confirmed", "Called.")
    visitor.open("/admin/settings")
    assert visitor.submit({"siteName": "JKLG"})["data"] == {"general_settings": {"siteName": "JKLG"}}
    (setting,) = visitor.submit({"key": "ui_preferences", "value": "dark"}, form=1)
    assert setting["value"] == {"text": "dark"}
    assert visitor.faults == []
