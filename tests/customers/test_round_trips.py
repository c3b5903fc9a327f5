"""What each call costs: PostgREST requests and bcrypt runs."""

import bcrypt
import pytest

from tests.factories import PASSWORD, make_booking, unique_email

HOME = {"label": "Home", "street": "1 Main", "city": "Oslo", "country": "NO"}
NEW = "an entirely new one"


@pytest.fixture
def hashings(monkeypatch) -> list[str]:
    """The bcrypt runs made while a test runs."""
    made: list[str] = []
    for name in ("hashpw", "checkpw"):
        real = getattr(bcrypt, name)

        def counted(*args, real=real, name=name):
            made.append(name)
            return real(*args)

        monkeypatch.setattr(bcrypt, name, counted)
    return made


def test_each_call_stays_within_its_budget(api, db, customer, newcomer, link, round_trips, hashings):
    me = customer.api
    path = f"/api/customers/{customer.id}"
    booking = make_booking(db, customer_id=customer.id)
    address = me.post(f"{path}/addresses", HOME, expect=201)["address"]["id"]
    verification = link(newcomer["email"])
    api.post("/api/customers/forgot-password", {"email": newcomer["email"]})
    reset = {**link(newcomer["email"], "password-reset"), "newPassword": NEW}
    register = {"email": unique_email(), "password": PASSWORD, "name": "Ada"}
    change = {"oldPassword": PASSWORD, "newPassword": NEW}
    login = {"email": customer.email, "password": PASSWORD}
    api.post("/api/customers/login", login)  # the dummy hash and the connections are there from here on
    other = me.get(f"{path}/sessions")["sessions"][0]["id"]

    for name, call, requests, hashes in [
        ("register", lambda: api.post("/api/customers/register", register, expect=201), 1, 1),
        ("login", lambda: api.post("/api/customers/login", login), 2, 1),
        ("wrong login", lambda: api.post("/api/customers/login", {**login, "password": "x"}, expect=401), 2, 1),
        ("unknown login", lambda: api.post("/api/customers/login", {**login, "email": "x@x.io"}, expect=401), 2, 1),
        ("verify", lambda: api.post("/api/customers/verify-email", verification), 1, 0),
        ("resend", lambda: api.post("/api/customers/resend-verification", {"email": unique_email()}), 1, 0),
        ("forgot", lambda: api.post("/api/customers/forgot-password", {"email": unique_email()}), 1, 0),
        ("reset", lambda: api.post("/api/customers/reset-password", reset), 1, 1),
        ("me", lambda: me.get("/api/customers/me"), 1, 0),
        ("public", lambda: api.get(path), 1, 0),
        ("update", lambda: me.put(path, {"name": "Ada"}), 2, 0),
        ("bookings", lambda: me.get(f"{path}/bookings"), 2, 0),
        ("booking", lambda: me.get(f"{path}/bookings/{booking}"), 2, 0),
        ("addresses", lambda: me.get(f"{path}/addresses"), 2, 0),
        ("add address", lambda: me.post(f"{path}/addresses", HOME, expect=201), 2, 0),
        ("update address", lambda: me.put(f"{path}/addresses/{address}", {"city": "Bergen"}), 2, 0),
        ("delete address", lambda: me.delete(f"{path}/addresses/{address}"), 2, 0),
        ("preferences", lambda: me.get(f"{path}/preferences"), 2, 0),
        ("set preferences", lambda: me.put(f"{path}/preferences", {"sms": True}), 2, 0),
        ("sessions", lambda: me.get(f"{path}/sessions"), 2, 0),
        ("end session", lambda: me.delete(f"{path}/sessions/{other}"), 2, 0),
        ("export", lambda: me.get("/api/customers/me/export"), 2, 0),
        ("change", lambda: me.post("/api/customers/change-password", change), 2, 2),
        ("wrong deletion", lambda: me.delete(path, {"password": "x"}, expect=401), 2, 1),
        ("deletion", lambda: me.delete(path, {"password": NEW}), 2, 1),
    ]:  # fmt: skip
        round_trips.clear()
        hashings.clear()
        call()
        assert (len(round_trips), len(hashings)) == (requests, hashes), (name, round_trips, hashings)


def test_logout_costs_two(customer, round_trips):
    customer.api.post("/api/customers/logout")
    assert len(round_trips) == 2
