"""Every route with every kind of caller: closed by default, open to whom the table says."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest
from flask import Flask

from service.permissions import ROLES
from tests.client import Client
from tests.factories import PASSWORD, Customer, Staff, make_booking, make_customer, make_staff, unique_email
from tests.sure import fetch_row
from tools.stack import Stack

# Who may call what. A new route fails the first test below until it stands here.
#   everybody      whatever token comes along
#   guests         and customers; a token that is there must be a customer's
#   customer       any who is signed in · "own": the one whose id is in the address
#   staff          any who is signed in; else the permissions that it takes, all of them
#   signed in      a customer or staff
TABLE = """
everybody                         POST   /api/customers/register
everybody                         POST   /api/customers/login
everybody                         POST   /api/customers/verify-email
everybody                         POST   /api/customers/disown
everybody                         POST   /api/customers/resend-verification
everybody                         POST   /api/customers/forgot-password
everybody                         POST   /api/customers/reset-password
everybody                         GET    /api/customers/<customer_id>
customer                          GET    /api/customers/me
customer                          GET    /api/customers/me/export
customer                          POST   /api/customers/change-password
customer                          POST   /api/customers/logout
own                               PUT    /api/customers/<customer_id>
own                               DELETE /api/customers/<customer_id>
own                               GET    /api/customers/<customer_id>/bookings
own                               GET    /api/customers/<customer_id>/bookings/<booking_id>
own                               POST   /api/customers/<customer_id>/bookings/claim
own                               GET    /api/customers/<customer_id>/addresses
own                               POST   /api/customers/<customer_id>/addresses
own                               PUT    /api/customers/<customer_id>/addresses/<address_id>
own                               DELETE /api/customers/<customer_id>/addresses/<address_id>
own                               GET    /api/customers/<customer_id>/preferences
own                               PUT    /api/customers/<customer_id>/preferences
own                               GET    /api/customers/<customer_id>/sessions
own                               DELETE /api/customers/<customer_id>/sessions/<session_id>

everybody                         POST   /api/auth/login
everybody                         POST   /api/auth/accept-invitation
signed in                         POST   /api/auth/verify
staff                             POST   /api/auth/change-password
staff                             GET    /api/auth/sessions
staff                             DELETE /api/auth/sessions/<session_id>
staff                             POST   /api/auth/logout
users_view                        GET    /api/users
users_view                        GET    /api/users/<user_id>
users_create users_change_role    POST   /api/users
users_edit users_change_role      PUT    /api/users/<user_id>
users_edit                        PATCH  /api/users/<user_id>/status
users_delete                      DELETE /api/users/<user_id>

guests                            POST   /api/bookings
everybody                         GET    /api/bookings/<booking_id>
bookings_view                     GET    /api/bookings
bookings_edit                     PATCH  /api/bookings/<booking_id>
bookings_delete                   DELETE /api/bookings/<booking_id>
bookings_delete                   POST   /api/bookings/bulk-delete
bookings_reassign                 POST   /api/bookings/assign
bookings_update_payment           POST   /api/bookings/update-payment

guests                            POST   /api/payments/create-payment-intent
guests                            POST   /api/payments/capture
everybody                         GET    /api/payments/gateways
everybody                         POST   /api/payments/process-webhook
everybody                         POST   /api/payments/process-webhook/<gateway_name>
signed in                         GET    /api/payments/booking/<booking_id>
bookings_view                     GET    /api/payments/desk
bookings_view                     GET    /api/payments/transactions
bookings_view                     GET    /api/payments/transactions/<transaction_id>
bookings_view bookings_export     GET    /api/payments/transactions.csv
bookings_update_payment           PATCH  /api/payments/transactions/<transaction_id>
bookings_edit                     POST   /api/payments/refund
bookings_edit                     POST   /api/payments/reconcile
bookings_edit                     POST   /api/payments/events/<event_id>/replay

