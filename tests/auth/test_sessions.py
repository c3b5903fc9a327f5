"""Staff signs in and out: what is answered, what it leaves behind, and what it tells nobody."""

import jwt
import psycopg
import pytest

from service.config import config
from tests.client import Client
from tests.factories import STAFF_PASSWORD, make_customer, unique_email
from tests.sure import fetch_row

REFUSED = {"error": "Invalid credentials", "code": "invalid_credentials"}


def test_login_answers_a_token_and_the_user(staff, db: psycopg.Connection):
    guide = staff("Guide")
    body = guide.api.post("/api/auth/login", {"email": f" {guide.email.upper()} ", "password": STAFF_PASSWORD})
    assert body["user"] == {"id": guide.id, "name": "Guide Person", "email": guide.email, "role": "Guide"}
    claims = jwt.decode(body["token"], options={"verify_signature": False})
    assert {"id", "email", "role", "sid", "iat", "exp", "iss", "aud"} == set(claims)
    assert claims["exp"] - claims["iat"] == 86400
    seen = db.execute("select last_login > now() - interval '1 minute' from admin_users where id = %s", [guide.id])
    assert seen.fetchone() == (True,)


def test_login_sets_the_cookie_of_staff(staff, api: Client):
    admin = staff()
    admin.api.post("/api/auth/login", {"email": admin.email, "password": STAFF_PASSWORD})
    cookie = admin.api.last.headers["Set-Cookie"]
    assert cookie.startswith("jklg_staff=ey")
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie


@pytest.mark.parametrize("case", ["unknown", "wrong", "inactive", "without password", "too long", "NUL"])
def test_login_refuses_all_alike(case: str, staff, api: Client, db: psycopg.Connection):
    guide = staff("Guide")
    given = {"email": guide.email, "password": STAFF_PASSWORD}
    match case:
        case "unknown":
            given["email"] = unique_email("nobody")
        case "wrong":
            given["password"] = "not the password"
        case "too long":
            given["password"] = STAFF_PASSWORD + "x" * 200
        case "NUL":
            given["password"] = STAFF_PASSWORD + "\0"
        case "inactive":
            db.execute("update admin_users set status = 'Inactive' where id = %s", [guide.id])
        case "without password":
            db.execute("delete from staff_credentials where staff_id = %s", [guide.id])
    assert api.post("/api/auth/login", given, expect=401) == REFUSED


@pytest.mark.parametrize(
    "body", [{}, {"email": "a@b.example"}, {"email": 5, "password": "x"}, {"email": "", "password": ""}]
)
def test_login_needs_both(body: dict, api: Client):
    answer = api.post("/api/auth/login", body, expect=400)
    assert answer["code"] == "validation_failed"


def test_login_is_limited_per_account(staff, app):
    guide = staff("Guide")
    wrong = {"email": guide.email, "password": "not the password"}
    for _ in range(10):
        Client(app).post("/api/auth/login", wrong, expect=401)
    other = Client(app)
    body = other.post("/api/auth/login", {"email": guide.email, "password": STAFF_PASSWORD}, expect=429)
    assert body["code"] == "too_many_attempts"
    assert 0 < int(other.last.headers["Retry-After"]) <= 300
    Client(app).post("/api/auth/login", {"email": unique_email("nobody"), "password": "x"}, expect=401)


def test_login_ignores_any_token(staff, api: Client):
    guide = staff("Guide")
    headers = {"Authorization": "Bearer not.a.token"}
    api.post("/api/auth/login", {"email": guide.email, "password": STAFF_PASSWORD}, headers=headers)


def test_login_renews_a_hash_of_lower_cost(staff, app, monkeypatch, db: psycopg.Connection):
    guide = staff("Guide")
    costlier = app.extensions["config"].model_copy(update={"bcrypt_rounds": 5})
    monkeypatch.setitem(app.extensions, "config", costlier)
    Client(app).post("/api/auth/login", {"email": guide.email, "password": STAFF_PASSWORD})
    (stored,) = fetch_row(db, "select password_hash from staff_credentials where staff_id = %s", [guide.id])
    assert stored.startswith("$2b$05$")
    Client(app).post("/api/auth/login", {"email": guide.email, "password": STAFF_PASSWORD})


def test_verify_names_the_person(staff, customer, api: Client):
    guide = staff("Guide")
    body = guide.api.post("/api/auth/verify")
    assert body["valid"] is True
    assert (body["user"]["email"], body["user"]["role"]) == (guide.email, "Guide")
    assert customer.api.post("/api/auth/verify")["user"]["role"] == "customer"
    assert api.post("/api/auth/verify", expect=401)["code"] == "session_invalid"
    for bearer in ("null", "undefined", "x.y.z"):
        api.post("/api/auth/verify", headers={"Authorization": f"Bearer {bearer}"}, expect=401)


