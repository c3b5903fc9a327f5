"""Staff changes the own password."""

import psycopg

from tests.factories import STAFF_PASSWORD

NEW = "another horse 43 staple"


def test_the_own_password_changes_and_the_other_sessions_end(staff, db: psycopg.Connection):
    guide = staff("Guide")
    other = guide.api.post("/api/auth/login", {"email": guide.email, "password": STAFF_PASSWORD})["token"]
    given = {"email": guide.email, "currentPassword": STAFF_PASSWORD, "newPassword": NEW}
    body = guide.api.post("/api/auth/change-password", given)
    assert body == {"success": True, "message": "Password changed successfully"}
    guide.api.post("/api/auth/verify")
    guide.api.signed_in(other).post("/api/auth/verify", expect=401)
    guide.api.post("/api/auth/login", {"email": guide.email, "password": STAFF_PASSWORD}, expect=401)
    guide.api.post("/api/auth/login", {"email": guide.email, "password": NEW})
    mails = db.execute(
        "select data from email_outbox where template = 'password-changed' and recipient = %s", [guide.email]
    ).fetchall()
    assert len(mails) == 1


def test_a_wrong_current_password_changes_nothing(staff, db: psycopg.Connection):
    guide = staff("Guide")
    given = {"email": guide.email, "currentPassword": "wrong", "newPassword": NEW}
    body = guide.api.post("/api/auth/change-password", given, expect=401)
    assert body == {"error": "Current password is incorrect", "code": "invalid_password"}
    query = "select actor, ip_address from staff_events where staff_id = %s and name = 'wrong_password'"
    assert db.execute(query, [guide.id]).fetchall() == [(guide.email, guide.api.address)]
    guide.api.post("/api/auth/login", {"email": guide.email, "password": STAFF_PASSWORD})


def test_only_the_own_account(staff, api):
    guide, other = staff("Guide"), staff("Guide")
    given = {"email": other.email, "currentPassword": STAFF_PASSWORD, "newPassword": NEW}
    assert guide.api.post("/api/auth/change-password", given, expect=403)["code"] == "forbidden"
    api.post("/api/auth/change-password", given, expect=401)


def test_a_weak_password_is_refused(staff):
    guide = staff("Guide")
    for weak in ("short", "password123", "é" * 37):
        given = {"email": guide.email, "currentPassword": STAFF_PASSWORD, "newPassword": weak}
        assert "newPassword" in guide.api.post("/api/auth/change-password", given, expect=400)["details"]
