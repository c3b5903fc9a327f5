import json

from tests.factories import PASSWORD, make_booking


def test_export_holds_everything_about_the_customer_and_no_secret(api, db, customer):
    booking = make_booking(db, customer_id=customer.id, email=customer.email)
    db.execute(
        "insert into transactions (gateway, booking_id, customer_id, amount, currency)"
        " values ('stripe', %s, %s, 29999, 'usd')",
        [booking, customer.id],
    )
    ticket = "insert into support_tickets (subject, customer, email) values ('Visa?', 'Ada', %s) returning id"
    (ticket_id,) = db.execute(ticket, [customer.email.upper()]).fetchone()
    db.execute("insert into ticket_messages (ticket_id, message) values (%s, 'Soon?')", [ticket_id])
    address = {"label": "Home", "street": "1 Main", "city": "Oslo", "country": "NO"}
    customer.api.post(f"/api/customers/{customer.id}/addresses", address, expect=201)
    api.post("/api/customers/login", {"email": customer.email, "password": "wrong one"}, expect=401)
    document = customer.api.get("/api/customers/me/export")
    assert set(document) == {
        "exported_at", "customer", "preferences", "addresses", "sessions", "bookings", "payments", "emails", "events",
        "tickets"
    }  # fmt: skip
    assert document["customer"] == customer.api.get("/api/customers/me")["customer"]
    assert [row["id"] for row in document["bookings"]] == [booking]
    assert [(row["amount"], row["currency"], row["booking_id"]) for row in document["payments"]] == [
        (29999, "usd", booking)
    ]
    assert [row["label"] for row in document["addresses"]] == ["Home"]
    told = [(row["subject"], [said["message"] for said in row["messages"]]) for row in document["tickets"]]
    assert told == [("Visa?", ["Soon?"])]
    assert [row["template"] for row in document["emails"]] == ["email-verification", "booking-received"]
    assert [row["name"] for row in document["events"]] == ["registered", "address_added", "login_failed", "exported"]
    failed = document["events"][2]
    assert failed["ip_address"] == api.address and failed["request_id"] and failed["actor"] == "customer"
    text = json.dumps(document)
    (hashed,) = db.execute("select password_hash from customers where id = %s", [customer.id]).fetchone()
    assert hashed not in text and PASSWORD not in text and "token" not in text and "hash" not in text


def test_the_audit_log_is_never_changed_or_deleted(db, customer):
    import psycopg
    import pytest

    for statement in (
        "update customer_events set name = 'nothing'",
        "delete from customer_events",
        "truncate customer_events",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            db.execute(statement)
