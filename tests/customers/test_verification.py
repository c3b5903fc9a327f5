from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from service.credentials import hash_token
from tests.factories import make_booking, make_customer, unique_email
from tests.sure import fetch_row

VERIFY = "/api/customers/verify-email"
RESEND = "/api/customers/resend-verification"


def test_verify_activates_the_account_and_a_second_click_says_so(api, newcomer, link, events):
    clicked = link(newcomer["email"])
    answer = api.post(VERIFY, clicked)
    assert answer["message"] == "Email verified successfully"
    assert answer["customer"]["status"] == "active" and answer["customer"]["verified_at"]
    assert api.post(VERIFY, clicked) == {"message": "Email is already verified"}
    assert events(newcomer["customerId"]) == {"registered": 1, "verified": 1}


def test_of_fifty_clicks_on_one_link_one_verifies(newcomer, link, race, events):
    answers = race(50, "POST", VERIFY, link(newcomer["email"]))
    assert {status for status, _ in answers} == {200}
    assert [body["message"] for _, body in answers].count("Email verified successfully") == 1
    assert events(newcomer["customerId"])["verified"] == 1


def test_a_click_waits_for_the_one_before_it(newcomer, link, overlap):
    clicked = link(newcomer["email"])
    values = [newcomer["customerId"], hash_token(clicked["token"])]
    first, second = overlap("select verify_email(%s, %s)", values, values)
    assert (first["is_first"], second) == (True, {"is_first": False})


def test_verify_refuses_wrong_expired_and_superseded_links(api, db, newcomer, link):
    expired = link(newcomer["email"], ttl=0)
    assert api.post(VERIFY, expired, expect=400)["code"] == "token_expired"
    older = link(newcomer["email"])
    api.post(RESEND, {"email": newcomer["email"]})
    newer = link(newcomer["email"])
    assert api.post(VERIFY, older, expect=400) == {
        "error": "A newer link was sent to you. Please use that one.",
        "code": "token_superseded",
    }
    wrong = {"customerId": newer["customerId"], "token": "guess"}
    assert api.post(VERIFY, wrong, expect=400) == {"error": "This link is not valid.", "code": "token_invalid"}
    stranger = {"customerId": "00000000-0000-4000-8000-000000000000", "token": newer["token"]}
    assert api.post(VERIFY, stranger, expect=400)["code"] == "token_invalid"
    api.post(VERIFY, newer)
    assert api.post(VERIFY, wrong, expect=400)["code"] == "token_invalid"


def test_expiry_is_decided_by_the_database_to_the_second(api, db, newcomer, link):
    clicked = link(newcomer["email"])
    set_expiry = "update email_verification_tokens set expires_at = now() + %s::interval where customer_id = %s"
    db.execute(set_expiry, ["-1 second", newcomer["customerId"]])
    assert api.post(VERIFY, clicked, expect=400)["code"] == "token_expired"
    db.execute(set_expiry, ["5 seconds", newcomer["customerId"]])
    api.post(VERIFY, clicked)


def test_both_links_of_a_mail_that_was_sent_twice_work_until_one_is_used(api, newcomer, link):
    first, second = link(newcomer["email"]), link(newcomer["email"])
    api.post(VERIFY, first)
    assert api.post(VERIFY, second) == {"message": "Email is already verified"}


def test_a_link_is_not_minted_for_a_mail_without_purpose(api, newcomer, link):
    api.post(VERIFY, link(newcomer["email"]))
    assert "customerId" not in link(newcomer["email"])


def test_a_link_is_not_minted_while_a_newer_mail_of_the_kind_waits(api, db, newcomer):
    mails = "select id from email_outbox where recipient = %s order by created_at"
    api.post(RESEND, {"email": newcomer["email"]})
    older, newer = [row[0] for row in db.execute(mails, [newcomer["email"]])]
    mint = "select issue_email_token(%s, %s, 3600)"
    assert db.execute(mint, [older, "a" * 64]).fetchone() == (None,)
    assert db.execute(mint, [newer, "b" * 64]).fetchone() == ({"customer_id": newcomer["customerId"]},)


def test_verify_refuses_bad_input(api):
    answer = api.post(VERIFY, {"customerId": 7}, expect=400)
    assert answer["details"] == {"customerId": "Is not a valid id.", "token": "Is required."}


def test_reading_the_link_changes_nothing(api, newcomer, link):
    clicked = link(newcomer["email"])
    for _ in range(10):
        api.get(VERIFY, query_string=clicked, expect=404)
        assert api.http.head(VERIFY, query_string=clicked).status_code == 404
    api.post(VERIFY, clicked)


