"""Other sites' pages change nothing with the cookie of who looks at them: every route that writes, and every trick."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from tests.client import Client
from tests.factories import Customer, Staff

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
# What a browser, or a page in it, can make of the origin. The service is at http://localhost.
FOREIGN: list[dict[str, str]] = [
    {},
    *({"Origin": origin} for origin in ("https://evil.example", "null", "", "http://localhost.evil.example")),
    *({"Origin": origin} for origin in ("https://localhost", "http://localhost:81", "http://localhost@evil.example")),
    *({"Origin": origin} for origin in ("http://localhost, https://evil.example", "file://", "http://localhost/")),
    *({"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "none")),
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
    {"Origin": "https://evil.example", "Referer": "http://localhost/", "X-Requested-With": "XMLHttpRequest"},
    {"Referer": "http://localhost/"},
]
# Without the header `Authorization` the payer is a guest, whatever cookie there is.
GUESTS_BY_HEADER = ("/api/payments/create-payment-intent", "/api/payments/capture")
# What a form or a beacon of another site can send without asking first.
SIMPLE = ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x")


def writing(app: Flask) -> Iterator[tuple[str, str, bool]]:
    """(method, address, whether it is for everybody) of each route that writes."""
    paths = app.test_client().get("/api/openapi.json").get_json()["paths"]
    for path, operations in paths.items():
        for method in WRITES & {name.upper() for name in operations}:
            asked = operations[method.lower()].get("security")
            address = path.replace("{customer_id}", "CUSTOMER").replace("{user_id}", "1").replace("{key}", "k")
            parts = ("1" if "{" in part and "uuid" not in part else part for part in address.split("/"))
            yield method, "/".join(parts), asked == [] or path in GUESTS_BY_HEADER
    for method in WRITES - {"PUT"}:
        yield method, "/rest/v1/bookings?id=is.null", False


def test_no_route_takes_a_cookie_from_another_site(app: Flask, customer: Customer, staff: Callable[..., Staff]):
    admin = staff()
    cookies = f"jklg_customer={customer.token}; jklg_staff={admin.token}"
    tried = 0
    for method, address, is_public in writing(app):
        if is_public:
            continue
        for headers in FOREIGN:
            told = f"{method} {address} {headers}"
            answer = _send(app, method, address.replace("CUSTOMER", customer.id), {**headers, "Cookie": cookies})
            assert (answer.status_code, answer.json["code"]) == (403, "csrf"), f"{told}: {answer.text[:300]}"
            tried += 1
    assert tried > 700
    assert customer.api.get("/api/customers/me")["customer"]["id"] == customer.id
    admin.api.get("/api/users")


def test_what_is_for_everybody_reads_no_form(app: Flask):
    """Else a page could log its visitor in as somebody else, or send in what it likes from their address."""
    for method, address, is_public in writing(app):
        if not is_public or address.endswith("process-webhook"):  # by its signature, whatever the type
            continue
        for kind in SIMPLE:
            answer = _send(app, method, address, {"Content-Type": kind}, data=b'{"email": "a@example.com"}')
            assert answer.status_code in (400, 415), f"{method} {address} {kind}: {answer.status}"
            assert "Set-Cookie" not in answer.headers


def test_other_origins_are_not_let_in(app: Flask):
    for origin in ("https://evil.example", "null", "http://localhost.evil.example", "http://evil.example:5173"):
        asked = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x"}
        for address in ("/api/customers/me", "/api/users", "/api/settings", "/rest/v1/bookings", "/api/nothing"):
            for method in ("OPTIONS", "GET"):
                headers = _send(app, method, address, asked).headers
                assert "Access-Control-Allow-Origin" not in headers, f"{method} {address} {origin}"


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "_method"])
def test_a_read_does_not_become_a_write(name: str, app: Flask, customer: Customer):
    headers = {"Cookie": f"jklg_customer={customer.token}", name: "DELETE"}
    for method in ("GET", "HEAD"):
        for address in (f"/api/customers/{customer.id}", f"/api/customers/{customer.id}?{name}=DELETE"):
            assert _send(app, method, address, headers).status_code == 200
    assert customer.api.get("/api/customers/me")["customer"]["id"] == customer.id


def _send(app: Flask, method: str, address: str, headers: dict[str, str], **kwargs: Any) -> Any:
    sent = kwargs or ({"json": {}} if method in WRITES and "Content-Type" not in headers else {})
    environ = {"REMOTE_ADDR": Client(app).address}  # another each time, so that no limit is met
    return app.test_client(use_cookies=False).open(
        address, method=method, headers=headers, environ_base=environ, buffered=True, **sent
    )
