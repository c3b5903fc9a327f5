"""Whatever is sent wherever: a 4xx in the contract's shape, never a 5xx, never somebody else's data."""

import json
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.fields import EmailAddress
from service.passwords import NewPassword
from tests.factories import unique_email

HOSTILE = [
    "\0",
    "nul\0inside",
    "\ud800",
    "a@example.com\r\nBcc: all@example.com",
    "<img src=x onerror=alert(1)>",
    "\u202egnp.exe",
    "é" * 73,
    "'; drop table customers; --",
    "{{7*7}}${7*7}%s%n",
    "../../etc/passwd",
    "x" * 100_000,
    10**400,
    -1,
    1.5,
    True,
    None,
    [],
    {},
    [[[]]],
    {"$ne": None},
]
PUBLIC = {
    "register": ["email", "password", "name", "phone"],
    "login": ["email", "password"],
    "verify-email": ["customerId", "token"],
    "resend-verification": ["email"],
    "forgot-password": ["email"],
    "reset-password": ["customerId", "token", "newPassword"],
}
VALID = {
    "password": "a valid password",
    "name": "Ada",
    "phone": "",
    "customerId": "00000000-0000-4000-8000-000000000000",
    "token": "x",
    "newPassword": "a valid password",
    "oldPassword": "a valid password",
}


def check(response) -> None:
    assert response.status_code < 500, response.text[:500]
    if response.status_code >= 400:
        body = response.get_json()
        assert isinstance(body["error"], str) and isinstance(body["code"], str)


@pytest.mark.parametrize("route", PUBLIC)
def test_hostile_values_in_public_bodies(app, api, route):
    for field in PUBLIC[route]:
        for value in HOSTILE:
            sent = {name: VALID.get(name, unique_email("hostile")) for name in PUBLIC[route]} | {field: value}
            api.http.environ_base["REMOTE_ADDR"] = f"10.250.{hash(field) % 250}.{HOSTILE.index(value)}"
            check(api.http.post(f"/api/customers/{route}", data=json.dumps(sent), content_type="application/json"))


def test_hostile_values_in_a_customers_own_calls(customer):
    path = f"/api/customers/{customer.id}"
    headers = {"Authorization": f"Bearer {customer.token}"}
    for value in HOSTILE:
        for method, address, field in [
            ("PUT", path, "name"),
            ("PUT", path, "address"),
            ("POST", f"{path}/addresses", "street"),
            ("PUT", f"{path}/preferences", "language"),
            ("PUT", f"{path}/preferences", "timezone"),
        ]:
            body = {"label": "x", "street": "x", "city": "x", "country": "x", field: value}
            sent = json.dumps(body)
            check(
                customer.api.http.open(
                    address, method=method, data=sent, headers=headers, content_type="application/json"
                )
            )
        if isinstance(value, str) and value.isprintable():
            for part in ("addresses", "bookings", "sessions"):
                check(customer.api.http.get(f"{path}/{part}/{value[:500]}", headers=headers))
                check(customer.api.http.delete(f"{path}/{part}/{value[:500]}", headers=headers))
    assert customer.api.get("/api/customers/me")["customer"]["id"] == customer.id


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"text"', "application/json", 400),
        (b"null", "application/json", 400),
        (b"NaN", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"email": "a@example.com"}', "text/plain", 415),
        (b"email=a@example.com", "application/x-www-form-urlencoded", 415),
        (b'{"x": "' + b"x" * 5_000_000 + b'"}', "application/json", 413),
    ],
)
def test_bodies_that_are_none(api, data, content_type, status):
    for route in PUBLIC:
        response = api.http.post(
            f"/api/customers/{route}",
            data=data,
            content_type=content_type,
            environ_base={"REMOTE_ADDR": f"10.251.1.{status % 200}"},
        )
        assert response.status_code == status, response.text[:200]
        check(response)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=100))
def test_a_password_passes_exactly_by_the_rules(app, text):
    from marshmallow import ValidationError

    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        size = 1000
    is_fine = len(text) >= 8 and size <= 72 and "\0" not in text
    try:
        assert NewPassword().deserialize(text) == text
        assert is_fine
    except ValidationError as error:
        assert not is_fine or "common" in error.messages[0]


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=40), st.emails(), st.text(string.printable, max_size=20).map(lambda t: f"{t}@x.io")))
def test_an_address_that_passes_fits_a_mail_header_and_the_column(text):
    from marshmallow import ValidationError

    try:
        address = EmailAddress().deserialize(text)
    except ValidationError:
        return
    assert address == address.lower() and len(address) <= 254 and address.isascii() and address.count("@") >= 1
    assert not any(ord(character) < 32 for character in address)
    assert EmailAddress().deserialize(address) == address
