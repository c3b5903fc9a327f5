import bcrypt
import pytest

from service.credentials import issue_customer_token
from tests.client import Client
from tests.factories import PASSWORD, make_customer, unique_email

LOGIN = "/api/customers/login"
ME = "/api/customers/me"


def test_login_answers_the_customer_a_token_and_the_cookie(api, customer, events):
    answer = api.post(LOGIN, {"email": customer.email.upper(), "password": PASSWORD})
    assert answer == {"customerId": customer.id, "token": answer["token"], "customer": answer["customer"]}
    assert answer["customer"] == {
        "id": customer.id,
        "email": customer.email,
        "name": "Ada Byron",
        "phone": None,
        "avatar": None,
        "address": None,
        "verified_at": answer["customer"]["verified_at"],
        "status": "active",
        "loyalty_points": 0,
        "total_bookings": 0,
        "total_spent": 0.0,
        "created_at": answer["customer"]["created_at"],
    }
    cookie = api.last.headers["Set-Cookie"]
    assert cookie.startswith(f"jklg_customer={answer['token']};")
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie
    assert api.signed_in(answer["token"]).get(ME)["customer"] == answer["customer"]
    assert events(customer.id) == {"registered": 1, "logged_in": 1}


def test_an_unknown_address_and_a_wrong_password_are_answered_alike(api, customer, events):
    answers = []
    for email in (customer.email, unique_email("nobody")):
        body = api.post(LOGIN, {"email": email, "password": "wrong wrong wrong"}, expect=401)
        answers.append((body, {k: v for k, v in api.last.headers if k != "X-Request-Id"}))
    assert answers[0] == answers[1]
    assert answers[0][0] == {"error": "Invalid credentials", "code": "invalid_credentials"}
    assert events(customer.id)["login_failed"] == 1


@pytest.mark.parametrize("guess", ["", "x" * 73, "é" * 500, "nul\0nul\0", "half\ud800", "x" * 100_000])
def test_any_text_is_a_wrong_password(api, customer, guess):
    assert api.post(LOGIN, {"email": customer.email, "password": guess}, expect=401)["code"] == "invalid_credentials"


def test_the_state_of_an_account_is_told_after_the_right_password_only(api, db, customer, newcomer):
    wrong = {"email": newcomer["email"], "password": "wrong wrong wrong"}
    assert api.post(LOGIN, wrong, expect=401)["code"] == "invalid_credentials"
    assert api.post(LOGIN, {"email": newcomer["email"], "password": PASSWORD}, expect=403) == {
        "error": "Email not verified",
        "code": "email_not_verified",
        "customerId": newcomer["customerId"],
        "message": "Please verify your email before you log in.",
    }
    for status in ("suspended", "inactive"):
        db.execute("update customers set status = %s where id = %s", [status, customer.id])
        assert api.post(LOGIN, {"email": customer.email, "password": "wrong one"}, expect=401)
        answer = api.post(LOGIN, {"email": customer.email, "password": PASSWORD}, expect=403)
        assert answer == {"error": "Account is not active", "code": "account_inactive"}
        assert "Set-Cookie" not in api.last.headers
        customer.api.get(ME, expect=401)


@pytest.mark.parametrize("prefix", [b"2a", b"2b"])
def test_hashes_of_the_old_backend_log_in_unchanged(api, db, customer, prefix):
    hashed = bcrypt.hashpw(b"from the old days", bcrypt.gensalt(5, prefix)).decode()
    db.execute("update customers set password_hash = %s where id = %s", [hashed, customer.id])
    api.post(LOGIN, {"email": customer.email, "password": "from the old days"})
    assert db.execute("select password_hash from customers where id = %s", [customer.id]).fetchone() == (hashed,)


def test_a_hash_of_too_low_a_cost_is_replaced_at_login(client_with, db, customer):
    stricter = client_with(BCRYPT_ROUNDS="5")
    stricter.post(LOGIN, {"email": customer.email, "password": PASSWORD})
    (hashed,) = db.execute("select password_hash from customers where id = %s", [customer.id]).fetchone()
    assert hashed.startswith("$2b$05$")
    stricter.post(LOGIN, {"email": customer.email, "password": PASSWORD})


