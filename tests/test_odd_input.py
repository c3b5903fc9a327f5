"""Whatever is sent wherever: a 4xx in the contract's shape, never a 5xx, never somebody else's data."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask

from tests.client import Client
from tests.factories import Customer, Staff

ODD_TEXTS = [
    *("", " ", "0", "-0", "-1", "x", "1e5", "1e400", "١٢٣", "null", "NaN", "not-a-uuid", "00000000", "%00", "../.."),
    *("00000000-0000-4000-8000-000000000000", "9223372036854775808", "Paid", "Admin", "Active", "a@b"),
    *("2031-02-30", "9999-12-31", "0001-01-01", "\0", "nul\0inside", "\ud800", "\u202egnp.exe", "line\r\nbreak: x"),
    *("<img src=x onerror=alert(1)>", "<a href=https://evil.example>x</a>", "{{7*7}}${7*7}%s%n", "(id.eq.1)"),
    *("'; drop table bookings; --", "../../etc/passwd", "ada@example.com\r\nBcc: x@example.com"),
    *("é" * 73, "👩‍🚀" * 30, "x" * 5000, "x" * 100_000),
]
ODD_VALUES: list[Any] = [
    *ODD_TEXTS,
    *(None, True, 0, -1, 1, 1.5, 1e308, 10**30, -(10**30), 10**400),
    *([], [None], [[[[]]]], {}, {"a": {"b": ["\0"]}}, {"$gt": ""}, {"$ne": None}, ["x"] * 2000),
]
PERSON = {"email": "odd@example.com", "name": "A", "phone": ""}
NOBODY = "00000000-0000-4000-8000-000000000000"
LINK = {"customerId": NOBODY, "token": "x"}
PUBLIC = {
    "/api/customers/register": {**PERSON, "password": "a valid password"},
    "/api/customers/login": {"email": "odd@example.com", "password": "x"},
    "/api/customers/verify-email": LINK,
    "/api/customers/resend-verification": {"email": "odd@example.com"},
    "/api/customers/forgot-password": {"email": "odd@example.com"},
    "/api/customers/reset-password": {**LINK, "newPassword": "a valid password"},
}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    **{("POST", path): body for path, body in PUBLIC.items()},
    ("PUT", "/api/customers/{id}"): {"name": "A", "phone": "", "avatar": "", "address": "x"},
    ("POST", "/api/customers/{id}/addresses"): {
        **{"label": "x", "street": "x", "city": "x", "country": "x", "state": "x", "postal_code": "1"},
        **{"name": "A", "phone": "1", "is_default": True},
    },
    ("PUT", "/api/customers/{id}/preferences"): {
        **{"language": "en", "currency": "usd", "timezone": "Europe/Oslo", "newsletter": True, "sms": True},
        "email_notifications": True,
    },
    ("POST", "/api/auth/login"): {"email": "a@example.com", "password": "x"},
    ("POST", "/api/auth/change-password"): {"email": "a@example.com", "currentPassword": "x", "newPassword": "y" * 9},
    ("POST", "/api/auth/accept-invitation"): {"staffId": 1, "token": "x", "password": "y" * 9},
    ("POST", "/api/users"): {
        **PERSON,
        **{"role": "Guide", "password": "long enough 77", "avatar": "", "status": "Inactive"},
    },
    ("PUT", "/api/users/99999999"): {"name": "A", "email": "odd@example.com", "status": "Active", "password": "z" * 12},
    ("PATCH", "/api/users/99999999/status"): {"status": "Active"},
    ("POST", "/api/bookings"): {
        **{"package_id": 1, "customer_email": "a@example.com", "customer_name": "A", "customer_phone": ""},
        **{"travel_date": "2031-01-01", "number_of_guests": 1, "special_requests": ""},
    },
    ("PATCH", f"/api/bookings/{NOBODY}"): {
        **{"name": "A", "email": "a@example.com", "amount": 1, "travel_date": "2031-01-01", "package_id": 1},
        **{"status": "Pending", "number_of_guests": 1, "assigned_to": "x", "payment_status": "Paid"},
    },
    ("POST", "/api/bookings/assign"): {"id": 1, "assigned_to": "x"},
    ("POST", "/api/bookings/update-payment"): {"id": 1, "payment_status": "Paid", "amount": 1},
    ("POST", "/api/bookings/bulk-delete"): {"ids": [1]},
    ("POST", "/api/destinations"): {"name": "A", "latitude": 1, "attractions": [], "featured": True, "image": ""},
    ("POST", "/api/packages"): {
        **{"title": "A", "price": 1, "duration": 1, "rating": 1, "included": [], "destinations": []},
    },
    ("PUT", "/api/packages/99999999"): {"price": 1, "destinations": []},
    ("POST", "/api/gallery"): {"title": "A", "location": "x", "image": "x", "description": "x"},
    ("POST", "/api/testimonials"): {
        **{"name": "A", "rating": 1, "message": "x", "status": "pending", "date": "2026-01-01"},
    },
    ("POST", "/api/settings"): {"key": "odd", "value": 1},
    ("PUT", "/api/settings/odd"): {"value": 1},
}
NOT_JSON = [
    *((data, "application/json", 400) for data in (b"", b"{", b"[]", b'"text"', b"null", b"NaN", b"\xff\xfe")),
    (b"[" * 100_000, "application/json", 400),
    (b'{"email": "a@example.com"}', "text/plain", 415),
    (b"email=a@example.com", "application/x-www-form-urlencoded", 415),
    (b'{"x": "' + b"x" * 5_000_000 + b'"}', "application/json", 413),
]
WITH_ID = ["/api/users/{}", "/api/bookings/{}", "/api/packages/{}", "/api/settings/{}", "/api/users/{}/status"]
OWN_WITH_ID = ["addresses", "bookings", "sessions"]
QUERIES = [
    *(("/api/users", "role"), ("/api/users", "search"), ("/api/auth/sessions", "staffId")),
    *(("/api/bookings", "page"), ("/api/bookings", "limit")),
]
FRAMEWORK = {"docs_assets", "health.get_health"}


def send(person: Client, method: str, address: str, **kwargs: Any) -> Any:
    """The answer, in the contract's shape or good; each call from an address of its own, so that no limit is met."""
    answer = person.http.open(
        address,
        method=method,
        headers=person.headers,
        environ_base={"REMOTE_ADDR": Client(person.app).address},
        buffered=True,
        **kwargs,
    )
    told = f"{method} {address[:200]} {kwargs}"[:600]
    assert answer.status_code < 500, f"{told}: {answer.status} {answer.text[:500]}"
    if answer.status_code >= 400 and not address.startswith("/rest/"):  # what is passed on answers in PostgREST's shape
        body = answer.get_json()
        assert isinstance(body["error"], str) and isinstance(body["code"], str), f"{told}: {body}"
    return answer


