"""`/rest/v1` by the cookies of a browser: a customer's, one of staff, both, and such as are good for nothing."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.client import Client
from tests.factories import Customer, Staff, make_booking, unique_email
from tests.site.callers import OWN, RETURNING, cookie
from tests.sure import fetch_row

# What the site's first page reads at once, and what it asks the answers to be.
FIRST_LOAD = [
    "site_settings?select=*",
    "site_settings?select=value&key=eq.hero_slides",
    "packages?select=*&featured=eq.true&limit=4",
    "destinations?select=*&featured=eq.true&limit=6",
    "testimonials?select=*&status=eq.published&order=id.desc&limit=10",
    "gallery?select=*&limit=6",
]


def as_customer(person: Customer) -> dict[str, str]:
    return {"Cookie": f"jklg_customer={person.token}", **OWN, **RETURNING}


def booking(email: str) -> dict[str, Any]:
    states = {"status": "Pending", "payment_status": "Pending", "source": "Website", "message": ""}
    days = {"travel_date": "2031-05-01", "booking_date": "2030-01-01"}
    return {"name": "Ada", "email": email, "phone": "", "package": "Anywhere", "amount": 1, **days, **states}


def own_bookings(person: Customer) -> set[str]:
    return {row["id"] for row in person.api.get(f"/api/customers/{person.id}/bookings")["bookings"]}


def test_a_booking_made_while_signed_in_is_the_customers(api: Client, customer: Customer, db: psycopg.Connection):
    for email in (customer.email.upper(), unique_email("friend")):
        (row,) = api.post("/rest/v1/bookings", [booking(email)], headers=as_customer(customer), expect=201)
        assert row["id"] in own_bookings(customer)
    other = fetch_row(db, "select customer_id from bookings where email = %s", [email])
    assert str(other[0]) == customer.id


def test_a_customers_cookie_gives_no_other_rights(api: Client, customer: Customer, db: psycopg.Connection):
    make_booking(db, customer_id=customer.id)
    assert api.get("/rest/v1/bookings", headers=as_customer(customer)) == []
    api.get("/rest/v1/customers", headers=as_customer(customer), expect=401)
    bare = {"Cookie": f"jklg_customer={customer.token}"}
    for foreign in (bare, {**bare, "Origin": "https://evil.example"}):
        assert api.post("/rest/v1/bookings", booking("x@example.com"), headers=foreign, expect=403)["code"] == "csrf"
        api.get("/rest/v1/packages", headers=foreign)


def test_a_customers_session_that_ended_is_a_visitors(api: Client, customer: Customer, db: psycopg.Connection):
    customer.api.post("/api/customers/logout")
    for stale in (customer.token, "x.y.z"):
        headers = {**as_customer(customer), "Cookie": f"jklg_customer={stale}"}
        email = unique_email("stranger")
        api.post("/rest/v1/bookings", booking(email), headers=headers, expect=201)
        assert fetch_row(db, "select customer_id from bookings where email = %s", [email]) == (None,)
    assert "jklg_customer=;" in api.last.headers["Set-Cookie"]


@pytest.mark.parametrize("role", ["Guide", "Support", "Manager", "Admin"])
def test_a_cookie_of_staff_does_not_close_the_public_forms(role: str, people, api: Client, customer: Customer, db):
    headers = {**cookie(people[role]), **RETURNING}
    if role == "Guide":  # who is a customer as well
        headers["Cookie"] += f"; jklg_customer={customer.token}"
    (row,) = api.post("/rest/v1/bookings", [booking(unique_email("both"))], headers=headers, expect=201)
    (owner,) = fetch_row(db, "select customer_id from bookings where id = %s", [row["id"]])
    assert (owner is not None) == (role == "Guide")
    sent = {"location": "Website User", "rating": 5, "message": "Fine", "date": "2030-01-01", "avatar": ""}
    said = {"name": unique_email(role), "status": "pending", **sent}
    api.post("/rest/v1/testimonials", said, headers={**cookie(people[role]), "Prefer": "return=minimal"}, expect=201)
    asked = {"subject": "Visa?", "customer": "Eve", "email": "eve@example.com", "status": "Open", "assigned_to": None}
    ticket = {**asked, "priority": "Medium", "category": "Information", "last_update": "2030-01-01T00:00:00Z"}
    api.post("/rest/v1/support_tickets", [ticket], headers=headers, expect=201)


def test_a_value_that_staff_may_not_set_is_not_written_by_a_visitor(people: dict[str, Staff], api: Client, db):
    row = {**booking(unique_email("value")), "payment_status": "Paid"}
    api.post("/rest/v1/bookings", row, headers={"Prefer": "return=minimal"}, expect=201)  # where it counts for nothing
    row["email"] = unique_email("value")
    body = api.post("/rest/v1/bookings", row, headers=cookie(people["Support"]), expect=403)
    assert body["message"] == "Insufficient permissions. Required: bookings_update_payment"
    assert db.execute("select from bookings where email = %s", [row["email"]]).fetchall() == []


def test_what_neither_staff_nor_a_visitor_may_is_refused_as_staff(people: dict[str, Staff], api: Client):
    headers = {**cookie(people["Manager"]), **RETURNING}
    said = {"name": "Eve", "message": "Fine", "rating": 5, "status": "published", "image": "https://pictures.example/a"}
    body = api.post("/rest/v1/testimonials", said, headers=headers, expect=403)
    assert body["message"] == "Insufficient permissions. Required: testimonials_create"
    body = api.post("/rest/v1/packages", {"title": "x"}, headers={**cookie(people["Guide"])}, expect=403)
    assert body["message"] == "Insufficient permissions. Required: packages_create"
    large = b"[" + b" " * 1_000_001
    api.post("/rest/v1/bookings", data=large, content_type="application/json", headers=headers, expect=413)


def test_the_first_page_after_a_session_of_staff_ended(staff, app, db: psycopg.Connection):
    db.execute("""insert into site_settings (key, value) values ('hero_slides', '[{"title": "x"}]'),
        ('general_settings', '{"siteName": "x"}') on conflict (key) do nothing""")
    guide = staff("Guide")
    guide.api.post("/api/auth/logout")

    def load(path: str) -> tuple[int, str]:
        client = Client(app)
        client.get(f"/rest/v1/{path}", headers={"Cookie": f"jklg_staff={guide.token}"})
        return client.last.status_code, client.last.headers.get("Set-Cookie", "")

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(load, FIRST_LOAD * 3))
    assert [status for status, _ in answers] == [200] * len(answers)
    assert any("jklg_staff=;" in taken for _, taken in answers)


def test_a_session_of_staff_that_ended_gives_nothing(staff, app, db: psycopg.Connection):
    guide = staff("Guide")
    headers = cookie(guide)
    api = Client(app)
    path = f"/rest/v1/bookings?id=eq.{make_booking(db)}"
    assert len(api.get(path, headers=headers)) == 1
    guide.api.post("/api/auth/logout")
    assert api.get(path, headers=headers) == []  # as every visitor
    assert "jklg_staff=;" in api.last.headers["Set-Cookie"]
    api.post("/rest/v1/bookings", [booking(unique_email("after"))], headers={**headers, **RETURNING}, expect=201)
    body = api.patch(path, {"notes": "x"}, headers=headers, expect=401)
    assert (body["code"], body["hint"]) == ("PT401", "session_ended")
    assert api.get("/rest/v1/admin_users", headers=headers, expect=401)["hint"] == "session_ended"
    for broken in ("x.y.z", staff("Admin").token + "x"):
        assert api.get(path, headers={"Cookie": f"jklg_staff={broken}"}) == []
        assert "jklg_staff=;" in api.last.headers["Set-Cookie"]
    demoted = staff("Admin")
    db.execute("update admin_users set role = 'Guide' where id = %s", [demoted.id])
    api.get("/rest/v1/admin_users", headers=cookie(demoted), expect=401)


def test_a_broken_check_is_told_in_its_sentence(people: dict[str, Staff], api: Client, db: psycopg.Connection):
    path, headers = f"/rest/v1/bookings?id=eq.{make_booking(db)}", cookie(people["Admin"])
    body = api.patch(path, {"phone": "1" * 51}, headers={**headers, "Accept-Encoding": "gzip"}, expect=400)
    sentence = "phone: Must be one line of at most 50 characters."
    assert body == {"code": "23514", "message": sentence, "details": None, "hint": None}
    assert api.last.headers["Content-Type"].startswith("application/json")
    asked = {"subject": "x", "customer": "x", "email": "no address"}
    body = api.post("/rest/v1/support_tickets", asked, expect=400)
    assert (body["code"], body["message"]) == ("23514", "email: Is not a valid e-mail address.")
    body = api.get("/rest/v1/packages?nothing=eq.1", expect=400)
    assert (body["code"], "nothing" in body["message"]) == ("unknown_column", True)


def test_the_database_writes_down_who_acted_from_where(people: dict[str, Staff], staff, api: Client, db):
    admin, other = people["Admin"], staff("Guide")
    forged = {"X-Actor": '{"name": "forged", "ip": "1.1.1.1"}', "User-Agent": "Walker/1"}
    api.patch(
        f"/rest/v1/admin_users?id=eq.{other.id}", {"role": "Support"}, headers={**cookie(admin), **forged}, expect=204
    )
    columns = "actor, ip_address, user_agent, request_id"
    noted = fetch_row(db, f"select {columns} from staff_events where staff_id = %s and name = 'changed'", [other.id])
    assert noted == (admin.email, api.address, "Walker/1", api.last.headers["X-Request-Id"])
