from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.factories import PASSWORD, make_booking, unique_email

DELETED = {"message": "Account deleted successfully"}


def test_update_changes_what_is_sent_and_nothing_that_is_not_the_customers_to_change(customer, events):
    path = f"/api/customers/{customer.id}"
    forbidden = {"status": "suspended", "loyalty_points": 999, "email": "x@example.com", "verified_at": None, "id": 1}
    sent = {"name": "Ada Lovelace", "phone": "+44 20", "avatar": "https://img.example/a.png", "address": "1 St\nLondon"}
    changed = customer.api.put(path, {**sent, **forbidden})["customer"]
    assert {key: changed[key] for key in sent} == sent
    assert (changed["status"], changed["loyalty_points"], changed["email"]) == ("active", 0, customer.email)
    assert customer.api.put(path, {"phone": ""})["customer"] == {**changed, "phone": None}
    assert customer.api.get("/api/customers/me")["customer"]["phone"] is None
    assert events(customer.id)["profile_updated"] == 2


def test_update_needs_something_to_update(customer):
    for body in ({}, {"status": "active"}):
        answer = customer.api.put(f"/api/customers/{customer.id}", body, expect=400)
        assert (answer["error"], answer["code"]) == ("No fields to update", "nothing_to_update")
    bad = {"name": None, "phone": 5, "avatar": "x" * 2001, "address": {"street": "x"}}
    assert set(customer.api.put(f"/api/customers/{customer.id}", bad, expect=400)["details"]) == set(bad)


def test_everybody_sees_four_things_of_a_customer(api, customer):
    public = api.get(f"/api/customers/{customer.id}")
    verified_at = public["customer"]["verified_at"]
    assert public == {"customer": {"id": customer.id, "name": "Ada Byron", "avatar": None, "verified_at": verified_at}}
    for unknown in ("00000000-0000-4000-8000-000000000000", "17", "me2", "%00", "' or 1=1"):
        assert api.get(f"/api/customers/{unknown}", expect=404)["error"] == "Customer not found"


def test_delete_erases_the_person_keeps_the_money_and_frees_the_address(api, db, customer, events):
    booking = make_booking(
        db,
        email=customer.email,
        customer_id=customer.id,
        phone="+44",
        message="hi",
        special_requests="vegan",
        notes="Called.",
    )
    guest = make_booking(db, email=customer.email.upper())
    foreign = make_booking(db, name="Someone Else")
    payment = (
        "insert into transactions (gateway, booking_id, customer_id, amount, currency)"
        " values ('stripe', %s, %s, 29999, 'usd')"
    )
    db.execute(payment, [booking, customer.id])
    address = {"label": "Home", "street": "1 Main", "city": "Oslo", "country": "NO"}
    customer.api.post(f"/api/customers/{customer.id}/addresses", address, expect=201)

    assert customer.api.delete(f"/api/customers/{customer.id}", {"password": PASSWORD}) == DELETED
    assert customer.api.last.headers["Set-Cookie"].startswith("jklg_customer=;")

    customer.api.get("/api/customers/me", expect=401)
    customer.api.delete(f"/api/customers/{customer.id}", {"password": PASSWORD}, expect=401)
    api.get(f"/api/customers/{customer.id}", expect=404)
    kept = "select name, email, phone, message, special_requests, notes, amount from bookings where id = %s"
    for erased in (booking, guest):
        row = db.execute(kept, [erased]).fetchone()
        assert row[:2] == ("Deleted customer", "deleted@example.invalid")
        assert row[2:6] == ("", "", "", "") and float(row[6]) == 299.99
    assert db.execute(kept, [foreign]).fetchone()[0] == "Someone Else"
    assert db.execute("select amount from transactions where customer_id = %s", [customer.id]).fetchone() == (29999,)
    assert events(customer.id)["deleted"] == 1
    for table in ("customer_sessions", "customer_addresses", "customer_preferences", "email_outbox"):
        assert db.execute(f"select from {table} where customer_id = %s", [customer.id]).fetchall() == []
    again = {"email": customer.email, "password": PASSWORD, "name": "Ada Again"}
    assert api.post("/api/customers/register", again, expect=201)["customerId"] != customer.id


def test_no_mail_goes_to_who_is_deleted_whatever_address_they_booked_with(db, customer):
    booking = make_booking(db, customer_id=customer.id, email=unique_email("friend"))
    told = """
        insert into email_history (recipient_email, subject, related_to, related_id, email_type)
        values ('x@example.com', 'Dear Zaphod', 'booking', %s, 'booking_confirmation')
    """
    db.execute(told, [booking])
    customer.api.delete(f"/api/customers/{customer.id}", {"password": PASSWORD})
    assert db.execute("select recipient from email_outbox where booking_id = %s", [booking]).fetchall() == []
    kept = "select recipient_email, subject from email_history where related_id::text = %s"
    assert db.execute(kept, [str(booking)]).fetchall() == [("deleted@example.invalid", "")]
    db.execute("update bookings set status = 'Confirmed' where id = %s", [booking])
    assert db.execute("select recipient from email_outbox where booking_id = %s", [booking]).fetchall() == []


