"""Accounts of staff without an account to make them with: `flask staff create`, and the mailed link to a password."""

from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.client import Client
from tests.factories import unique_email
from tests.sure import fetch_row, match

PASSWORD = "a first horse 45 staple"


@pytest.fixture
def flask_command(app):
    """Runs `flask …`; what it was asked is typed in."""
    runner = app.test_cli_runner()
    return lambda *arguments, typed="": runner.invoke(args=list(arguments), input=typed)


def invite(flask_command, deliver, mailbox, role: str = "Guide") -> tuple[str, dict[str, object]]:
    """(address, {staffId, token} of the mailed link)."""
    email = unique_email("invited")
    result = flask_command("staff", "create", email, "--role", role, "--name", "Tenzin", "--invite")
    assert result.exit_code == 0, result.output
    deliver()
    letter = mailbox.wait_for(email, "")
    link = urlsplit(match(r"https?://\S+/staff/set-password\?\S+", letter["text"])[0])
    query = parse_qs(link.query)
    return email, {"staffId": int(query["staffId"][0]), "token": query["token"][0]}


def test_an_account_with_a_typed_password(flask_command, api: Client):
    email = unique_email("first")
    result = flask_command("staff", "create", email.upper(), "--role", "Manager", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert (result.exit_code, f"{email} can log in as Manager." in result.output) == (0, True)
    assert PASSWORD not in result.output
    assert api.post("/api/auth/login", {"email": email, "password": PASSWORD})["user"]["role"] == "Manager"
    result = flask_command("staff", "create", email, typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert (result.exit_code, "already exists" in result.output) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "typed", "said"),
    [
        (["nobody"], "", "not a valid e-mail"),
        (["a@example.com"], "short\nshort\n", "at least 8"),
        (["a@example.com", "--role", "Owner"], "", "Invalid value"),
    ],
)
def test_a_bad_account_is_refused(arguments: list[str], typed: str, said: str, flask_command):
    result = flask_command("staff", "create", *arguments, typed=typed)
    assert (result.exit_code != 0, said in result.output) == (True, True), result.output


def test_a_link_to_a_password_works_once(flask_command, deliver, mailbox, api: Client, db: psycopg.Connection):
    email, link = invite(flask_command, deliver, mailbox)
    api.post("/api/auth/login", {"email": email, "password": PASSWORD}, expect=401)
    weak = api.post("/api/auth/accept-invitation", {**link, "password": "short"}, expect=400)
    assert set(weak["details"]) == {"password"}
    body = api.post("/api/auth/accept-invitation", {**link, "password": PASSWORD})
    assert body == {"success": True, "message": "Your password is set. You can log in now."}
    assert api.post("/api/auth/login", {"email": email, "password": PASSWORD})["user"]["name"] == "Tenzin"
    again = api.post("/api/auth/accept-invitation", {**link, "password": "quite another 46"}, expect=400)
    assert again["code"] == "token_invalid"
    assert str(link["token"]) not in str(
        db.execute("select data from email_outbox where recipient = %s", [email]).fetchall()
    )


def test_a_link_expires_and_is_nobody_elses(flask_command, deliver, mailbox, api: Client, db: psycopg.Connection):
    email, link = invite(flask_command, deliver, mailbox)
    _, other = invite(flask_command, deliver, mailbox)
    for wrong in ({**link, "token": other["token"]}, {**link, "token": "x"}, {**link, "staffId": 2**31 - 1}):
        body = api.post("/api/auth/accept-invitation", {**wrong, "password": PASSWORD}, expect=400)
        assert body["code"] == "token_invalid"
    db.execute("update staff_invitations set expires_at = now() where staff_id = %s", [link["staffId"]])
    body = api.post("/api/auth/accept-invitation", {**link, "password": PASSWORD}, expect=400)
    assert body["code"] == "token_expired"


def test_another_invitation_ends_the_first(flask_command, deliver, mailbox, api: Client):
    email, first = invite(flask_command, deliver, mailbox)
    assert flask_command("staff", "create", email, "--invite").exit_code == 0
    deliver()
    body = api.post("/api/auth/accept-invitation", {**first, "password": PASSWORD}, expect=400)
    assert body["code"] == "token_invalid"


