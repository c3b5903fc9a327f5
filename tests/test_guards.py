"""Who may call: headers, cookies, other origins, and tokens of the other kind."""

import pytest
from flask import Flask

from service import cookies, guards
from service.logs import request_facts
from tests.client import Client
from tests.factories import Customer

ME = "/api/customers/me"
LOGIN = "/api/customers/login"
NOBODY = ["", "Bearer", "Bearer ", "Bearer null", "Bearer undefined", "bearer  null "]


@pytest.mark.parametrize("header", NOBODY)
def test_a_token_of_nobody_is_no_token(api: Client, header: str):
    body = api.get(ME, headers={"Authorization": header}, expect=401)
    assert body == {"error": "Please sign in.", "code": "token_missing"}
    assert api.last.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer x", "Bearer a.b.c", "Basic YTpi", "Token x"])
def test_a_token_that_is_none_is_refused(api: Client, header: str):
    body = api.get(ME, headers={"Authorization": header}, expect=401)
    assert body["code"] == "session_invalid"


def test_public_calls_ignore_whatever_token_comes_along(customer: Customer):
    for token in ("Bearer expired.or.worse", f"Bearer {customer.token}", "Basic x"):
        customer.api.post(
            LOGIN, {"email": customer.email, "password": customer.password}, headers={"Authorization": token}
        )


def cookie_of(customer: Customer) -> str:
    customer.api.post(LOGIN, {"email": customer.email, "password": customer.password})
    (cookie,) = [c for c in customer.api.last.headers.getlist("Set-Cookie") if c.startswith("jklg_customer=")]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie and "Secure" not in cookie
    return cookie.partition(";")[0]


def test_the_cookie_counts_where_there_is_no_header(api: Client, customer: Customer):
    cookie = cookie_of(customer)
    for header in NOBODY:
        assert api.get(ME, headers={"Cookie": cookie, "Authorization": header})["customer"]["id"] == customer.id


def test_a_header_wins_over_the_cookie(api: Client, customer: Customer):
    headers = {"Cookie": cookie_of(customer), "Authorization": "Bearer not.a.token"}
    api.get(ME, headers=headers, expect=401)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "SITE"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({}, 403),
    ],
)
def test_by_cookie_only_our_own_pages_change_anything(
    app: Flask, api: Client, customer: Customer, origin: dict[str, str], status: int
):
    site = app.extensions["config"].cors_origins[0]
    headers = {"Cookie": cookie_of(customer)} | {k: site if v == "SITE" else v for k, v in origin.items()}
    body = api.put(f"/api/customers/{customer.id}", {"name": "New Name"}, headers=headers, expect=status)
    assert (body.get("code") == "csrf") == (status == 403)
    customer.api.put(
        f"/api/customers/{customer.id}", {"name": "Newer Name"}, headers={"Origin": "https://evil.example"}
    )


def test_the_cookie_is_secure_in_production(app_with):
    app = app_with(APP_ENV="production", BCRYPT_ROUNDS="10")
    with app.test_request_context():
        cookies.set_session_cookie("staff", "token")
        response = app.process_response(app.make_response(""))
    assert "Secure" in response.headers["Set-Cookie"]


def test_half_of_the_sites_addresses_leave_out_api(customer: Customer):
    assert customer.api.get("/customers/me") == customer.api.get(ME)
    assert customer.api.get("/customers/nobody/nothing", expect=404)["code"] == "not_found"


def test_a_view_without_a_guard_stops_the_start(app: Flask):
    lonely = Flask("lonely")
    lonely.add_url_rule("/open", "open", lambda: "")
    with pytest.raises(RuntimeError, match="/open"):
        guards.require_everywhere(lonely)
    guards.require_everywhere(app)


def test_the_address_is_the_clients_behind_so_many_proxies(app_with):
    """X-Forwarded-For counts as far as proxies of ours wrote it, and not at all without one."""
    given = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}
    for hops, seen in (("0", "127.0.0.1"), ("1", "203.0.113.7")):
        app = app_with(PROXY_HOPS=hops)
        found = []
        app.before_request(lambda found=found: found.append(request_facts()["ip"]))
        app.test_client().get("/api/health", headers=given)
        assert found == [seen]
