"""Odd values in every field of the staff's and visitors' routes, with a database behind: 4xx, never a fault."""

import json

import pytest

ODD = [
    *(
        None,
        True,
        0,
        -1,
        1.5,
        1e308,
        10**30,
        "",
        " ",
        "x" * 3000,
        "\x00",
        "\ud800",
        "null",
        "NaN",
        "'; drop table x --",
    ),
    *([], [[]], {}, {"a": {"b": []}}, [None], "2031-02-30", "9999-12-31", "0001-01-01", "١٢٣", "-0", "1e5", "00000000"),
    *("00000000-0000-0000-0000-000000000000", "../..", "%00", "a@b", "Paid", "Admin", "Active"),
]
BODIES = {
    ("POST", "/api/auth/login"): {"email": "a@example.com", "password": "x"},
    ("POST", "/api/auth/change-password"): {"email": "a@example.com", "currentPassword": "x", "newPassword": "y" * 9},
    ("POST", "/api/auth/accept-invitation"): {"staffId": 1, "token": "x", "password": "y" * 9},
    ("POST", "/api/users"): {
        **{"name": "A", "email": "odd@example.com", "phone": "", "role": "Guide", "password": "long enough 77"},
        **{"avatar": "", "status": "Inactive"},
    },
    ("PUT", "/api/users/99999999"): {"name": "A", "email": "odd@example.com", "status": "Active", "password": "z" * 12},
    ("PATCH", "/api/users/99999999/status"): {"status": "Active"},
    ("POST", "/api/bookings"): {
        **{"package_id": 1, "customer_email": "a@example.com", "customer_name": "A", "customer_phone": ""},
        **{"travel_date": "2031-01-01", "number_of_guests": 1, "special_requests": ""},
    },
    ("PATCH", "/api/bookings/00000000-0000-4000-8000-000000000000"): {
        **{"name": "A", "email": "a@example.com", "amount": 1, "travel_date": "2031-01-01", "package_id": 1},
        **{"status": "Pending", "number_of_guests": 1, "assigned_to": "x", "payment_status": "Paid"},
    },
    ("POST", "/api/bookings/assign"): {"id": 1, "assigned_to": "x"},
    ("POST", "/api/bookings/update-payment"): {"id": 1, "payment_status": "Paid", "amount": 1},
    ("POST", "/api/bookings/bulk-delete"): {"ids": [1]},
    ("POST", "/api/destinations"): {"name": "A", "latitude": 1, "attractions": [], "featured": True, "image": ""},
    ("POST", "/api/packages"): {
        "title": "A",
        "price": 1,
        "duration": 1,
        "rating": 1,
        "included": [],
        "destinations": [],
    },
    ("POST", "/api/gallery"): {"title": "A", "location": "x", "image": "x", "description": "x"},
    ("POST", "/api/testimonials"): {
        "name": "A",
        "rating": 1,
        "message": "x",
        "status": "pending",
        "date": "2026-01-01",
    },
    ("PUT", "/api/packages/99999999"): {"price": 1, "destinations": []},
    ("POST", "/api/settings"): {"key": "odd", "value": 1},
    ("PUT", "/api/settings/odd"): {"value": 1},
}
PATHS = ["/api/users/{}", "/api/bookings/{}", "/api/packages/{}", "/api/settings/{}", "/api/users/{}/status"]
QUERIES = ["/api/users?role={}", "/api/users?search={}", "/api/bookings?page={}", "/api/bookings?limit={}"]


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_odd_values_of_each_field(method: str, path: str, staff):
    body = BODIES[method, path]
    api = staff().api
    for field in body:
        for odd in ODD:
            sent = json.dumps({**body, field: odd})
            answer = api.http.open(
                path,
                method=method,
                data=sent,
                content_type="application/json",
                headers={"Authorization": f"Bearer {api.token}"},
                environ_base={"REMOTE_ADDR": f"10.200.{len(sent) % 200}.{ODD.index(odd)}"},
                buffered=True,
            )
            assert answer.status_code < 500, f"{field}={odd!r}: {answer.status} {answer.text}"
            if answer.status_code >= 400:
                assert set(answer.json) >= {"error", "code"}


def test_odd_addresses_and_queries(staff):
    api = staff().api
    headers = {"Authorization": f"Bearer {api.token}"}
    for odd in (value for value in ODD if isinstance(value, str) and value != "\ud800"):
        for path in PATHS:
            answer = api.http.get(path.format(odd), headers=headers, buffered=True)
            assert answer.status_code in (200, 404, 405, 308), f"{path} {odd!r}: {answer.status}"
        for query in QUERIES:
            path, _, name = query.removesuffix("={}").partition("?")
            answer = api.http.get(path, query_string={name: odd}, headers=headers, buffered=True)
            assert answer.status_code in (200, 400), f"{query} {odd!r}: {answer.status} {answer.text}"
