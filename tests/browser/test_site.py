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
from tests.sure import fetch_row, match
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
    stack.postgres.execute("delete from site_settings")  # what other tests saved there, and the mails that they left
    stack.postgres.execute("update email_outbox set state = 'dropped', finished_at = now() where state = 'queued'")
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


class Chain:
    """What happens to one booking after the other; each step goes on from what the steps before left."""

    def __init__(self, visitor: Visitor, stack: Stack, db: psycopg.Connection) -> None:
        self.visitor, self.stack, self.db = visitor, stack, db
        self.email = unique_email("browser")

    def book(self, email: str) -> str:
        """On the page of a package, by supabase-js."""
        package = fetch_row(self.db, "select id from packages where title = 'Kathmandu Valley Heritage'")[0]
        self.visitor.open(f"/book?package={package}")
        given = {"name": "Ada Byron", "email": email, "phone": "", "travel_date": "2031-05-01"}
        return str(self.visitor.submit(given)["id"])

    def pay(self, booking_id: str, number: str = "4242424242424242", guest: str = "") -> str:
        self.visitor.open(f"/pay?booking={booking_id}{guest}")
        assert self.visitor.shown("booking")["totalPrice"] == 299.99
        self.visitor.page.get_by_label("Card number").fill(number)
        self.visitor.page.locator("form button").click()
        self.visitor.page.wait_for_selector("#done, #failed")
        return self.visitor.page.locator("#done, #failed").text_content()

    def own(self, booking_id: str, status: str) -> dict[str, Any]:
        """The booking on the dashboard, once its payment has that status."""
        for _ in range(50):
            self.visitor.open("/dashboard")
            (own,) = [row for row in self.visitor.shown("bookings") if str(row["id"]) == booking_id]
            if own["paymentStatus"] == status:
                return own
            self.visitor.page.wait_for_timeout(200)
        raise AssertionError(f"the booking did not become {status}: {own}")

    def log_in(self, email: str, password: str) -> None:
        self.visitor.open("/admin/login")
        assert self.visitor.submit({"email": email, "password": password})["email"] == email

    def refused(self, id: str) -> str:
        """Change a booking's status on the staff's page; what it says against it."""
        self.visitor.open("/admin")
        self.visitor.page.evaluate("document.querySelector('#failed')?.remove()")
        place = self.visitor.page.locator("form")
        place.locator("[name=id]").fill(id)
        place.locator("[name=status]").fill("Confirmed")
        place.locator("button").click()
        return self.visitor.page.wait_for_selector("#failed").text_content()


STAFF_PASSWORD = "travel-demo-2026"  # of the seed


