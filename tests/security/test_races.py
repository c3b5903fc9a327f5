"""One token, one session, one allowance, and many calls at once: each counts once, and what ended stays ended.

Links of customers are raced in tests/customers (test_verification.py, test_recovery.py).
"""

import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from flask import Flask

from service.credentials import new_token
from tests.client import Client
from tests.factories import PASSWORD, STAFF_PASSWORD, Customer, Staff, unique_email
from tests.sure import fetch_row
from tools.stack import Stack

Race = Callable[..., list[tuple[int, Any]]]
FIRST = "a first horse 45 staple"


@pytest.fixture
def invited(db: psycopg.Connection) -> dict[str, Any]:
    """{staffId, token} of an invitation whose mail was sent, and the address."""
    email = unique_email("invited")
    (made,) = fetch_row(
        db, "select invite_staff(jsonb_build_object('name', 'T', 'role', 'Guide', 'email', %s::text))", [email]
    )
    (mail,) = fetch_row(db, "select email_id from staff_invitations where staff_id = %s", [made["id"]])
    token, hashed = new_token()
    db.execute("select issue_staff_invitation(%s, %s, 3600)", [mail, hashed])
    return {"email": email, "link": {"staffId": made["id"], "token": token}, "hash": hashed}


def statuses(answers: list[tuple[int, Any]]) -> Counter[int]:
    return Counter(status for status, _ in answers)


def test_of_fifty_uses_of_one_invitation_one_sets_the_password(invited, race: Race, api: Client):
    answers = race(50, "POST", "/api/auth/accept-invitation", lambda n: {**invited["link"], "password": f"{FIRST} {n}"})
    assert statuses(answers) == {200: 1, 400: 49}
    (winner,) = [number for number, (status, _) in enumerate(answers) if status == 200]
    for number in {0, 1, 49, winner}:
        given = {"email": invited["email"], "password": f"{FIRST} {number}"}
        api.post("/api/auth/login", given, expect=200 if number == winner else 401)


@pytest.mark.parametrize(
    "change",
    ["email = 'moved-' || email", "status = 'Inactive'"],
    ids=["another address", "deactivated"],
)
def test_an_invitation_used_while_it_ends(change: str, invited, stack: Stack, db: psycopg.Connection, api: Client):
    """Who uses the link waits for the change that ends it, and comes too late."""
    staff_id = invited["link"]["staffId"]
    with psycopg.connect(stack.postgres.uri()) as connection, ThreadPoolExecutor(1) as threads:
        connection.execute(f"update admin_users set {change} where id = %s".encode(), [staff_id])
        use = threads.submit(
            api.post, "/api/auth/accept-invitation", {**invited["link"], "password": FIRST}, expect=400
        )
        with pytest.raises(TimeoutError):
            use.result(0.3)
        connection.commit()
        assert use.result(5)["code"] == "token_invalid"
    assert db.execute("select from staff_credentials where staff_id = %s", [staff_id]).fetchall() == []


def test_a_link_issued_while_its_invitation_is_used_is_none(invited, overlap, db: psycopg.Connection):
    """The mail is sent a second time, by a worker that lost its claim, as the first link is used."""
    staff_id = invited["link"]["staffId"]
    (mail,) = fetch_row(db, "select email_id from staff_invitations where staff_id = %s", [staff_id])
    issue = "select case when %s::uuid is null then accept_staff_invitation(%s, %s, 'x')::text" + (
        " else issue_staff_invitation(%s, %s, 3600)::text end"
    )
    _, second = overlap(issue, [None, staff_id, invited["hash"], None, None], [mail, None, None, mail, new_token()[1]])
    assert second is None
    assert db.execute("select from staff_invitations where staff_id = %s", [staff_id]).fetchall() == []


def test_a_session_ended_many_times_at_once_ends_once(staff: Callable[..., Staff], race: Race, db: psycopg.Connection):
    guide, admin = staff("Guide"), staff()
    (session,) = guide.api.get("/api/auth/sessions")["sessions"]
    answers = race(20, "DELETE", f"/api/auth/sessions/{session['id']}", token=admin.token)
    assert statuses(answers) == {200: 1, 404: 19}
    ended = "select count(*) from staff_events where staff_id = %s and name = 'session_ended'"
    assert fetch_row(db, ended, [guide.id]) == (1,)


@pytest.mark.parametrize("kind", ["customer", "staff"])
def test_logins_at_once_keep_to_twenty_sessions(kind, race: Race, db, customer: Customer, staff, app_with):
    person: Any = customer if kind == "customer" else staff("Guide")
    path = "/api/customers/login" if kind == "customer" else "/api/auth/login"
    answers = race(10, "POST", path, {"email": person.email, "password": person.password})
    answers += race(10, "POST", path, {"email": person.email, "password": person.password})
    answers += race(10, "POST", path, {"email": person.email, "password": person.password})
    assert statuses(answers)[200] > 20
    count = f"select count(*) from {kind}_sessions where {kind}_id = %s"
    assert fetch_row(db, count, [person.id]) == (20,)