def test_logout_ends_this_session_only(staff, app):
    guide = staff("Guide")
    other = guide.api.post("/api/auth/login", {"email": guide.email, "password": STAFF_PASSWORD})["token"]
    guide.api.post("/api/auth/logout")
    assert "jklg_staff=;" in guide.api.last.headers["Set-Cookie"]
    assert guide.api.post("/api/auth/logout", expect=401)["code"] == "session_ended"
    assert guide.api.signed_in(other).post("/api/auth/verify")["valid"] is True


def test_a_cookie_counts_for_own_pages_only(staff, app):
    admin = staff()
    cookie = {"Cookie": f"jklg_staff={admin.token}"}
    visitor = Client(app)
    assert visitor.get("/api/users", headers=cookie)["success"] is True
    assert visitor.post("/api/auth/logout", headers=cookie, expect=403)["code"] == "csrf"
    foreign = {**cookie, "Origin": "https://evil.example"}
    assert visitor.post("/api/auth/logout", headers=foreign, expect=403)["code"] == "csrf"
    own = {**cookie, "Origin": "http://localhost"}
    visitor.post("/api/auth/logout", headers=own)


def test_a_session_ends_with_the_account(staff, db: psycopg.Connection):
    guide = staff("Guide")
    db.execute("delete from admin_users where id = %s", [guide.id])
    assert guide.api.get("/api/bookings", expect=401)["code"] == "session_ended"


def test_an_expired_session_is_none(staff, db: psycopg.Connection):
    guide = staff("Guide")
    db.execute("update staff_sessions set expires_at = now() where staff_id = %s", [guide.id])
    assert guide.api.get("/api/bookings", expect=401)["code"] == "session_ended"


def test_tokens_of_customers_and_staff_are_never_taken_for_each_other(staff, customer, app):
    guide = staff("Guide")
    assert customer.api.get("/api/bookings", expect=401)["code"] == "session_invalid"
    assert guide.api.get("/api/customers/me", expect=401)["code"] == "session_invalid"


def test_a_token_of_another_session_or_person_is_refused(staff, app):
    one, two = staff("Guide"), staff("Guide")
    claims = jwt.decode(one.token, options={"verify_signature": False})
    with app.app_context():
        forged = jwt.encode({**claims, "id": two.id}, config.jwt_secret, "HS256")
    Client(app, forged).get("/api/bookings", expect=401)


def test_who_fails_to_log_in_is_nobody_we_know(staff, api, db):
    guide = staff("Guide")
    api.post("/api/auth/login", {"email": guide.email, "password": "wrong"}, expect=401)
    query = "select actor from staff_events where staff_id = %s and name = 'login_failed'"
    assert db.execute(query, [guide.id]).fetchall() == [("visitor",)]


def test_guessers_do_not_lock_out_whom_they_guess_at(staff, app):
    guide = staff("Guide")
    wrong, right = ({"email": guide.email, "password": guess} for guess in ("not the password", STAFF_PASSWORD))
    for _ in range(10):
        Client(app).post("/api/auth/login", wrong, expect=401)
    Client(app).post("/api/auth/login", right, expect=429)
    guide.api.post("/api/auth/login", right)  # from where they logged in before
    given = {"email": guide.email, "currentPassword": STAFF_PASSWORD, "newPassword": "another horse 43 staple"}
    guide.api.post("/api/auth/change-password", given)
    for _ in range(10):
        guide.api.post("/api/auth/login", wrong, expect=401)
    guide.api.post("/api/auth/login", right, expect=429)


def test_a_customers_login_makes_no_address_known_to_staff_of_the_same_name(staff, api, db, app):
    guide = staff("Guide")
    shared = make_customer(api, db, email=guide.email)
    elsewhere = Client(app)
    elsewhere.post("/api/customers/login", {"email": shared.email, "password": shared.password})
    for _ in range(10):
        Client(app).post("/api/auth/login", {"email": guide.email, "password": "wrong"}, expect=401)
    elsewhere.post("/api/auth/login", {"email": guide.email, "password": STAFF_PASSWORD}, expect=429)