destinations_view                 GET    /api/destinations
destinations_view                 GET    /api/destinations/<destination_id>
destinations_create               POST   /api/destinations
destinations_edit                 PUT    /api/destinations/<destination_id>
destinations_delete               DELETE /api/destinations/<destination_id>
packages_view                     GET    /api/packages
packages_view                     GET    /api/packages/<package_id>
packages_create                   POST   /api/packages
packages_edit                     PUT    /api/packages/<package_id>
packages_delete                   DELETE /api/packages/<package_id>
gallery_view                      GET    /api/gallery
gallery_view                      GET    /api/gallery/<picture_id>
gallery_create                    POST   /api/gallery
gallery_edit                      PUT    /api/gallery/<picture_id>
gallery_delete                    DELETE /api/gallery/<picture_id>
testimonials_view                 GET    /api/testimonials
testimonials_view                 GET    /api/testimonials/<testimonial_id>
testimonials_create               POST   /api/testimonials
testimonials_edit                 PUT    /api/testimonials/<testimonial_id>
testimonials_delete               DELETE /api/testimonials/<testimonial_id>
testimonials_approve              PATCH  /api/testimonials/<testimonial_id>/approve

everybody                         GET    /api/settings
everybody                         GET    /api/settings/<key>
settings_edit                     POST   /api/settings
settings_edit                     PUT    /api/settings/<key>
settings_edit                     DELETE /api/settings/<key>
settings_edit                     POST   /api/settings/logo
settings_edit                     DELETE /api/settings/logo

