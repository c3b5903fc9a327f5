"""Somebody else made an account with one's address, and one follows its link all the same."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask import Flask

from tests.client import Client
from tests.factories import PASSWORD, make_booking, unique_email
from tests.sure import fetch_row

VERIFY, LOGIN, ME = "/api/customers/verify-email", "/api/customers/login", "/api/customers/me"
DISOWN, RESEND = "/api/customers/disown", "/api/customers/resend-verification"
FORGOT, RESET = "/api/customers/forgot-password", "/api/customers/reset-password"
DAY = "2027-06-01"
NEW = "an entirely new one"
Link = Callable[..., dict[str, str]]


def earlier(db: psycopg.Connection, email: str) -> str:
    """A booking that the owner of the address made as a guest."""
    return make_booking(db, email=email, travel_date=DAY)


def owner_of(db: psycopg.Connection, booking: str) -> Any:
    return fetch_row(db, "select customer_id::text from bookings where id::text = %s", [booking])[0]


@pytest.fixture
def squat(api: Client, newcomer: dict[str, str], link: Link) -> Callable[[], Client]:
    """Lets somebody follow the link of who registered, who then signs in."""

    def verify_elsewhere() -> Client:
        api.post(VERIFY, link(newcomer["email"]))
        return api.signed_in(api.post(LOGIN, newcomer)["token"])

    return verify_elsewhere


def test_the_registrants_session_ends_when_the_link_is_followed_elsewhere(api, newcomer, customer, link, events):
    registrant = api.signed_in(newcomer["token"])
    registrant.get(ME)
    customer.api.post(VERIFY, link(newcomer["email"]))  # with a token, but another account's
    assert registrant.get(ME, expect=401)["code"] == "session_ended"
    customer.api.get(ME)
    assert events(newcomer["customerId"]) == {"registered": 1, "verified": 1}


@pytest.mark.parametrize("carried", ["token", "cookie"])
def test_the_browser_that_registered_stays_signed_in_and_gets_its_earlier_bookings(app: Flask, db, link, carried):
    email = unique_email()
    booking = earlier(db, email)
    browser = app.test_client()
    own = {"Origin": app.extensions["config"].cors_origins[0]}
    given = {"email": email, "password": PASSWORD, "name": "Ada"}
    answer = browser.post("/api/customers/register", json=given, headers=own)
    assert "HttpOnly" in answer.headers["Set-Cookie"] and "SameSite=Lax" in answer.headers["Set-Cookie"]
    made: dict[str, str] = answer.get_json()
    headers = {"Authorization": "Bearer null"}  # opened from a mail, the site has not found its token yet
    if carried == "token":
        browser.delete_cookie("jklg_customer")
        headers = {"Authorization": f"Bearer {made['token']}"}
    assert browser.post(VERIFY, json=link(email), headers={**own, **headers}).status_code == 200
    path = f"/api/customers/{made['customerId']}/bookings"
    assert [row["id"] for row in browser.get(path, headers=headers).get_json()["bookings"]] == [booking]


@pytest.mark.parametrize("useless", ["expired", "foreign page's"])
def test_a_session_that_is_over_or_not_the_pages_own_proves_nothing(app: Flask, db, newcomer, link, useless):
    booking = earlier(db, newcomer["email"])
    browser = app.test_client()
    browser.set_cookie("jklg_customer", newcomer["token"])
    origin = "https://evil.example" if useless == "foreign page's" else app.extensions["config"].cors_origins[0]
    if useless == "expired":
        db.execute("update customer_sessions set expires_at = now() where customer_id = %s", [newcomer["customerId"]])
    assert browser.post(VERIFY, json=link(newcomer["email"]), headers={"Origin": origin}).status_code == 200
    assert owner_of(db, booking) is None


def test_nothing_from_before_the_account_is_the_squatters(db, newcomer, squat):
    email, customer_id = newcomer["email"], newcomer["customerId"]
    booking = earlier(db, email)
    ticket = "insert into support_tickets (subject, customer, email) values ('Visa?', 'The Victim', %s)"
    db.execute(ticket, [email])
    squatter = squat()
    squatter.get(f"/api/customers/{customer_id}/bookings/{booking}", expect=404)
    # Knowing the old password, and changing it, proves nothing either.
    squatter.post("/api/customers/change-password", {"oldPassword": PASSWORD, "newPassword": NEW})
    assert squatter.get(f"/api/customers/{customer_id}/bookings")["bookings"] == []
    document = squatter.get("/api/customers/me/export")
    assert (document["bookings"], document["tickets"]) == ([], [])
    squatter.delete(f"/api/customers/{customer_id}", {"password": NEW})
    assert fetch_row(db, "select name, email from bookings where id::text = %s", [booking]) == ("Ada Byron", email)
    assert fetch_row(db, "select customer from support_tickets where email = %s", [email]) == ("The Victim",)


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_password_by_a_mailed_link_hands_the_earlier_bookings_over(api, db, newcomer, link, order):
    email = newcomer["email"]
    booking = earlier(db, email)
    api.post(FORGOT, {"email": email})
    steps = {
        "verify": lambda: api.post(VERIFY, link(email)),
        "reset": lambda: api.post(RESET, {**link(email, "password-reset"), "newPassword": NEW}),
    }
    first, last = ("verify", "reset") if order == "after" else ("reset", "verify")
    steps[first]()
    assert owner_of(db, booking) is None
    steps[last]()
    assert owner_of(db, booking) == newcomer["customerId"]
    api.post(LOGIN, newcomer, expect=401)


def test_staff_who_verify_by_hand_vouch_for_the_owner(db, newcomer):
    booking = earlier(db, newcomer["email"])
    db.execute("select verify_customer_by_hand(%s)", [newcomer["email"]])
    assert owner_of(db, booking) == newcomer["customerId"]


def test_a_booking_is_claimed_by_its_id_and_its_travel_date_and_it_alone(db, newcomer, squat, events):
    path = f"/api/customers/{newcomer['customerId']}/bookings/claim"
    mine, other = (earlier(db, email) for email in (newcomer["email"].upper(), newcomer["email"]))
    squatter = squat()
    claimed = squatter.post(path, {"bookingId": mine, "travelDate": DAY})
    assert (claimed["booking"]["id"], claimed["booking"]["startDate"]) == (mine, DAY)
    assert squatter.post(path, {"bookingId": mine, "travelDate": DAY}) == claimed
    assert (owner_of(db, mine), owner_of(db, other)) == (newcomer["customerId"], None)
    assert events(newcomer["customerId"])["booking_claimed"] == 2


def test_a_wrong_claim_says_nothing_and_counts(db, customer, newcomer, squat, client_with, events):
    squatter = squat()
    strangers, mine = make_booking(db, travel_date=DAY), make_booking(db, email=customer.email, travel_date=DAY)
    own = make_booking(db, customer_id=newcomer["customerId"], travel_date=DAY)
    nobody = "00000000-0000-4000-8000-000000000000"
    path = f"/api/customers/{newcomer['customerId']}/bookings/claim"
    answers = [
        squatter.post(path, {"bookingId": booking, "travelDate": day}, expect=404)
        for booking, day in ((strangers, DAY), (mine, DAY), (nobody, DAY), ("17000", DAY), (own, "2027-06-02"))
    ]
    assert answers == [{"error": "Booking not found", "code": "booking_not_found"}] * 5
    assert events(newcomer["customerId"])["claim_refused"] == 5
    strict = client_with(LIMIT_BOOKING_CLAIM="6 per day").signed_in(squatter.token)
    strict.post(path, {"bookingId": nobody, "travelDate": DAY}, expect=404)
    assert strict.post(path, {"bookingId": nobody, "travelDate": DAY}, expect=429)["code"] == "too_many_attempts"
    customer.api.post(path, {"bookingId": mine, "travelDate": DAY}, expect=403)
    assert squatter.post(path, {}, expect=400)["details"] == {"bookingId": "Is required.", "travelDate": "Is required."}


def test_an_unproven_account_claims_nothing(api, db, newcomer):
    booking = earlier(db, newcomer["email"])
    path = f"/api/customers/{newcomer['customerId']}/bookings/claim"
    api.signed_in(newcomer["token"]).post(path, {"bookingId": booking, "travelDate": DAY}, expect=404)


def test_it_was_not_me_deletes_the_account_once(api, db, newcomer, link, events):
    email, clicked = newcomer["email"], link(newcomer["email"])
    booking = earlier(db, email)
    assert api.post(DISOWN, clicked) == {"message": "The account is deleted. Nobody can use it any more."}
    api.signed_in(newcomer["token"]).get(ME, expect=401)
    assert events(newcomer["customerId"]) == {"registered": 1, "disowned": 1, "deleted": 1}
    assert fetch_row(db, "select name, email from bookings where id::text = %s", [booking]) == ("Ada Byron", email)
    invalid = {"error": "This link is not valid.", "code": "token_invalid"}
    assert api.post(DISOWN, clicked, expect=400) == invalid
    assert api.post(VERIFY, clicked, expect=400) == invalid
    api.post("/api/customers/register", {"email": email, "password": PASSWORD, "name": "Ada"}, expect=201)
    assert api.post(DISOWN, clicked, expect=400) == invalid


def test_it_was_not_me_works_by_an_old_mail_too_and_by_no_guess(api, newcomer, customer, link):
    old = link(newcomer["email"], ttl=0)
    api.post(RESEND, {"email": newcomer["email"]})
    link(newcomer["email"])
    for guess in ({**old, "token": "guess"}, {**old, "customerId": customer.id}):
        assert api.post(DISOWN, guess, expect=400)["code"] == "token_invalid"
    api.post(DISOWN, old)
    api.signed_in(newcomer["token"]).get(ME, expect=401)


def test_it_was_not_me_deletes_nobody_who_has_proven_the_address(api, newcomer, link):
    clicked = link(newcomer["email"])
    mine = api.signed_in(newcomer["token"])
    mine.post(VERIFY, clicked)
    assert api.post(DISOWN, clicked, expect=409)["code"] == "already_verified"
    mine.get(ME)


def test_of_twenty_clicks_at_once_one_deletes(newcomer, link, race):
    answers = race(20, "POST", DISOWN, link(newcomer["email"]))
    assert sorted(status for status, _ in answers) == [200] + [400] * 19


def test_looking_at_the_page_changes_nothing(api, newcomer, link):
    page = api.get("/account/not-me", query_string=link(newcomer["email"]))
    assert b"<button>" in page and api.last.mimetype == "text/html"
    assert "form-action 'none'" in api.last.headers["Content-Security-Policy"]
    assert api.last.headers["Referrer-Policy"] == "no-referrer"
    assert b"/api/customers/disown" in api.get("/account/not-me.js")
    api.get(DISOWN, query_string=link(newcomer["email"]), expect=404)
    api.signed_in(newcomer["token"]).get(ME)