@pytest.mark.parametrize(
    ("case", "reason"),
    [("wrong", "invalid_credentials"), ("inactive", "account_inactive"), ("without password", "no_password")],
)
def test_a_failed_login_leaves_a_row_with_its_reason(case: str, reason: str, staff, app, db: psycopg.Connection):
    guide = staff("Guide")
    if case == "inactive":
        db.execute("update admin_users set status = 'Inactive' where id = %s", [guide.id])
    if case == "without password":
        db.execute("delete from staff_credentials where staff_id = %s", [guide.id])
    guess = "wrong" if case == "wrong" else STAFF_PASSWORD
    stranger = Client(app)
    stranger.post("/api/auth/login", {"email": guide.email, "password": guess}, expect=401)
    query = "select actor, ip_address, details from staff_events where staff_id = %s and name = 'login_failed'"
    assert db.execute(query, [guide.id]).fetchall() == [("visitor", stranger.address, {"reason": reason})]


def test_an_unknown_address_leaves_a_row_of_nobody_that_does_not_name_it(api, db: psycopg.Connection):
    email = unique_email("nobody")
    api.post("/api/auth/login", {"email": email, "password": "wrong"}, expect=401)
    query = "select staff_id, name, to_jsonb(e)::text from staff_events e where ip_address = %s"
    ((staff_id, name, row),) = db.execute(query, [api.address]).fetchall()
    assert (staff_id, name, email in row) == (None, "login_failed", False)


def test_sessions_are_listed_and_ended_one_by_one(staff, api, db: psycopg.Connection):
    guide = staff("Guide")
    agent = {"User-Agent": "Teapot/1.0"}
    given = {"email": guide.email, "password": STAFF_PASSWORD}
    other = api.signed_in(api.post("/api/auth/login", given, headers=agent)["token"])
    listed = guide.api.get("/api/auth/sessions")["sessions"]
    assert [(row["current"], row["ip_address"]) for row in listed] == [(False, api.address), (True, guide.api.address)]
    assert listed[0]["user_agent"] == "Teapot/1.0"
    assert set(listed[0]) == {
        "id", "ip_address", "user_agent", "created_at", "last_seen_at", "expires_at", "current"
    }  # fmt: skip
    assert guide.api.delete(f"/api/auth/sessions/{listed[0]['id']}") == {
        "success": True,
        "message": "Session ended successfully",
    }
    assert "Set-Cookie" not in guide.api.last.headers
    assert other.get("/api/bookings", expect=401)["code"] == "session_ended"
    for gone in (listed[0]["id"], "not-an-id"):
        body = guide.api.delete(f"/api/auth/sessions/{gone}", expect=404)
        assert body == {"error": "Session not found", "code": "session_not_found"}
    guide.api.delete(f"/api/auth/sessions/{listed[1]['id']}")
    assert guide.api.last.headers["Set-Cookie"].startswith("jklg_staff=;")
    guide.api.get("/api/auth/sessions", expect=401)
    query = "select actor, details ->> 'session_id' from staff_events where staff_id = %s and name = 'session_ended'"
    assert db.execute(query, [guide.id]).fetchall() == [(guide.email, row["id"]) for row in listed]


def test_others_sessions_take_users_edit(staff, db: psycopg.Connection):
    admin, manager, guide = staff(), staff("Manager"), staff("Guide")
    path = f"/api/auth/sessions?staffId={guide.id}"
    body = manager.api.get(path, expect=403)
    assert body["error"] == "Insufficient permissions. Required: users_edit"
    (session,) = guide.api.get(path)["sessions"]  # the own id is nobody else's
    manager.api.delete(f"/api/auth/sessions/{session['id']}", expect=404)
    assert admin.api.get(path)["sessions"] == [{**session, "current": False}]
    admin.api.delete(f"/api/auth/sessions/{session['id']}")
    guide.api.get("/api/auth/sessions", expect=401)
    query = "select actor from staff_events where staff_id = %s and name = 'session_ended'"
    assert db.execute(query, [guide.id]).fetchall() == [(admin.email,)]
    assert admin.api.get("/api/auth/sessions?staffId=2147483647")["sessions"] == []
    for odd in ("0", "-1", "x", "2147483648", "1.5"):
        assert "staffId" in admin.api.get(f"/api/auth/sessions?staffId={odd}", expect=400)["details"]


def test_a_member_of_staff_has_twenty_sessions_and_the_oldest_ends(staff, db: psycopg.Connection):
    guide = staff("Guide")
    given = {"email": guide.email, "password": STAFF_PASSWORD}
    tokens = [guide.api.post("/api/auth/login", given)["token"] for _ in range(20)]
    assert guide.api.get("/api/auth/sessions", expect=401)["code"] == "session_ended"
    assert len(guide.api.signed_in(tokens[0]).get("/api/auth/sessions")["sessions"]) == 20
