import pytest

from service.credentials import hash_token
from tests.factories import PASSWORD, unique_email

FORGOT = "/api/customers/forgot-password"
RESET = "/api/customers/reset-password"
CHANGE = "/api/customers/change-password"
LOGIN = "/api/customers/login"
ME = "/api/customers/me"
NEW = "an entirely new one"


@pytest.fixture
def reset(api, customer, link):
    """Asks for a reset and gives its link."""

    def ask() -> dict[str, str]:
        api.post(FORGOT, {"email": customer.email})
        return link(customer.email, "password-reset")

    return ask


def test_forgot_answers_the_same_for_every_address(api, customer, db):
    answers = []
    for email in (unique_email("nobody"), customer.email.upper()):
        body = api.post(FORGOT, {"email": email})
        answers.append((body, {k: v for k, v in api.last.headers if k != "X-Request-Id"}))
    assert answers[0] == answers[1]
    assert answers[0][0]["message"].startswith("If an account exists")
    mails = db.execute("select template from email_outbox where customer_id = %s order by created_at", [customer.id])
    assert mails.fetchall() == [("email-verification",), ("password-reset",)]


def test_forgot_is_limited_by_address_known_or_not(api, customer):
    for email in (customer.email, unique_email("nobody")):
        api.post(FORGOT, {"email": email})
        assert api.post(FORGOT, {"email": email}, expect=429)["code"] == "too_many_attempts"


def test_reset_sets_the_password_ends_all_sessions_and_sends_a_notice(api, db, customer, reset, events):
    sent = {**reset(), "newPassword": NEW}
    assert api.post(RESET, sent) == {"message": "Password reset successfully. Please log in again."}
    customer.api.get(ME, expect=401)
    api.post(LOGIN, {"email": customer.email, "password": PASSWORD}, expect=401)
    api.post(LOGIN, {"email": customer.email, "password": NEW})
    notice = db.execute(
        "select data ->> 'name' from email_outbox where customer_id = %s and template = 'password-changed'",
        [customer.id],
    )
    assert notice.fetchall() == [("Ada Byron",)]
    assert events(customer.id)["password_reset"] == 1
    assert api.post(RESET, sent, expect=400) == {"error": "This link is not valid.", "code": "token_invalid"}


def test_a_reset_ends_the_wait_of_who_forgot_it_at_home(api, customer, reset):
    api.post(LOGIN, {"email": customer.email, "password": PASSWORD})  # from here on this address has its own allowance
    for _ in range(10):
        api.post(LOGIN, {"email": customer.email, "password": "wrong"}, expect=401)
    api.post(LOGIN, {"email": customer.email, "password": PASSWORD}, expect=429)
    api.post(RESET, {**reset(), "newPassword": NEW})
    api.post(LOGIN, {"email": customer.email, "password": NEW})


def test_of_fifty_uses_of_one_reset_link_one_succeeds(reset, race, events, customer):
    sent = reset()
    answers = race(50, "POST", RESET, lambda n: {**sent, "newPassword": f"{NEW} {n}"})
    assert sorted(status for status, _ in answers) == [200] + [400] * 49
    assert {body["code"] for status, body in answers if status == 400} == {"token_invalid"}
    assert events(customer.id)["password_reset"] == 1


def test_a_reset_waits_for_the_one_before_it(reset, overlap):
    sent = reset()
    values = [sent["customerId"], hash_token(sent["token"])]
    first, second = overlap("select reset_password(%s, %s, %s)", [*values, "one"], [*values, "other"])
    assert (first, getattr(second, "sqlstate", second)) == ("", "PT400")