def test_a_password_that_changes_while_it_is_compared_counts_for_nothing(app, customer):
    from service.customers import store

    with app.app_context():
        found = store.begin_login(customer.email)
        customer.api.post("/api/customers/change-password", {"oldPassword": PASSWORD, "newPassword": "another one"})
        assert store.finish_login(found, True, None) == {"verdict": "invalid_credentials"}


def test_guesses_at_one_account_end_wherever_they_come_from(app, customer, api):
    for _ in range(10):
        Client(app).post(LOGIN, {"email": customer.email, "password": "wrong guess"}, expect=401)
    late = Client(app)
    answer = late.post(LOGIN, {"email": customer.email, "password": PASSWORD}, expect=429)
    assert answer == {"error": "Too many attempts. Please try again later.", "code": "too_many_attempts"}
    assert 200 < int(late.last.headers["Retry-After"]) <= 300
    nobody = unique_email("nobody")
    for _ in range(10):
        Client(app).post(LOGIN, {"email": nobody, "password": "wrong guess"}, expect=401)
    Client(app).post(LOGIN, {"email": nobody, "password": "wrong guess"}, expect=429)


def test_guessers_do_not_lock_out_whom_they_guess_at(app, customer, api):
    api.post(LOGIN, {"email": customer.email, "password": PASSWORD})
    for _ in range(10):
        Client(app).post(LOGIN, {"email": customer.email, "password": "wrong guess"}, expect=401)
    Client(app).post(LOGIN, {"email": customer.email, "password": PASSWORD}, expect=429)
    api.post(LOGIN, {"email": customer.email, "password": PASSWORD})
    for _ in range(10):
        api.post(LOGIN, {"email": customer.email, "password": "wrong guess"}, expect=401)
    api.post(LOGIN, {"email": customer.email, "password": PASSWORD}, expect=429)


def test_a_mailed_link_lets_in_who_is_locked_out_at_a_new_place(app, customer, link):
    elsewhere = Client(app)
    elsewhere.post("/api/customers/forgot-password", {"email": customer.email})
    given = {**link(customer.email, "password-reset"), "newPassword": "another horse 43 staple"}
    elsewhere.post("/api/customers/reset-password", given)
    for _ in range(10):
        Client(app).post(LOGIN, {"email": customer.email, "password": "wrong guess"}, expect=401)
    elsewhere.post(LOGIN, {"email": customer.email, "password": given["newPassword"]})


def test_guesses_at_once_do_not_slip_past_the_limit(race, customer):
    answers = race(40, "POST", LOGIN, {"email": customer.email, "password": "wrong guess"})
    assert sorted(status for status, _ in answers) == [401] * 10 + [429] * 30


def test_login_is_limited_by_address_whatever_the_account(client_with):
    strict = client_with(LIMIT_LOGIN="3 per 5 minutes")
    for _ in range(3):
        strict.post(LOGIN, {"email": unique_email("nobody"), "password": "wrong"}, expect=401)
    strict.post(LOGIN, {"email": unique_email("nobody"), "password": "wrong"}, expect=429)
    assert int(strict.last.headers["Retry-After"]) > 200


def test_failed_logins_of_one_address_are_limited_over_customers_and_staff(client_with, customer):
    strict = client_with(LIMIT_FAILED_LOGIN="3 per hour")
    for _ in range(4):
        strict.post(LOGIN, {"email": customer.email, "password": PASSWORD})  # those that succeed count for nothing
    for path in (LOGIN, "/api/auth/login", LOGIN):
        strict.post(path, {"email": unique_email("sprayed"), "password": "Summer2026!"}, expect=401)
    for path in (LOGIN, "/api/auth/login"):
        strict.post(path, {"email": unique_email("sprayed"), "password": "Summer2026!"}, expect=429)
        assert 3500 < int(strict.last.headers["Retry-After"]) <= 3601
    Client(strict.app).post(LOGIN, {"email": customer.email, "password": PASSWORD})


def test_logout_ends_this_session_at_once_and_clears_the_cookie(customer, api, events):
    other = api.signed_in(api.post(LOGIN, {"email": customer.email, "password": PASSWORD})["token"])
    assert customer.api.post("/api/customers/logout") == {"message": "Logged out successfully"}
    assert customer.api.last.headers["Set-Cookie"].startswith("jklg_customer=;")
    assert customer.api.get(ME, expect=401)["code"] == "session_ended"
    customer.api.post("/api/customers/logout", expect=401)
    other.get(ME)
    assert events(customer.id)["session_ended"] == 1


