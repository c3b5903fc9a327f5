"""Staff accounts are listed, made, changed and deleted, and a last Admin always stays."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.client import Client
from tests.factories import STAFF_PASSWORD, make_staff, unique_email

PASSWORD = "a new horse 44 staple"
FIELDS = {"id", "name", "email", "phone", "role", "avatar", "status", "last_login", "created_at"}


def new_user(**changes: object) -> dict:
    return {
        "name": "Tenzin Dorje",
        "email": unique_email("tenzin"),
        "phone": "+977 1 555",
        "role": "Guide",
        "password": PASSWORD,
        **changes,
    }


def test_an_account_is_made_and_can_sign_in(staff, api: Client):
    given = new_user(avatar=None, is_admin=True)
    body = staff().api.post("/api/users", given, expect=201)
    assert (body["success"], body["message"]) == (True, "User created successfully")
    user = body["data"]
    assert set(user) == FIELDS
    assert (user["email"], user["role"], user["status"]) == (given["email"], "Guide", "Active")
    api.post("/api/auth/login", {"email": given["email"], "password": PASSWORD})


def test_an_address_has_one_account(staff):
    admin = staff()
    given = new_user()
    admin.api.post("/api/users", given, expect=201)
    body = admin.api.post("/api/users", {**given, "email": given["email"].upper()}, expect=409)
    assert body == {"error": "A user with this email already exists", "code": "email_taken"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("name", ""), ("email", "nobody"), ("role", "Owner"), ("password", "short"), ("status", "Gone"), ("name", 5)),
        *(("phone", "x" * 51), ("role", None), ("email", None), ("name", "a\x00b")),
    ],
)
def test_a_bad_account_is_refused(field: str, value: object, staff):
    body = staff().api.post("/api/users", new_user(**{field: value}), expect=400)
    assert set(body["details"]) == {field}


def test_accounts_are_listed_newest_first_and_filtered(staff):
    admin, guide, support = staff(), staff("Guide"), staff("Support")
    body = admin.api.get("/api/users")
    assert body["success"] is True
    assert all(set(user) == FIELDS for user in body["data"])
    ids = [user["id"] for user in body["data"]]
    assert ids.index(support.id) < ids.index(guide.id) < ids.index(admin.id)
    guides = admin.api.get("/api/users?role=Guide&status=Active")["data"]
    assert {user["role"] for user in guides} == {"Guide"}
    found = admin.api.get(f"/api/users?search={guide.email.upper()}")["data"]
    assert [user["id"] for user in found] == [guide.id]
    for hostile in ("%", "_", "*", "),or(id.gt.0", "' or 1=1 --"):
        assert admin.api.get("/api/users", query_string={"search": hostile + guide.email})["data"] == []


def test_one_account_is_shown(staff):
    admin, guide = staff(), staff("Guide")
    body = admin.api.get(f"/api/users/{guide.id}")
    assert (body["success"], body["data"]["email"], set(body["data"])) == (True, guide.email, FIELDS)


@pytest.mark.parametrize(
    "path", ["0", "-1", "abc", "99999999", "9999999999999", "1.5", "%00", "00000000-0000-4000-8000-000000000000"]
)
def test_an_account_that_is_not_there(path: str, staff):
    admin = staff()
    missing = {"error": "User not found", "code": "user_not_found"}
    assert admin.api.get(f"/api/users/{path}", expect=404) == missing
    assert admin.api.put(f"/api/users/{path}", {"name": "x"}, expect=404) == missing
    assert admin.api.patch(f"/api/users/{path}/status", {"status": "Active"}, expect=404) == missing
    assert admin.api.delete(f"/api/users/{path}", expect=404) == missing


def test_an_account_is_changed(staff, api: Client):
    admin, guide = staff(), staff("Guide")
    body = admin.api.put(f"/api/users/{guide.id}", {"name": "New Name", "phone": None, "password": ""})
    assert (body["success"], body["message"], body["data"]["name"]) == (True, "User updated successfully", "New Name")
    guide.api.post("/api/auth/verify")  # a name is no reason to sign in anew
    admin.api.put(f"/api/users/{guide.id}", {"password": PASSWORD})
    guide.api.post("/api/auth/verify", expect=401)
    api.post("/api/auth/login", {"email": guide.email, "password": STAFF_PASSWORD}, expect=401)
    api.post("/api/auth/login", {"email": guide.email, "password": PASSWORD})


def test_another_role_ends_the_sessions(staff):
    admin, guide = staff(), staff("Guide")
    admin.api.put(f"/api/users/{guide.id}", {"role": "Support"})
    guide.api.post("/api/auth/verify", expect=401)


def test_a_change_is_refused(staff):
    admin, guide = staff(), staff("Guide")
    assert admin.api.put(f"/api/users/{guide.id}", {}, expect=400)["error"] == "No fields to update"
    assert admin.api.put(f"/api/users/{guide.id}", {"email": admin.email}, expect=409)["code"] == "email_taken"


def test_deactivating_ends_the_sessions_for_good(staff, api: Client):
    admin, guide = staff(), staff("Guide")
    body = admin.api.patch(f"/api/users/{guide.id}/status", {"status": "Inactive"})
    assert (body["message"], body["data"]["status"]) == ("User status updated successfully", "Inactive")
    guide.api.get("/api/bookings", expect=401)
    api.post("/api/auth/login", {"email": guide.email, "password": STAFF_PASSWORD}, expect=401)
    admin.api.patch(f"/api/users/{guide.id}/status", {"status": "Active"})
    guide.api.get("/api/bookings", expect=401)


def test_nobody_deactivates_or_deletes_the_own_account(staff):
    admin = staff()
    staff()
    for status in ("Inactive", "Active"):
        body = admin.api.patch(f"/api/users/{admin.id}/status", {"status": status}, expect=400)
        assert body["code"] == "own_account"
    assert admin.api.delete(f"/api/users/{admin.id}", expect=400)["code"] == "own_account"
    assert admin.api.put(f"/api/users/{admin.id}", {"status": "Inactive"}, expect=400)["code"] == "own_account"
    admin.api.post("/api/auth/verify")


def test_an_account_is_deleted(staff, db: psycopg.Connection):
    admin, guide = staff(), staff("Guide")
    body = admin.api.delete(f"/api/users/{guide.id}")
    assert body == {"success": True, "message": "User deleted successfully"}
    guide.api.get("/api/bookings", expect=401)
    assert admin.api.delete(f"/api/users/{guide.id}", expect=404)["code"] == "user_not_found"
    log = db.execute("select name, actor from staff_events where staff_id = %s order by id", [guide.id]).fetchall()
    assert log[-1] == ("deleted", admin.email)


@pytest.fixture
def two_admins(app, db: psycopg.Connection):
    """The only two active Admins there are, for once."""
    others = db.execute(
        "update admin_users set role = 'Manager' where role = 'Admin' and id <> "
        "(select max(id) from admin_users where role = 'Admin') returning id"
    ).fetchall()
    pair = [make_staff(Client(app), db) for _ in range(2)]
    db.execute(
        "update admin_users set role = 'Manager' where role = 'Admin' and not (id = any (%s))", [[p.id for p in pair]]
    )
    yield pair
    db.execute("update admin_users set role = 'Admin' where id = any (%s)", [[row[0] for row in others]])


def test_the_last_admin_stays(two_admins):
    one, two = two_admins
    one.api.put(f"/api/users/{two.id}", {"role": "Support"})
    body = one.api.put(f"/api/users/{one.id}", {"role": "Support"}, expect=400)
    assert body == {"error": "The last active Admin must stay.", "code": "last_admin"}
    one.api.post("/api/auth/verify")


def test_two_admins_who_remove_each_other_leave_one(two_admins, db: psycopg.Connection):
    one, two = two_admins

    def remove(pair) -> int:
        actor, other = pair
        headers = {"Authorization": f"Bearer {actor.token}"}
        return actor.api.app.test_client().delete(f"/api/users/{other.id}", headers=headers).status_code

    with ThreadPoolExecutor(2) as threads:
        statuses = sorted(threads.map(remove, [(one, two), (two, one)]))
    assert statuses[0] == 200 and statuses[1] in (400, 401)
    count = db.execute("select count(*) from admin_users where role = 'Admin' and status = 'Active'").fetchone()
    assert count == (1,)
