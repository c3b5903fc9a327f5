"""Headers that say who the caller is or how the service is called: believed as far as a proxy of ours wrote them."""

from collections.abc import Callable

import psycopg
import pytest
from flask import Flask

from devstack.mailbox import Mailbox
from tests.client import Client
from tests.factories import PASSWORD, Customer, Staff, make_booking, unique_email

EVIL = {
    "Host": "host-of-others.example",
    "X-Forwarded-Host": "host-of-others.example",
    "X-Forwarded-Server": "host-of-others.example",
    "X-Forwarded-Prefix": "/host-of-others.example",
    "X-Host": "host-of-others.example",
    "X-Original-URL": "https://host-of-others.example/",
    "X-Rewrite-URL": "https://host-of-others.example/",
    "Forwarded": "for=6.6.6.6;host=host-of-others.example;proto=https",
    "Origin": "https://host-of-others.example",
    "Referer": "https://host-of-others.example/",
}
# Each a name under which some proxy says from where a request came.
ADDRESSES = (
    *("X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP"),
    *("X-Cluster-Client-IP", "Fastly-Client-IP", "X-Originating-IP", "X-Remote-Addr", "Remote-Addr", "Via"),
)


@pytest.mark.parametrize("hops", ["0", "1"])
def test_links_in_mails_begin_with_the_sites_address(
    hops: str, app_with, staff: Callable[..., Staff], db: psycopg.Connection, mailbox: Mailbox, deliver
):
    app = app_with(PROXY_HOPS=hops)
    site = app.extensions["config"].frontend_url
    people = {name: unique_email(f"host{hops}{name}") for name in ("customer", "guest")}
    api, admin = Client(app), Client(app, staff().token)
    new = {"email": people["customer"], "password": PASSWORD, "name": "Ada"}
    api.post("/api/customers/register", new, headers=EVIL, expect=201)
    booking = make_booking(db, email=people["guest"])
    admin.patch(f"/api/bookings/{booking}", {"status": "Confirmed"}, headers=EVIL)
    db.execute("update customers set status = 'active', verified_at = now() where email = %s", [people["customer"]])
    api.post("/api/customers/forgot-password", {"email": people["customer"]}, headers=EVIL)
    deliver()
    for address in people.values():
        mail = str(mailbox.read(mailbox.wait_for(address)["id"]))
        assert site in mail and "host-of-others.example" not in mail, address


def test_no_answer_names_a_foreign_host(app: Flask, customer: Customer):
    """But for the policy of a page, which names the origin it was asked for at: tests/site/test_files.py."""
    api = Client(app, customer.token)
    for path in (
        *("/", "/api/docs", "/api/openapi.json", "/api/ready", "/api/email-status", "/api/nothing", "/api/users/"),
        *("//api//health", "/api//customers/me", "/api/customers/me/export", f"/api/customers/{customer.id}/bookings/"),
        *("/rest/v1/packages", "/rest/v1//packages", "/staff/payments", "/staff/set-password?token=x", "/customers/me"),
    ):
        answer = api.http.get(path, headers={**api.headers, **EVIL}, buffered=True)
        assert answer.status_code in (200, 308, 401, 404), f"{path}: {answer.status}"
        assert b"host-of-others.example" not in answer.data and "host-of-others.example" not in str(answer.headers), (
            f"{path}: {answer.headers}"
        )


@pytest.mark.parametrize(("hops", "proxies"), [("0", ""), ("1", ", 203.0.113.7"), ("2", ", 203.0.113.7, 192.0.2.1")])
def test_a_limit_per_address_is_not_met_by_another_address_each_time(hops: str, proxies: str, app_with):
    """Without a proxy no header counts, with some the entry that the first of ours wrote."""
    app = app_with(PROXY_HOPS=hops, LIMIT_LOGIN="3 per hour")
    body = {"email": unique_email("nobody"), "password": "x" * 10}
    statuses = []
    for n in range(5):
        forged = {name: f"198.51.100.{n}" for name in ADDRESSES} | {"X-Forwarded-For": f"198.51.100.{n}{proxies}"}
        answer = app.test_client().post("/api/customers/login", json=body, headers=forged)
        statuses.append(answer.status_code)
    assert statuses == [401, 401, 401, 429, 429]


def test_a_session_notes_the_address_that_really_asked(api: Client, customer: Customer):
    forged = dict.fromkeys(ADDRESSES, "198.51.100.9")
    customer.api.post("/api/customers/login", {"email": customer.email, "password": customer.password}, headers=forged)
    sessions = customer.api.get(f"/api/customers/{customer.id}/sessions")["sessions"]
    assert {session["ip_address"] for session in sessions} == {customer.api.address}


def test_a_visitor_is_limited_by_the_address_that_really_asked(app: Flask, db: psycopg.Connection):
    row = {"name": unique_email("flood"), "location": "x", "rating": 5, "message": "Fine", "status": "pending"}
    one = Client(app)
    for n in range(21):
        forged = dict.fromkeys(ADDRESSES, f"198.51.100.{n}")
        one.post("/rest/v1/testimonials", row, headers=forged, expect=201 if n < 20 else 429)