@pytest.mark.timeout(240)
def test_the_sites_own_calls(visitor: Visitor, stack: Stack, db: psycopg.Connection):
    chain = Chain(visitor, stack, db)
    # What everybody reads, straight from the tables.
    visitor.open("/")
    package = next(row for row in visitor.shown("packages") if row["title"] == "Kathmandu Valley Heritage")
    assert len(package["itineraries"]) == 4
    assert {row["published"] for row in visitor.shown("faqs")} == {True}
    assert visitor.shown("slides")[0]["cta"]

    # Signing up, by the address without /api and with `Bearer null`; the mailed link; logging in.
    visitor.open("/signup")
    done = visitor.submit({"name": "Ada Byron", "email": chain.email, "password": PASSWORD})
    assert done["requiresVerification"] is True
    visitor.page.context.clear_cookies()
    with closing(Mailbox(stack.url("mailbox"))) as mailbox:
        letter = mailbox.wait_for(chain.email, "")
    link = urlsplit(match(r"https?://\S+/verify-email\?\S+", letter["text"])[0])
    visitor.open(f"{link.path}?{link.query}")
    assert visitor.shown("done")["message"] == "Email verified successfully"
    visitor.open("/login")
    assert visitor.submit({"email": chain.email, "password": PASSWORD})["customer"]["email"] == chain.email
    assert visitor.faults == []

    # Booked on the package's page, it is on the dashboard; a card is declined there, another one pays.
    booking = chain.book(chain.email)
    assert chain.own(booking, "Pending")["status"] == "pending"
    assert "declined" in chain.pay(booking, "4000000000000002")
    assert chain.pay(booking) == "succeeded"
    own = chain.own(booking, "Paid")
    assert (own["status"], own["totalPrice"]) == ("confirmed", 299.99)
    assert visitor.shown("customer")["total_bookings"] == 1

    # The page forgot who was signed in, the browser's cookie is still there: who pays next is a guest all the same.
    theirs = chain.book(unique_email("guest"))
    db.execute("update bookings set customer_id = null where id::text = %s", [theirs])  # as booked elsewhere
    assert chain.pay(theirs, guest="&guest=1") == "succeeded"
    assert fetch_row(db, "select customer_id from transactions where booking_id::text = %s", [theirs]) == (None,)
    visitor.open("/contact")
    ticket = visitor.submit({"subject": "Visa?", "customer": "Eve", "email": chain.email})
    assert (ticket["status"], ticket["assigned_to"]) == ("Open", "")

    # Nobody is staff by looking at the staff's page.
    visitor.faults.clear()
    visitor.page.context.clear_cookies()
    visitor.open("/admin")
    assert visitor.page.locator("#bookings").text_content() == "[]"
    assert "permission denied" in visitor.page.locator("#failed").text_content()
    visitor.faults.clear()

    # Staff lists what is newest first, confirms, and the page's own mail becomes one of ours.
    waiting = chain.book(unique_email("waiting"))
    chain.log_in("admin@jklg.example", STAFF_PASSWORD)
    visitor.faults.clear()  # of the visitor's insert into email_history, which is staff's alone
    visitor.open("/admin")
    listed = [str(row["id"]) for row in visitor.shown("bookings")]
    assert theirs in listed and listed.index(waiting) < listed.index(booking)
    assert all("password_hash" not in row for row in visitor.shown("users"))
    assert "Visa?" in {row["subject"] for row in visitor.shown("tickets")}
    edited = visitor.submit({"id": waiting, "status": "Confirmed", "notes": "Called."})
    assert (edited["status"], edited["notes"], edited["mail"]) == ("Confirmed", "Called.", "pending")
    queued = "select recipient from email_outbox where booking_id::text = %s and state in ('queued', 'sent', 'sending')"
    assert fetch_row(db, queued, [waiting])[0] == edited["email"]
    visitor.open("/admin/settings")
    assert visitor.submit({"siteName": "JKLG"})["data"] == {"general_settings": {"siteName": "JKLG"}}
    (setting,) = visitor.submit({"key": "ui_preferences", "value": "dark"}, form=1)
    assert setting["value"] == {"text": "dark"}
    assert visitor.faults == []


@pytest.mark.timeout(120)
def test_a_guide_is_refused_and_still_a_visitor(visitor: Visitor, stack: Stack, db: psycopg.Connection):
    chain = Chain(visitor, stack, db)
    waiting = chain.book(unique_email("waiting"))
    chain.log_in("guide@jklg.example", STAFF_PASSWORD)
    assert chain.refused(waiting) == "Insufficient permissions. Required: bookings_edit"
    assert fetch_row(db, "select status from bookings where id::text = %s", [waiting]) == ("Pending",)
    # The public forms in the same browser.
    chain.book(unique_email("friend"))
    visitor.open("/contact")
    assert visitor.submit({"subject": "Visa?", "customer": "Eve", "email": chain.email})["status"] == "Open"
    assert visitor.submit({"name": "Eve", "message": "Fine mountains."}, form=1) == "thank you"
    # The first page after the session has ended.
    db.execute("delete from staff_sessions")
    visitor.faults.clear()
    visitor.open("/")
    assert visitor.shown("packages") and visitor.faults == []
    assert "jklg_staff" not in {cookie["name"] for cookie in visitor.page.context.cookies()}


def test_the_page_gives_up_on_live_updates_at_once(visitor: Visitor):
    tries: list[str] = []
    visitor.page.on("websocket", lambda socket: tries.append(socket.url))
    visitor.open("/live")
    visitor.page.wait_for_timeout(5000)
    assert tries == []
    assert any("Content Security Policy" in fault for fault in visitor.faults)
