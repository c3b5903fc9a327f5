"""Every staff route with every role: who lacks a permission is told which, and who has it gets past the guard."""

import psycopg
import pytest

from service.permissions import ROLES
from tests.client import Client
from tests.factories import Staff, make_staff

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
CONTENT = ("destinations", "packages", "gallery", "testimonials")
ROUTES = [
    ("GET", "/api/users", ["users_view"]),
    ("GET", "/api/users/999999", ["users_view"]),
    ("POST", "/api/users", ["users_create", "users_change_role"]),
    ("PUT", "/api/users/999999", ["users_edit", "users_change_role"]),
    ("PATCH", "/api/users/999999/status", ["users_edit"]),
    ("DELETE", "/api/users/999999", ["users_delete"]),
    ("GET", "/api/bookings", ["bookings_view"]),
    ("PATCH", "/api/bookings/999999", ["bookings_edit"]),
    ("DELETE", "/api/bookings/999999", ["bookings_delete"]),
    ("POST", "/api/bookings/assign", ["bookings_reassign"]),
    ("POST", "/api/bookings/update-payment", ["bookings_update_payment"]),
    ("POST", "/api/bookings/bulk-delete", ["bookings_delete"]),
    ("PATCH", "/api/testimonials/999999/approve", ["testimonials_approve"]),
    ("POST", "/api/settings", ["settings_edit"]),
    ("PUT", "/api/settings/nothing", ["settings_edit"]),
    ("DELETE", "/api/settings/nothing", ["settings_edit"]),
    ("POST", "/api/settings/logo", ["settings_edit"]),
    ("GET", "/api/payments/transactions", ["bookings_view"]),
    ("GET", "/api/payments/transactions/999999", ["bookings_view"]),
    ("POST", "/api/payments/refund", ["bookings_edit"]),
    *(("GET", f"/api/{name}", [f"{name}_view"]) for name in CONTENT),
    *(("GET", f"/api/{name}/999999", [f"{name}_view"]) for name in CONTENT),
    *(("POST", f"/api/{name}", [f"{name}_create"]) for name in CONTENT),
    *(("PUT", f"/api/{name}/999999", [f"{name}_edit"]) for name in CONTENT),
    *(("DELETE", f"/api/{name}/999999", [f"{name}_delete"]) for name in CONTENT),
]


@pytest.fixture(scope="module")
def people(app, db: psycopg.Connection) -> dict[str, Staff]:
    return {role: make_staff(Client(app), db, role) for role in MAY}


@pytest.mark.parametrize("role", MAY)
def test_each_route_asks_for_its_permission(role: str, people: dict[str, Staff]):
    api = people[role].api
    for method, path, needed in ROUTES:
        missing = [permission for permission in needed if permission not in MAY[role]]
        answer = api.http.open(
            path, method=method, headers={"Authorization": f"Bearer {api.token}"}, json={} if method != "GET" else None
        )
        if missing:
            assert answer.status_code == 403, f"{role} {method} {path}: {answer.status}"
            assert answer.json == {
                "error": f"Insufficient permissions. Required: {missing[0]}",
                "code": "insufficient_permissions",
            }
        else:
            assert answer.status_code in (200, 400, 404), f"{role} {method} {path}: {answer.status} {answer.text}"


def test_each_route_asks_for_a_token_before_it_looks_at_the_body(api: Client):
    for method, path, _ in ROUTES:
        body = api.call(method, path, {} if method != "GET" else None, expect=401)
        assert body == {"error": "Please sign in.", "code": "token_missing"}


def test_the_roles_are_the_contracts(people: dict[str, Staff], db: psycopg.Connection):
    rows = db.execute("select role, permission from app.role_permissions").fetchall()
    assert {role: {permission for r, permission in rows if r == role} for role in ROLES} == MAY


def test_no_account_has_a_role_that_nobody_knows(db: psycopg.Connection):
    with pytest.raises(psycopg.errors.CheckViolation):
        db.execute("insert into admin_users (name, email, role) values ('X', 'x@example.com', 'Editor')")