def test_logout_can_end_the_others_or_all(customer, api):
    others = [
        api.signed_in(api.post(LOGIN, {"email": customer.email, "password": PASSWORD})["token"]) for _ in range(2)
    ]
    customer.api.post("/api/customers/logout?scope=others")
    others[0].get(ME, expect=401)
    customer.api.get(ME)
    customer.api.post("/api/customers/logout?scope=nobody", expect=400)
    customer.api.post("/api/customers/logout?scope=all")
    customer.api.get(ME, expect=401)


def test_sessions_are_listed_and_ended_one_by_one(customer, api, db):
    path = f"/api/customers/{customer.id}/sessions"
    agent = {"User-Agent": "Teapot/1.0"}
    token = api.post(LOGIN, {"email": customer.email, "password": PASSWORD}, headers=agent)["token"]
    listed = customer.api.get(path)["sessions"]
    assert [(row["current"], row["ip_address"]) for row in listed] == [(False, api.address), (True, api.address)]
    assert listed[0]["user_agent"] == "Teapot/1.0"
    assert set(listed[0]) == {
        "id", "ip_address", "user_agent", "created_at", "last_seen_at", "expires_at", "current"
    }  # fmt: skip
    assert customer.api.delete(f"{path}/{listed[0]['id']}") == {"message": "Session ended successfully"}
    api.signed_in(token).get(ME, expect=401)
    for gone in (listed[0]["id"], "not-an-id"):
        answer = customer.api.delete(f"{path}/{gone}", expect=404)
        assert answer == {"error": "Session not found", "code": "session_not_found"}


def test_a_customer_has_twenty_sessions_and_the_oldest_ends(customer, api, db):
    customer.api.get(ME)
    for _ in range(20):
        latest = api.post(LOGIN, {"email": customer.email, "password": PASSWORD})["token"]
    customer.api.get(ME, expect=401)
    count = "select count(*) from customer_sessions where customer_id = %s"
    assert db.execute(count, [customer.id]).fetchone() == (20,)
    api.signed_in(latest).get(ME)


def test_an_expired_session_is_refused_and_swept_away(customer, db, app):
    from service.customers import store

    db.execute("update customer_sessions set expires_at = now() where customer_id = %s", [customer.id])
    assert customer.api.get(ME, expect=401)["code"] == "session_ended"
    with app.app_context():
        assert store.clean_expired() >= 1
    assert db.execute("select from customer_sessions where customer_id = %s", [customer.id]).fetchall() == []


def test_what_staff_left_behind_is_swept_away_too(staff, db, app):
    from service.customers import store

    person = staff()
    db.execute("update staff_sessions set expires_at = now() where staff_id = %s", [person.id])
    invited = (
        "insert into staff_invitations (staff_id, email_id, expires_at)"
        " values (%s, gen_random_uuid(), now() - interval '31 days')"
    )
    db.execute(invited, [person.id])
    with app.app_context():
        store.clean_expired()
    for table in ("staff_sessions", "staff_invitations"):
        assert db.execute(f"select from {table} where staff_id = %s", [person.id]).fetchall() == []


def test_last_seen_is_written_once_a_minute(customer, db):
    seen = "select last_seen_at, xmin::text from customer_sessions where customer_id = %s"
    before = db.execute(seen, [customer.id]).fetchone()
    customer.api.get(ME)
    assert db.execute(seen, [customer.id]).fetchone() == before
    db.execute(
        "update customer_sessions set last_seen_at = now() - interval '61 seconds' where customer_id = %s",
        [customer.id],
    )
    customer.api.get(ME)
    assert db.execute(seen, [customer.id]).fetchone()[0] > before[0]


def test_a_session_is_worth_nothing_with_another_customers_id(app, api, db, customer):
    other = make_customer(api, db)
    (session_id,) = db.execute("select id from customer_sessions where customer_id = %s", [customer.id]).fetchone()
    with app.app_context():
        forged = issue_customer_token(other.id, other.email, str(session_id))
    for token in (str(session_id), forged):
        api.signed_in(token).get(ME, expect=401)


def test_public_calls_ignore_whatever_token_they_carry(customer, api):
    customer.api.post("/api/customers/logout")
    for token in (customer.token, "null", "undefined", "nonsense"):
        api.signed_in(token).post(LOGIN, {"email": customer.email, "password": PASSWORD})
        api.signed_in(token).get(f"/api/customers/{customer.id}")
