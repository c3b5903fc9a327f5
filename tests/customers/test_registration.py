import pytest

from tests.factories import PASSWORD, unique_email

REGISTER = "/api/customers/register"


def test_register_makes_a_customer_a_session_a_mail_and_an_audit_row(api, db, events):
    email = unique_email()
    sent = {"email": email.upper(), "password": PASSWORD, "name": "  Ada Byron ", "phone": "", "status": "active"}
    answer = api.post(REGISTER, sent, expect=201)
    assert answer == {
        "customerId": answer["customerId"],
        "token": answer["token"],
        "message": "Account created successfully. Please verify your email.",
        "requiresVerification": True,
    }
    row = db.execute(
        "select email, name, phone, status, verified_at, password_hash from customers where id = %s",
        [answer["customerId"]],
    ).fetchone()
    assert row[:5] == (email, "Ada Byron", None, "pending", None)
    assert row[5].startswith("$2b$")
    mail = "select template, recipient, data from email_outbox where customer_id = %s"
    assert db.execute(mail, [answer["customerId"]]).fetchall() == [("email-verification", email, {})]
    assert events(answer["customerId"]) == {"registered": 1}
    me = api.signed_in(answer["token"]).get("/api/customers/me")["customer"]
    assert me["id"] == answer["customerId"] and me["status"] == "pending"
    session = db.execute("select ip_address from customer_sessions where customer_id = %s", [me["id"]]).fetchall()
    assert session == [(api.address,)]


def test_register_refuses_a_taken_address_in_any_case(api, newcomer):
    sent = {"email": newcomer["email"].title(), "password": PASSWORD, "name": "Someone"}
    assert api.post(REGISTER, sent, expect=409) == {"error": "Email already registered", "code": "email_taken"}


def test_of_fifty_registrations_of_one_address_one_succeeds(db, race):
    email = unique_email("race")
    bodies = [email, email.upper(), email.title()]
    answers = race(
        50, "POST", REGISTER, lambda n: {"email": bodies[n % 3], "password": PASSWORD, "name": f"Number {n}"}
    )
    assert sorted(status for status, _ in answers) == [201] + [409] * 49
    assert all(body["code"] == "email_taken" for status, body in answers if status == 409)
    assert db.execute("select count(*) from customers where lower(email) = %s", [email]).fetchone() == (1,)


VALID = {"email": "valid@example.com", "password": PASSWORD, "name": "Ada"}


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"email": None}, "email", "May not be null."),
        ({"email": "nobody"}, "email", "Is not a valid e-mail address."),
        ({"email": "a@b.example,c@d.example"}, "email", "Is not a valid e-mail address."),
        ({"email": "a@example.com\r\nBcc: all@example.com"}, "email", "May not hold control characters."),
        ({"email": f"{'a' * 250}@example.com"}, "email", None),
        ({"email": ["a@example.com"]}, "email", "Must be text."),
        ({"password": "seven77"}, "password", "Must have at least 8 characters."),
        ({"password": "é" * 37}, "password", None),  # 74 bytes
        ({"password": "longenough\0"}, "password", "May not hold NUL characters."),
        ({"password": "longenough\ud800"}, "password", "Is not valid Unicode."),
        ({"password": "PassWord123"}, "password", "Is among the most common passwords. Please choose another."),
        ({"password": "Valid@example.com"}, "password", "May not be your e-mail address."),
        ({"password": 1234567890}, "password", "Must be text."),
        ({"name": " "}, "name", None),
        ({"name": "x" * 101}, "name", None),
        ({"name": "nul\0"}, "name", "May not hold control characters."),
        ({"name": "half\udc00"}, "name", "Is not valid Unicode."),
        ({"phone": 491234}, "phone", "Must be text."),
    ],
)
def test_register_refuses_bad_input(api, change, field, sentence):
    answer = api.post(REGISTER, {**VALID, **change}, expect=400)
    assert set(answer["details"]) == {field} and answer["code"] == "validation_failed"
    assert answer["error"].startswith(f"{field}: ")
    assert sentence in (None, answer["details"][field])


@pytest.mark.parametrize("missing", ["email", "password", "name"])
def test_register_needs_address_password_and_name(api, missing):
    sent = {key: value for key, value in VALID.items() if key != missing}
    assert api.post(REGISTER, sent, expect=400)["details"] == {missing: "Is required."}


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "O'Brien; drop table customers", "\u202etxt.exe", "名前 🦊", "{{7*7}}"]
)
def test_names_are_kept_as_they_are_sent(api, name):
    sent = {"email": unique_email("name"), "password": PASSWORD, "name": name}
    token = api.post(REGISTER, sent, expect=201)["token"]
    assert api.signed_in(token).get("/api/customers/me")["customer"]["name"] == name


@pytest.mark.parametrize(
    "password",
    ["x" * 72, "é" * 36, "日本語のパスワード", "🦊🦊🦊🦊🦊🦊🦊🦊", "  spaces kept  ", "e\u0301 is not \u00e9"],
)
def test_passwords_count_exactly_as_they_are_sent(api, db, password):
    sent = {"email": unique_email("exact"), "password": password, "name": "Ada"}
    api.post(REGISTER, sent, expect=201)
    db.execute("update customers set status = 'active', verified_at = now() where email = %s", [sent["email"]])
    api.post("/api/customers/login", {"email": sent["email"], "password": password})
    for other in (password + "x", password.strip() + " ", password[:-1], password.replace("e\u0301", "\u00e9")):
        if other != password:
            api.post("/api/customers/login", {"email": sent["email"], "password": other}, expect=401)


def test_register_is_limited_by_address(client_with):
    strict = client_with(LIMIT_REGISTER="2 per hour")
    for _ in range(2):
        strict.post(REGISTER, {}, expect=400)
    assert strict.post(REGISTER, {}, expect=429)["code"] == "too_many_requests"
    assert int(strict.last.headers["Retry-After"]) > 3500


@pytest.mark.parametrize("table", ["customer_preferences", "email_outbox", "customer_events", "customer_sessions"])
def test_register_leaves_nothing_where_any_part_of_it_fails(api, db, table):
    email = unique_email("half")
    db.execute(
        "create function pg_temp.fail() returns trigger language plpgsql as $$ begin raise 'no'; end $$;"
        f"create trigger fail before insert on {table} for each row execute function pg_temp.fail()"
    )
    try:
        answer = api.post(REGISTER, {**VALID, "email": email}, expect=500)
    finally:
        db.execute(f"drop trigger fail on {table}; drop function pg_temp.fail()")
    assert answer["code"] == "internal_error"
    assert db.execute("select from customers where email = %s", [email]).fetchall() == []
    assert db.execute("select from email_outbox where recipient = %s", [email]).fetchall() == []
    api.post(REGISTER, {**VALID, "email": email}, expect=201)
