"""The page that shows the API, in a real browser: everything that it loads is allowed, and comes from here."""

import pytest

from tests.browser import CHROMIUM, needs_chromium
from tools.stack import Stack

pytestmark = [pytest.mark.browser, needs_chromium, pytest.mark.timeout(120)]


def test_the_page_works_under_its_policy(served: Stack):
    from playwright.sync_api import sync_playwright

    said: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.route("**/favicon.ico", lambda route: route.fulfill(status=204))  # browsers ask for one by themselves
        page.goto(served.url("service") + "/api/docs")
        page.wait_for_selector(".opblock", timeout=60_000)
        browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith((served.url("service"), "data:"))] == []