def test_guest_bookings_become_the_customers_once_the_address_is_proven(api, db, newcomer, customer, link):
    mine, second = (make_booking(db, email=email) for email in (newcomer["email"].upper(), newcomer["email"]))
    other = make_booking(db, email=unique_email("other"))
    taken = make_booking(db, email=newcomer["email"], customer_id=customer.id)
    me = api.signed_in(newcomer["token"])
    mine_path = f"/api/customers/{newcomer['customerId']}/bookings"
    assert me.get(mine_path)["bookings"] == []
    customer = me.post(VERIFY, link(newcomer["email"]))["customer"]  # in the browser that registered
    assert customer["total_bookings"] == 2
    assert {booking["id"] for booking in me.get(mine_path)["bookings"]} == {mine, second}
    for foreign in (other, taken):
        me.get(f"{mine_path}/{foreign}", expect=404)


@pytest.mark.parametrize("proof", ["verify", "delete"])
def test_a_booking_made_while_its_address_is_proven_or_given_up(stack, db, api, newcomer, proof):
    """Each waits for the other, so that neither misses it."""
    customer_id, email = newcomer["customerId"], newcomer["email"]
    query, given = "select verify_customer_by_hand(%s)", [email]
    if proof == "delete":
        db.execute(query, given)
        (password_hash,) = fetch_row(db, "select password_hash from customers where id = %s", [customer_id])
        query, given = "select delete_customer(%s, %s)", [customer_id, password_hash]
    with psycopg.connect(stack.postgres.uri()) as connection, ThreadPoolExecutor(1) as threads:
        booking = make_booking(connection, email=email)
        waiting = threads.submit(db.execute, query, given)
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        connection.commit()
        waiting.result(5)
    found = fetch_row(db, "select customer_id::text, email from bookings where id = %s", [booking])
    assert found == (customer_id, email if proof == "verify" else "deleted@example.invalid")


def test_bookings_that_change_hands_both_ways_at_once_do_not_lock_each_other_out(stack, db, api):
    """Whichever way a booking goes, the lower of the two customers is locked first."""
    low, high = sorted(make_customer(api, db).id for _ in range(2))
    booking = make_booking(db, customer_id=high)
    row = "select id from customers where id = %s for no key update"
    with psycopg.connect(stack.postgres.uri()) as holder, ThreadPoolExecutor(1) as threads:
        holder.execute(row, [low])
        handing = threads.submit(db.execute, "update bookings set customer_id = %s where id = %s", [low, booking])
        with pytest.raises(TimeoutError):
            handing.result(0.2)
        assert holder.execute(row + " skip locked", [high]).fetchone()
        holder.commit()
        handing.result(5)


def test_resend_answers_the_same_for_every_address(api, customer, newcomer):
    answers = []
    for email in (unique_email("nobody"), customer.email, newcomer["email"]):
        body = api.post(RESEND, {"email": email})
        headers = {k: v for k, v in api.last.headers if k != "X-Request-Id"}
        answers.append((body, headers))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == {"message": "If this address is waiting to be verified, a new link is on its way."}


def test_resend_mails_only_whom_it_helps(api, db, customer, newcomer):
    count = "select count(*) from email_outbox where recipient = %s and template = 'email-verification'"
    api.post(RESEND, {"email": customer.email})
    api.post(RESEND, {"email": newcomer["email"]})
    assert db.execute(count, [customer.email]).fetchone() == (1,)
    assert db.execute(count, [newcomer["email"]]).fetchone() == (2,)


def test_resend_is_limited_by_address_known_or_not(api, newcomer):
    for email in (newcomer["email"], unique_email("nobody")):
        api.post(RESEND, {"email": email})
        answer = api.post(RESEND, {"email": email.upper()}, expect=429)
        assert answer == {"error": "Too many attempts. Please try again later.", "code": "too_many_attempts"}
        assert 1 <= int(api.last.headers["Retry-After"]) <= 60


def test_nothing_that_is_stored_is_a_link_or_a_session(api, db, newcomer, link):
    """Who reads the whole database, the outbox included, can neither verify, nor reset, nor sign in with it."""
    link(newcomer["email"])
    api.post("/api/customers/forgot-password", {"email": newcomer["email"]})
    link(newcomer["email"], "password-reset")
    stored = set()
    for table, key in [
        ("customers", "id"),
        ("customer_sessions", "customer_id"),
        ("email_verification_tokens", "customer_id"),
        ("password_reset_tokens", "customer_id"),
        ("email_outbox", "customer_id"),
        ("customer_events", "customer_id"),
    ]:
        rows = db.execute(f"select to_jsonb(t) from {table} t where {key} = %s", [newcomer["customerId"]]).fetchall()
        assert rows, table
        stored |= {value for (row,) in rows for value in row.values() if isinstance(value, str) and value.strip()}
    for value in stored:
        sent = {"customerId": newcomer["customerId"], "token": value[:200]}
        assert api.post(VERIFY, sent, expect=400)["code"] == "token_invalid"
        sent["newPassword"] = "an entirely new one"
        assert api.post("/api/customers/reset-password", sent, expect=400)["code"] == "token_invalid"
        api.signed_in(value).get("/api/customers/me", expect=401)