def test_guesses_at_staff_at_once_do_not_slip_past_the_limit(race: Race, staff: Callable[..., Staff]):
    answers = race(40, "POST", "/api/auth/login", {"email": staff("Guide").email, "password": "wrong guess"})
    assert statuses(answers) == {401: 10, 429: 30}


def test_a_password_of_staff_that_changes_while_it_is_compared_counts_for_nothing(app: Flask, staff):
    from service.auth import store

    guide = staff("Guide")
    with app.app_context():
        found = store.begin_login(guide.email)
        given = {"email": guide.email, "currentPassword": STAFF_PASSWORD, "newPassword": FIRST}
        guide.api.post("/api/auth/change-password", given)
        assert store.finish_login(found, True, None) == {"verdict": "invalid_credentials"}


def test_staff_who_is_deactivated_while_the_password_is_compared_is_not_let_in(app: Flask, staff, db):
    from service.auth import store

    guide = staff("Guide")
    with app.app_context():
        found = store.begin_login(guide.email)
        db.execute("update admin_users set status = 'Inactive' where id = %s", [guide.id])
        assert store.finish_login(found, True, None) == {"verdict": "invalid_credentials"}
    assert db.execute("select from staff_sessions where staff_id = %s", [guide.id]).fetchall() == []


def test_staff_who_logs_in_while_being_deactivated_is_not_left_signed_in(stack: Stack, staff, db: psycopg.Connection):
    """The log-in waits for the change, which is committed after the password was compared."""
    guide = staff("Guide")
    login = (
        "select finish_staff_login(staff_id, password_hash, true, null, 60) from staff_credentials where staff_id = %s"
    )
    with psycopg.connect(stack.postgres.uri()) as connection, ThreadPoolExecutor(1) as threads:
        connection.execute("update admin_users set status = 'Inactive' where id = %s", [guide.id])
        late = threads.submit(fetch_row, db, login, [guide.id])
        with pytest.raises(TimeoutError):
            late.result(0.3)
        connection.commit()
        assert late.result(5)[0]["verdict"] == "invalid_credentials"
    assert db.execute("select from staff_sessions where staff_id = %s", [guide.id]).fetchall() == []


def test_of_ten_changes_of_a_staff_password_at_once_one_succeeds(race: Race, staff: Callable[..., Staff]):
    guide = staff("Guide")
    given = {"email": guide.email, "currentPassword": STAFF_PASSWORD}
    answers = race(
        10, "POST", "/api/auth/change-password", lambda n: {**given, "newPassword": f"{FIRST} {n}"}, guide.token
    )
    assert statuses(answers) == {200: 1, 401: 9}


def test_a_reset_and_a_verification_at_once_both_hold(api, app, db, newcomer, link, race: Race):
    verify, reset = link(newcomer["email"]), None
    api.post("/api/customers/forgot-password", {"email": newcomer["email"]})
    reset = link(newcomer["email"], "password-reset")
    calls = [
        ("/api/customers/verify-email", verify),
        ("/api/customers/reset-password", {**reset, "newPassword": FIRST}),
    ]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda call: Client(app).post(*call), calls))
    api.post("/api/customers/login", {"email": newcomer["email"], "password": FIRST})
    api.post("/api/customers/login", {"email": newcomer["email"], "password": PASSWORD}, expect=401)


def test_a_link_used_while_its_account_is_deleted_brings_nothing_back(api, app, db, customer: Customer, link):
    """Whichever comes first: the account is gone, and no session or password is left."""
    api.post("/api/customers/forgot-password", {"email": customer.email})
    reset = link(customer.email, "password-reset")

    delete = ("DELETE", f"/api/customers/{customer.id}", {"password": PASSWORD}, customer.api.headers)
    use: Any = ("POST", "/api/customers/reset-password", {**reset, "newPassword": FIRST}, {})

    def call(wanted: tuple[str, str, dict[str, str], dict[str, str]]) -> int:
        method, path, sent, headers = wanted
        return app.test_client().open(path, method=method, json=sent, headers=headers).status_code

    with ThreadPoolExecutor(2) as threads:
        deleted, was_reset = threads.map(call, (delete, use))
    # The reset that comes first ends the session and the password with which the deletion was asked for.
    assert (deleted, was_reset) in ((200, 400), (401, 200))
    left = fetch_row(db, "select password_hash is null, deleted_at is null from customers where id = %s", [customer.id])
    assert left == ((True, False) if deleted == 200 else (False, True))
    assert db.execute("select from customer_sessions where customer_id = %s", [customer.id]).fetchall() == []


def test_a_token_used_on_and_on_ends_with_the_log_out(app: Flask, customer: Customer):
    """Once the log-out is answered no call comes through, however many are under way."""
    with ThreadPoolExecutor(4) as threads:
        before = [threads.submit(_status, app, customer.token) for _ in range(40)]
        customer.api.post("/api/customers/logout")
        after = [threads.submit(_status, app, customer.token) for _ in range(40)]
        assert {call.result() for call in before} <= {200, 401}
        assert {call.result() for call in after} == {401}


def _status(app: Flask, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}", "X-Request-Id": uuid.uuid4().hex}
    return app.test_client().get("/api/customers/me", headers=headers).status_code
