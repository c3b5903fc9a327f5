"""What answers tell browsers."""

import re

import psycopg
import pytest

from service.site.policy import hashes_of
from tests.client import Client
from tests.site.callers import OWN

NOT_KEPT = [
    "/api/health",
    "/api/openapi.json",
    "/api/nowhere",
    "/api/settings",
    "/api/customers/me",
    "/rest/v1/packages",
]


@pytest.mark.parametrize("path", NOT_KEPT)
def test_answers_of_the_api_are_not_kept_nor_guessed_at(path: str, api: Client):
    answer = api.http.get(path)
    assert (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert "Strict-Transport-Security" not in answer.headers


def test_refusals_and_preflights_too(api: Client, db: psycopg.Connection):
    for answer in (
        api.http.post("/api/customers/login", data=b"{", content_type="application/json"),
        api.http.options("/api/customers/login", headers=OWN),
        api.http.post("/api/health"),
    ):
        assert answer.headers["Cache-Control"] == "no-store", answer.status
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_in_production_a_browser_comes_back_by_https(app_with):
    api = Client(app_with(APP_ENV="production", BCRYPT_ROUNDS="10"))
    for path in ("/api/health", "/", "/api/nowhere"):
        assert api.http.get(path).headers["Strict-Transport-Security"] == "max-age=31536000"


def test_the_page_of_the_api_loads_its_own_and_is_in_no_frame(api: Client):
    html = api.get("/api/docs").decode()
    headers = api.last.headers
    policy = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert policy["frame-ancestors"] == policy["default-src"] == "'none'"
    assert headers["X-Frame-Options"] == "DENY"
    assert policy["script-src"].split() == ["'self'", *hashes_of(html.encode())]
    assert len(policy["script-src"].split()) == 2 and "'unsafe-inline'" not in policy["script-src"]
    assert '"validatorUrl": null' in html
    for asset in re.findall(r'(?:src|href)="([^"]+)"', html):
        assert asset.startswith("/api/docs/assets/")
        api.get(asset)
        assert api.last.headers["Cache-Control"].endswith("max-age=86400")
        assert api.last.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["index.html", "swagger-initializer.js", "oauth2-redirect.html", "index.j2", "../api.py"]
)
def test_swaggers_own_start_page_is_not_served(name: str, api: Client):
    assert api.get(f"/api/docs/assets/{name}", expect=404)["code"] == "not_found"