def test_a_booking_let_in_just_before_its_account_was_deleted_leaves_nothing(stack, db, customer):
    (password_hash,) = db.execute("select password_hash from customers where id = %s", [customer.id]).fetchone()
    email = unique_email("late")
    with psycopg.connect(stack.postgres.uri()) as connection, ThreadPoolExecutor(1) as threads:
        connection.execute("select delete_customer(%s, %s)", [customer.id, password_hash])
        late = threads.submit(make_booking, db, customer_id=customer.id, email=email)
        with pytest.raises(TimeoutError):
            late.result(0.2)
        connection.commit()
        with pytest.raises(psycopg.DatabaseError, match="session has ended"):
            late.result(5)
    assert db.execute("select from bookings where email = %s", [email]).fetchall() == []


def test_nothing_of_a_deleted_person_is_left_in_any_table(api, db, customer, link):
    marks = {"name": "Zaphod Marked", "phone": "+99 123", "avatar": "https://mark.example", "address": "Marked 42"}
    customer.api.put(f"/api/customers/{customer.id}", marks)
    make_booking(db, customer_id=customer.id, name=marks["name"], email=customer.email, phone=marks["phone"])
    api.post("/api/customers/forgot-password", {"email": customer.email})
    api.post("/api/customers/login", {"email": customer.email, "password": "wrong"}, expect=401)
    ticket = "insert into support_tickets (subject, customer, email) values ('Help', %s, %s) returning id"
    (ticket_id,) = db.execute(ticket, [marks["name"], customer.email]).fetchone()
    said = "insert into ticket_messages (ticket_id, name, message) values (%s, %s, 'Thanks')"
    db.execute(said, [ticket_id, marks["name"]])
    told = "insert into email_history (recipient_email, recipient_name, subject, body) values (%s, %s, %s, %s)"
    db.execute(told, [customer.email, marks["name"], "For " + marks["name"], "Dear " + marks["name"]])
    nameless = make_booking(db, name="", email="")
    paid = """
        insert into transactions (gateway, booking_id, amount, currency, metadata)
        values ('stripe', %s, 29999, 'usd', jsonb_build_object('contact', jsonb_build_object(
            'email', %s::text, 'name', %s::text)))
    """
    db.execute(paid, [nameless, customer.email, marks["name"]])
    customer.api.delete(f"/api/customers/{customer.id}", {"password": PASSWORD})
    tables = db.execute("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
    for (table,) in tables.fetchall():
        rows = " ".join(str(row) for row in db.execute(f'select to_jsonb(t) from "{table}" t').fetchall())
        assert not any(mark in rows for mark in (*marks.values(), customer.email)), table


def test_delete_needs_the_password(customer, events):
    path = f"/api/customers/{customer.id}"
    answer = customer.api.delete(path, {"password": "not this one"}, expect=401)
    assert answer == {"error": "Invalid password", "code": "invalid_password"}
    assert customer.api.delete(path, expect=400)["details"] == {"password": "Is required."}
    assert events(customer.id)["wrong_password"] == 1
    customer.api.get("/api/customers/me")


def test_an_unproven_address_gives_no_hold_over_bookings_made_with_it(api, db):
    victim = unique_email("victim")
    booking = make_booking(db, name="The Victim", email=victim)
    squatter = api.post("/api/customers/register", {"email": victim, "password": PASSWORD, "name": "S"}, expect=201)
    api.signed_in(squatter["token"]).delete(f"/api/customers/{squatter['customerId']}", {"password": PASSWORD})
    assert db.execute("select name from bookings where id = %s", [booking]).fetchone() == ("The Victim",)


def test_totals_and_points_follow_payments_and_refunds(db, customer):
    booking, currency, amount = make_booking(db, customer_id=customer.id), "usd", 29999
    (paid,) = db.execute(
        "insert into transactions (gateway, booking_id, customer_id, amount, currency, status, completed_at)"
        " values ('stripe', %s, %s, %s, %s, 'completed', now()) returning id",
        [booking, customer.id, amount, currency],
    ).fetchone()

    def totals() -> tuple[float, int, int]:
        me = customer.api.get("/api/customers/me")["customer"]
        return me["total_spent"], me["loyalty_points"], me["total_bookings"]

    assert totals() == (299.99, 29, 1)
    db.execute("update transactions set amount_refunded = %s where id = %s", [amount - 1000, paid])
    assert totals() == (10.0, 1, 1)
    db.execute("update transactions set currency = 'jpy' where id = %s", [paid])
    assert totals() == (0.0, 0, 1)  # amounts of different currencies are never added up
    db.execute("update transactions set currency = 'usd' where id = %s", [paid])
    db.execute("update transactions set amount_refunded = amount, status = 'refunded' where id = %s", [paid])
    assert totals() == (0.0, 0, 1)
    db.execute("update bookings set status = 'Cancelled' where id = %s", [booking])
    assert totals() == (0.0, 0, 0)


def test_a_call_that_was_let_in_before_the_deletion_leaves_nothing(app, api, db, customer):
    from service.customers import store
    from service.errors import ServiceError

    customer.api.delete(f"/api/customers/{customer.id}", {"password": PASSWORD})
    address = {"label": "Home", "street": "1 Main", "city": "Oslo", "country": "NO"}
    for call in (
        lambda: store.update_profile(customer.id, {"name": "Back"}),
        lambda: store.save_address(customer.id, None, address),
        lambda: store.update_preferences(customer.id, {"sms": True}),
    ):
        with app.app_context(), pytest.raises(ServiceError) as refused:
            call()
        assert (refused.value.status, refused.value.code) == (401, "session_ended")
    assert db.execute("select from customer_addresses where customer_id = %s", [customer.id]).fetchall() == []