def test_reset_refuses_expired_superseded_and_foreign_links(api, db, customer, newcomer, reset, link):
    older = reset()
    db.execute("update password_reset_tokens set expires_at = now() where customer_id = %s", [customer.id])
    assert api.post(RESET, {**older, "newPassword": NEW}, expect=400)["code"] == "token_expired"
    db.execute("update password_reset_tokens set expires_at = now() + interval '1 hour'")
    db.execute("delete from rate_limits where name = 'reset_mail'")
    newer = reset()
    assert api.post(RESET, {**older, "newPassword": NEW}, expect=400)["code"] == "token_superseded"
    foreign = {"customerId": newcomer["customerId"], "token": newer["token"], "newPassword": NEW}
    assert api.post(RESET, foreign, expect=400)["code"] == "token_invalid"
    verification = {**link(newcomer["email"]), "newPassword": NEW}
    assert api.post(RESET, verification, expect=400)["code"] == "token_invalid"
    api.post(RESET, {**newer, "newPassword": NEW})


def test_a_change_of_password_ends_reset_links_and_mails_under_way(api, customer, reset, link):
    sent = reset()
    customer.api.post(CHANGE, {"oldPassword": PASSWORD, "newPassword": NEW})
    assert api.post(RESET, {**sent, "newPassword": NEW}, expect=400)["code"] == "token_invalid"
    assert "customerId" not in link(customer.email, "password-reset")


def test_change_keeps_this_session_and_ends_the_others(api, db, customer, events):
    other = api.signed_in(api.post(LOGIN, {"email": customer.email, "password": PASSWORD})["token"])
    answer = customer.api.post(CHANGE, {"oldPassword": PASSWORD, "newPassword": NEW})
    assert answer == {"message": "Password changed successfully"}
    customer.api.get(ME)
    other.get(ME, expect=401)
    api.post(LOGIN, {"email": customer.email, "password": NEW})
    notice = "select count(*) from email_outbox where customer_id = %s and template = 'password-changed'"
    assert db.execute(notice, [customer.id]).fetchone() == (1,)
    assert events(customer.id)["password_changed"] == 1


def test_change_needs_the_current_password(customer, events):
    answer = customer.api.post(CHANGE, {"oldPassword": "not this one", "newPassword": NEW}, expect=401)
    assert answer == {"error": "Current password is incorrect", "code": "invalid_password"}
    assert events(customer.id)["wrong_password"] == 1
    customer.api.post(CHANGE, {"oldPassword": PASSWORD, "newPassword": "short"}, expect=400)
    customer.api.post(CHANGE, {"oldPassword": PASSWORD}, expect=400)


def test_change_refuses_the_address_as_password(customer):
    sent = {"oldPassword": PASSWORD, "newPassword": customer.email.upper()}
    assert customer.api.post(CHANGE, sent, expect=400) == {
        "error": "newPassword: May not be your e-mail address.",
        "code": "validation_failed",
        "details": {"newPassword": "May not be your e-mail address."},
    }


def test_of_ten_changes_at_once_one_succeeds(customer, race):
    answers = race(10, "POST", CHANGE, lambda n: {"oldPassword": PASSWORD, "newPassword": f"{NEW} {n}"}, customer.token)
    assert sorted(status for status, _ in answers) == [200] + [401] * 9


def test_guesses_at_the_current_password_end(customer):
    for _ in range(10):
        customer.api.post(CHANGE, {"oldPassword": "not this one", "newPassword": NEW}, expect=401)
    answer = customer.api.post(CHANGE, {"oldPassword": PASSWORD, "newPassword": NEW}, expect=429)
    assert answer == {"error": "Too many attempts. Please try again later.", "code": "too_many_attempts"}
    assert 200 < int(customer.api.last.headers["Retry-After"]) <= 300


@pytest.mark.parametrize("bad", ["short", "x" * 73, "password123", None, 12345678, "nul\0 in the middle"])
def test_new_passwords_follow_the_rules_wherever_they_are_set(api, customer, reset, bad):
    sent = reset()
    assert "newPassword" in api.post(RESET, {**sent, "newPassword": bad}, expect=400)["details"]
    wanted = {"oldPassword": PASSWORD, "newPassword": bad}
    assert "newPassword" in customer.api.post(CHANGE, wanted, expect=400)["details"]