everybody                         GET    /api/health
everybody                         GET    /api/ready
everybody                         GET    /api/email-status
everybody                         GET    /api/openapi.json
everybody                         GET    /api/docs
everybody                         GET    /api/docs/assets/<path:name>
everybody                         GET    /account/not-me
everybody                         GET    /account/not-me.js
everybody                         GET    /staff/payments
everybody                         GET    /staff/payments.js
everybody                         GET    /staff/set-password
everybody                         GET    /staff/set-password.js
everybody                         GET    /rest/v1/<path:resource>
everybody                         POST   /rest/v1/<path:resource>
everybody                         PATCH  /rest/v1/<path:resource>
everybody                         PUT    /rest/v1/<path:resource>
everybody                         DELETE /rest/v1/<path:resource>
"""
ROWS = [re.split(r" {2,}", line, maxsplit=1) for line in TABLE.split("\n") if line]
WHO = {tuple(route.split()): who for who, route in ROWS}
# /rest/v1 asks the database, and tests/security/test_rights.py and tests/site ask there.
ASKED = {route: who for route, who in WHO.items() if not route[1].startswith("/rest/")}
# The site leaves /api out of half of the customers' addresses.
ALIASES = {(m, p.removeprefix("/api")): who for (m, p), who in WHO.items() if p.startswith("/api/customers/")}
UNUSED = {
    "booking_id": "999999",
    "address_id": "00000000-0000-4000-8000-000000000000",
    "session_id": "00000000-0000-4000-8000-000000000000",
    "transaction_id": "00000000-0000-4000-8000-000000000000",
    "event_id": "evt_of_nobody",
    "path:name": "index.css",
}

# The contract's table of roles, written anew: what each role may NOT do.
VERBS = ("view", "create", "edit", "delete")
ALL = {
    *(f"{thing}_{verb}" for thing in ("users", "bookings", "destinations", "packages", "gallery") for verb in VERBS),
    *(f"{thing}_{verb}" for thing in ("blog", "faq", "testimonials", "tickets") for verb in VERBS),
    *("users_change_role", "bookings_reassign", "bookings_update_payment", "bookings_send_reminder"),
    *("bookings_export", "bookings_bulk_actions", "testimonials_approve", "tickets_assign"),
    *("settings_view", "settings_edit", "reports_view", "dashboard_view"),
}
GUIDE = {
    *("bookings_view", "bookings_send_reminder", "destinations_view", "packages_view", "gallery_view", "blog_view"),
    *("testimonials_view", "faq_view", "dashboard_view"),
}
MAY = {
    "Admin": ALL,
    "Manager": ALL
    - {
        *("users_create", "users_edit", "users_delete", "users_change_role", "bookings_delete"),
        *("testimonials_create", "testimonials_edit", "testimonials_delete", "tickets_delete"),
        *("settings_view", "settings_edit"),
    },
    "Guide": GUIDE,
    "Support": GUIDE | {"bookings_create", "bookings_edit", "tickets_view", "tickets_create", "tickets_edit"},
}
CODES = {"none": "token_missing", "invalid": "session_invalid", "ended": "session_ended"}
OWN_PAGE, FOREIGN_PAGE = {"Origin": "http://localhost"}, {"Origin": "https://evil.example"}


@dataclass
class Caller:
    """Somebody with what they send, and what it is where a customer, or staff, is asked for: live, or one of CODES."""

    headers: dict[str, str] = field(default_factory=dict)
    customer: str = "none"
    staff: str = "none"
    id: str = ""
    permissions: set[str] = field(default_factory=set)
    is_foreign: bool = False  # a cookie that another site's page makes the browser send


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Callers:
    """Makes each kind, by the name of its method."""

    def __init__(self, app: Flask, db: psycopg.Connection, stack: Stack) -> None:
        self.app, self.db, self.stack = app, db, stack

    def _customer(self) -> Customer:
        return make_customer(Client(self.app), self.db)

    def _staff(self, role: str = "Admin") -> Staff:
        return make_staff(Client(self.app), self.db, role)

    def nobody(self) -> Caller:
        return Caller()

    def the_sites_null(self) -> Caller:
        return Caller(bearer("null"))

    def nonsense(self) -> Caller:
        return Caller(bearer("not.a.token"), "invalid", "invalid")

    def another_scheme(self) -> Caller:
        return Caller({"Authorization": "Basic YWRtaW46YWRtaW4="}, "invalid", "invalid")

    def the_projects_public_key(self) -> Caller:
        return Caller({**bearer(self.stack.key("anon")), "apikey": self.stack.key("anon")}, "invalid", "invalid")

    def the_projects_service_key(self) -> Caller:
        key = self.stack.key("service_role")
        return Caller({**bearer(key), "apikey": key}, "invalid", "invalid")

    def customer(self) -> Caller:
        person = self._customer()
        return Caller(bearer(person.token), "live", "invalid", person.id)

    def customer_by_cookie(self) -> Caller:
        person = self._customer()
        return Caller({"Cookie": f"jklg_customer={person.token}", **OWN_PAGE}, "live", "none", person.id)

    def customer_by_another_sites_page(self) -> Caller:
        person = self._customer()
        cookie = {"Cookie": f"jklg_customer={person.token}", **FOREIGN_PAGE}
        return Caller(cookie, "live", "none", person.id, is_foreign=True)

    def customer_who_has_not_verified(self) -> Caller:
        given = {"email": unique_email("pending"), "password": PASSWORD, "name": "Ada"}
        answer = Client(self.app).post("/api/customers/register", given, expect=201)
        return Caller(bearer(answer["token"]), "live", "invalid", answer["customerId"])

    def customer_at_anothers_address(self) -> Caller:
        return Caller(bearer(self._customer().token), "live", "invalid", self._customer().id)

    def customer_who_is_suspended(self) -> Caller:
        person = self._customer()
        self.db.execute("update customers set status = 'suspended' where id = %s", [person.id])
        return Caller(bearer(person.token), "ended", "invalid", person.id)

    def customer_who_logged_out(self) -> Caller:
        person = self._customer()
        person.api.post("/api/customers/logout")
        return Caller(bearer(person.token), "ended", "invalid", person.id)

    def customer_in_the_cookie_of_staff(self) -> Caller:
        person = self._customer()
        return Caller({"Cookie": f"jklg_staff={person.token}", **OWN_PAGE}, "none", "invalid", person.id)

    def staff_in_the_cookie_of_a_customer(self) -> Caller:
        return Caller({"Cookie": f"jklg_customer={self._staff().token}", **OWN_PAGE}, "invalid", "none")

    def staff_who_is_deactivated(self) -> Caller:
        person, _ = self._staff(), self._staff()  # the last Admin cannot be
        self.db.execute("update admin_users set status = 'Inactive' where id = %s", [person.id])
        return Caller(bearer(person.token), "invalid", "ended")

    def staff_who_logged_out(self) -> Caller:
        person = self._staff()
        person.api.post("/api/auth/logout")
        return Caller(bearer(person.token), "invalid", "ended")

    def staff_whose_session_is_over(self) -> Caller:
        person = self._staff()
        self.db.execute("update staff_sessions set expires_at = now() where staff_id = %s", [person.id])
        return Caller(bearer(person.token), "invalid", "ended")

    def admin(self) -> Caller:
        return Caller(bearer(self._staff().token), "invalid", "live", permissions=MAY["Admin"])

    def manager(self) -> Caller:
        return Caller(bearer(self._staff("Manager").token), "invalid", "live", permissions=MAY["Manager"])

    def guide(self) -> Caller:
        return Caller(bearer(self._staff("Guide").token), "invalid", "live", permissions=MAY["Guide"])

    def support(self) -> Caller:
        return Caller(bearer(self._staff("Support").token), "invalid", "live", permissions=MAY["Support"])

    def guide_by_cookie(self) -> Caller:
        cookie = {"Cookie": f"jklg_staff={self._staff('Guide').token}", **OWN_PAGE}
        return Caller(cookie, "none", "live", permissions=MAY["Guide"])

    def admin_by_another_sites_page(self) -> Caller:
        cookie = {"Cookie": f"jklg_staff={self._staff().token}", **FOREIGN_PAGE}
        return Caller(cookie, "none", "live", permissions=MAY["Admin"], is_foreign=True)


CALLERS = [name for name in vars(Callers) if not name.startswith("_")]


def refusal(who: str, method: str, path: str, caller: Caller, is_own: bool) -> tuple[int, str] | None:
    """Status and code with which the caller is refused; None where they come through."""
    match who:
        case "everybody":
            return None
        case "guests":
            # By a cookie alone the page of a payment does not say that somebody is signed in.
            is_guest = path.endswith(("create-payment-intent", "/capture")) and "Authorization" not in caller.headers
            state = "guest" if is_guest or caller.customer == "none" else caller.customer
        case "customer" | "own":
            state = caller.customer
        case "signed in":
            state = "live" if "live" in (caller.customer, caller.staff) else "invalid"
        case _:
            state = caller.staff
    if state in CODES:
        return 401, CODES[state]
    if state == "live" and caller.is_foreign and method != "GET":
        return 403, "csrf"
    if who == "own" and not is_own:
        return 403, "forbidden"
    if any(needed not in caller.permissions for needed in permissions_of(who)):
        return 403, "insufficient_permissions"
    return None


def permissions_of(who: str) -> list[str]:
    return [] if who in ("guests", "customer", "own", "signed in", "staff") else who.split()


def routes(app: Flask) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, rule.rule


def filled(path: str, customer_id: str) -> str:
    ids = {"customer_id": customer_id, **UNUSED}
    return re.sub(r"<([\w:]+)>", lambda name: ids.get(name[1], "999999"), path)


@pytest.fixture
def callers(app: Flask, db: psycopg.Connection, stack: Stack) -> Callers:
    return Callers(app, db, stack)


def test_every_route_is_in_the_table(app: Flask):
    assert set(routes(app)) == WHO.keys() | ALIASES.keys()


@pytest.mark.parametrize("name", CALLERS)
def test_each_caller_comes_through_where_the_table_says(name: str, callers: Callers):
    caller = getattr(callers, name)()
    is_own = name != "customer_at_anothers_address"
    person = caller.id or callers._customer().id
    for (method, path), who in sorted({**ASKED, **ALIASES}.items(), key=lambda row: row[0][1].endswith("/logout")):
        if path == "/customers/logout" and caller.customer == "live" and not caller.is_foreign:
            continue  # one of the two ends the session
        client = Client(callers.app)  # an address of its own, so that no limit is met
        answer = client.http.open(
            filled(path, person),
            method=method,
            headers=caller.headers,
            json={} if method != "GET" else None,
            environ_base={"REMOTE_ADDR": client.address},
            buffered=True,
        )
        told = f"{name}: {method} {path}: {answer.status} {answer.text[:300]}"
        expected = refusal(who, method, path, caller, is_own or who == "customer")
        if expected is None:
            assert answer.status_code not in (401, 403), told
            assert answer.status_code < 500 or path == "/api/ready", told
            continue
        status, code = expected
        body = answer.get_json()
        assert (answer.status_code, body["code"], set(body)) == (status, code, {"error", "code"}), told
        if code == "insufficient_permissions":
            missing = next(needed for needed in permissions_of(who) if needed not in caller.permissions)
            assert body["error"] == f"Insufficient permissions. Required: {missing}", told


def test_an_address_without_a_customers_id_is_none(customer: Customer):
    for (method, path), who in ASKED.items():
        if who == "own":
            customer.api.call(method, filled(path, "no-id"), expect=404)


def test_a_head_is_guarded_as_its_get(api: Client, customer: Customer):
    for method, path in ASKED:
        if method == "GET" and "ready" not in path:
            address = filled(path, customer.id)
            get, head = (
                api.http.open(address, method=asked, environ_base={"REMOTE_ADDR": api.address}, buffered=True)
                for asked in ("GET", "HEAD")
            )
            assert (head.status_code, head.data) == (get.status_code, b""), path


def test_what_is_anothers_is_not_there_below_the_own_address(api: Client, customer: Customer, db: psycopg.Connection):
    """The own id in the address, and the id of another customer's address, session or booking behind it."""
    other = make_customer(api, db)
    given = {"label": "Home", "street": "1 Main", "city": "Oslo", "country": "NO"}
    theirs = other.api.post(f"/api/customers/{other.id}/addresses", given, expect=201)["address"]["id"]
    booking = make_booking(db, customer_id=other.id)
    (session,) = fetch_row(db, "select id from customer_sessions where customer_id = %s", [other.id])
    own = f"/api/customers/{customer.id}"
    assert customer.api.put(f"{own}/addresses/{theirs}", {"city": "X"}, expect=404)["code"] == "address_not_found"
    assert customer.api.delete(f"{own}/addresses/{theirs}", expect=404)["code"] == "address_not_found"
    assert customer.api.delete(f"{own}/sessions/{session}", expect=404)["code"] == "session_not_found"
    assert customer.api.get(f"{own}/bookings/{booking}", expect=404)["code"] == "booking_not_found"
    assert customer.api.get(f"/api/payments/booking/{booking}", expect=403)["code"] == "forbidden"
    addresses = other.api.get(f"/api/customers/{other.id}/addresses")["addresses"]
    assert [row["city"] for row in addresses] == ["Oslo"]


def test_the_roles_are_the_contracts(db: psycopg.Connection):
    rows = db.execute("select role, permission from app.role_permissions").fetchall()
    assert {role: {permission for r, permission in rows if r == role} for role in ROLES} == MAY


def test_no_account_has_a_role_that_nobody_knows(db: psycopg.Connection):
    with pytest.raises(psycopg.errors.CheckViolation):
        db.execute("insert into admin_users (name, email, role) values ('X', 'x@example.com', 'Editor')")