ENDS = {
    "another address": "update admin_users set email = 'other-' || email where id = %s",
    "another address and back": "update admin_users set email = 'x' || email where id = %(id)s;"
    "update admin_users set email = substr(email, 2) where id = %(id)s",
    "deactivated": "update admin_users set status = 'Inactive' where id = %s",
    "deactivated and active again": "update admin_users set status = 'Inactive' where id = %(id)s;"
    "update admin_users set status = 'Active' where id = %(id)s",
    "a password by another hand": "insert into staff_credentials (staff_id, password_hash) values (%s, 'x')",
    "deleted": "delete from admin_users where id = %s",
}


def end(db: psycopg.Connection, statements: str, staff_id: object) -> None:
    for statement in statements.replace("%(id)s", "%s").split(";"):
        db.execute(statement, [staff_id])


@pytest.mark.parametrize("case", ENDS)
def test_an_invitation_ends_with_its_purpose(
    case, flask_command, deliver, mailbox, api: Client, db: psycopg.Connection
):
    _, link = invite(flask_command, deliver, mailbox)
    end(db, ENDS[case], link["staffId"])
    body = api.post("/api/auth/accept-invitation", {**link, "password": PASSWORD}, expect=400)
    assert body["code"] == "token_invalid"


@pytest.mark.parametrize("case", ENDS)
def test_a_mail_whose_invitation_ended_is_not_sent(case: str, flask_command, deliver, db: psycopg.Connection):
    email = unique_email("invited")
    assert flask_command("staff", "create", email, "--invite").exit_code == 0
    (staff_id,) = fetch_row(db, "select id from admin_users where email = %s", [email])
    end(db, ENDS[case], staff_id)
    deliver()
    mails = "select state from email_outbox where template = 'staff-invitation' and recipient = %s"
    assert db.execute(mails, [email]).fetchall() == [("dropped",)]


def test_a_change_that_leaves_the_purpose_leaves_the_invitation(
    flask_command, deliver, mailbox, staff, api: Client, db: psycopg.Connection
):
    _, link = invite(flask_command, deliver, mailbox)
    staff().api.put(f"/api/users/{link['staffId']}", {"name": "New Name", "role": "Support"})
    api.post("/api/auth/accept-invitation", {**link, "password": PASSWORD})


def test_staffs_page_ends_the_invitation_too(flask_command, deliver, mailbox, staff, api: Client):
    """The site changes accounts straight through /rest/v1."""
    email, link = invite(flask_command, deliver, mailbox)
    page = {"Cookie": f"jklg_staff={staff().token}", "Origin": "http://localhost"}
    moved = {"email": f"moved-{email}"}
    api.patch(f"/rest/v1/admin_users?id=eq.{link['staffId']}", moved, headers=page, expect=204)
    api.post("/api/auth/accept-invitation", {**link, "password": PASSWORD}, expect=400)


def test_a_newer_invitation_ends_the_link_before_its_mail_is_sent(flask_command, deliver, mailbox, api: Client):
    email, first = invite(flask_command, deliver, mailbox)
    assert flask_command("staff", "create", email, "--invite").exit_code == 0
    body = api.post("/api/auth/accept-invitation", {**first, "password": PASSWORD}, expect=400)
    assert body["code"] == "token_invalid"


def test_a_deactivated_account_is_not_invited(flask_command, db: psycopg.Connection):
    email = unique_email("gone")
    db.execute("insert into admin_users (name, email, status) values ('Gone', %s, 'Inactive')", [email])
    result = flask_command("staff", "create", email, "--invite")
    assert (result.exit_code, "deactivated" in result.output) == (1, True)


def test_an_account_with_a_password_is_not_invited(flask_command, staff):
    result = flask_command("staff", "create", staff("Guide").email, "--invite")
    assert (result.exit_code, "already exists" in result.output) == (1, True)


def test_the_page_of_the_link_is_there_and_spends_nothing(flask_command, deliver, mailbox, api: Client):
    _, link = invite(flask_command, deliver, mailbox)
    for _ in range(3):
        page = api.get(f"/staff/set-password?token={link['token']}&staffId={link['staffId']}").decode()
        assert "<form" in page
        assert api.last.headers["Referrer-Policy"] == "no-referrer"
        assert "script-src 'self'" in api.last.headers["Content-Security-Policy"]
        assert b"accept-invitation" in api.get("/staff/set-password.js")
    api.post("/api/auth/accept-invitation", {**link, "password": PASSWORD})