def views(app: Flask) -> Iterator[tuple[str, str, list[str]]]:
    """Every method and address of the API, with the names of the fields that its body may have."""
    spec = app.extensions["flask-smorest"]["apis"][""]["ext_obj"].spec.to_dict()
    for rule in app.url_map.iter_rules():
        if rule.endpoint in FRAMEWORK or rule.endpoint.startswith(("api-docs.", "customers_alias.")):
            continue
        described = spec["paths"].get(rule.rule.replace("<", "{").replace(">", "}"), {})
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, rule.rule, _fields(spec, described.get(method.lower(), {}))


def _fields(spec: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    schema = spec["components"]["schemas"].get(name, {})
    return sorted({*schema.get("properties", {}), "extra"})


def _address(rule: str, text: str) -> str:
    odd = quote(text[:500] or "-", safe="", errors="replace")
    return "/".join(odd if part.startswith("<") else part for part in rule.split("/"))


@pytest.mark.parametrize("seed", range(4))
def test_odd_bodies_queries_and_ids_everywhere(app: Flask, customer: Customer, staff: Callable[..., Staff], seed: int):
    dice = random.Random(seed)
    people = [Client(app), customer.api, staff("Admin").api]
    for method, rule, fields in views(app):
        if method == "DELETE" and "logout" in rule:
            continue
        for person in people * 3:
            query = {dice.choice(["page", "limit", "status", "q", "from", "role"]): dice.choice(ODD_TEXTS[:9])}
            body = {field: dice.choice(ODD_VALUES) for field in fields if dice.random() < 0.8}
            sent: dict[str, Any] = {"query_string": query} if method == "GET" else {"json": body}
            send(person, method, _address(rule, dice.choice(ODD_TEXTS)), **sent)


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_odd_values_of_each_field(method: str, path: str, customer: Customer, staff: Callable[..., Staff]):
    person = customer.api if "{id}" in path else staff().api
    for field in BODIES[method, path]:
        for odd in ODD_VALUES:
            sent = json.dumps({**BODIES[method, path], field: odd})
            send(person, method, path.format(id=customer.id), data=sent, content_type="application/json")
    assert customer.api.get("/api/customers/me")["customer"]["id"] == customer.id


@pytest.mark.parametrize(("data", "content_type", "status"), NOT_JSON)
def test_bodies_that_are_none(api: Client, data: bytes, content_type: str, status: int):
    for path in PUBLIC:
        assert send(api, "POST", path, data=data, content_type=content_type).status_code == status


def test_odd_ids_and_queries(customer: Customer, staff: Callable[..., Staff]):
    admin = staff().api
    for odd in (text for text in ODD_TEXTS if "\ud800" not in text and len(text) <= 5000):
        for path in WITH_ID:
            assert send(admin, "GET", path.format(odd)).status_code in (200, 404, 405, 308)
        for path, name in QUERIES:
            assert send(admin, "GET", path, query_string={name: odd}).status_code in (200, 400)
        for part in OWN_WITH_ID if odd.isprintable() else ():
            for method in ("GET", "DELETE"):
                send(customer.api, method, f"/api/customers/{customer.id}/{part}/{odd[:500]}")
