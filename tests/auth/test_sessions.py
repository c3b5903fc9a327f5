"""Staff signs in and out: what is answered, what it leaves behind, and what it tells nobody."""

import jwt
import psycopg
import pytest

from service.config import config
from tests.client import Client
from tests.factories import STAFF_PASSWORD, unique_email
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
