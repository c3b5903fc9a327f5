"""Staff lists, changes, assigns and deletes bookings."""

import psycopg
import pytest

from tests.client import Client
from tests.factories import make_booking

MISSING = "00000000-0000-4000-8000-000000000000"
NOT_FOUND = {"error": "Booking not found", "code": "booking_not_found"}


def pay(db: psycopg.Connection, booking_id: str) -> None:
    columns = (
        "insert into transactions (gateway, booking_id, amount, currency, status)"
        " values ('stripe', %s, 29999, 'usd', 'completed')"
    )
    db.execute(columns, [booking_id])


def test_the_list_is_bare_and_newest_first(staff, db: psycopg.Connection):
    made = [make_booking(db, created_at=f"2040-01-0{day}") for day in (1, 2, 3)]
    rows = staff("Guide").api.get("/api/bookings")
    assert [row["id"] for row in rows[:3]] == made[::-1]
    assert (rows[0]["name"], rows[0]["amount"], rows[0]["payment_status"]) == ("Ada Byron", 299.99, "Pending")


def test_the_list_has_pages(staff, db: psycopg.Connection):
    made = [make_booking(db, created_at=f"2041-01-0{day}") for day in (1, 2, 3)]
    api = staff("Guide").api
    assert [row["id"] for row in api.get("/api/bookings?limit=2")] == [made[2], made[1]]
    assert api.get("/api/bookings?limit=2&page=2")[0]["id"] == made[0]
    assert api.get("/api/bookings?limit=100&page=9000") == []
    for query in ("limit=0", "limit=101", "page=0", "page=x", "limit=1e3"):
        assert api.get(f"/api/bookings?{query}", expect=400)["code"] == "validation_failed"


def test_known_columns_change(staff, db: psycopg.Connection):
    booking_id = make_booking(db)
    changes = {"status": "Confirmed", "notes": "Called.", "amount": "310.50", "travel_date": "2031-01-02T00:00:00.000Z"}
    body = staff("Support").api.patch(
        f"/api/bookings/{booking_id}", {**changes, "customer_id": MISSING, "payment_id": "pi"}
    )
    assert body["success"] is True
    (row,) = body["data"]
    assert (row["status"], row["notes"], row["amount"], row["travel_date"]) == (
        "Confirmed",
        "Called.",
        310.5,
        "2031-01-02",
    )
    assert (row["customer_id"], row["payment_id"]) == (None, None)


@pytest.mark.parametrize(
    "changes",
    [
        *({"status": "Done"}, {"amount": -1}, {"amount": "much"}, {"amount": 1e12}, {"travel_date": "x"}),
        *({"number_of_guests": 0}, {"email": "x"}, {"payment_status": "Failed"}, {"name": None}),
    ],
)
def test_a_bad_change_is_refused(changes: dict, staff, db: psycopg.Connection):
    booking_id = make_booking(db)
    body = staff().api.patch(f"/api/bookings/{booking_id}", changes, expect=400)
    assert set(body["details"]) == set(changes)


def test_nothing_to_change(staff, db: psycopg.Connection):
    body = staff().api.patch(f"/api/bookings/{make_booking(db)}", {"unknown": 1}, expect=400)
    assert body["error"] == "No fields to update"


def test_a_change_of_payment_or_assignment_takes_its_own_permission(staff, db: psycopg.Connection):
    booking_id = make_booking(db)
    support, manager = staff("Support").api, staff("Manager").api
    for changes, needed in (
        ({"payment_status": "Paid"}, "bookings_update_payment"),
        ({"assigned_to": "Dorje"}, "bookings_reassign"),
    ):
        body = support.patch(f"/api/bookings/{booking_id}", changes, expect=403)
        assert body["error"] == f"Insufficient permissions. Required: {needed}"
    (row,) = manager.patch(f"/api/bookings/{booking_id}", {"payment_status": "Paid", "assigned_to": "Dorje"})["data"]
    assert (row["payment_status"], row["assigned_to"]) == ("Paid", "Dorje")


@pytest.mark.parametrize("path", [MISSING, "77777", "abc"])
def test_what_is_not_there_cannot_be_changed(path: str, staff):
    admin = staff().api
    assert admin.patch(f"/api/bookings/{path}", {"notes": "x"}, expect=404) == NOT_FOUND
    assert admin.delete(f"/api/bookings/{path}", expect=404) == NOT_FOUND


def test_a_booking_is_assigned(staff, db: psycopg.Connection):
    booking_id = make_booking(db)
    manager = staff("Manager").api
    body = manager.post("/api/bookings/assign", {"id": booking_id, "assigned_to": "Dorje"})
    assert (body["success"], body["data"][0]["assigned_to"]) == (True, "Dorje")
    assert manager.post("/api/bookings/assign", {"id": booking_id, "assigned_to": None})["data"][0]["assigned_to"] == ""
    assert manager.post("/api/bookings/assign", {"id": booking_id, "assigned_to": 7})["data"][0]["assigned_to"] == "7"
    assert manager.post("/api/bookings/assign", {"id": MISSING, "assigned_to": "x"}, expect=404) == NOT_FOUND
    assert "id" in manager.post("/api/bookings/assign", {"id": "abc", "assigned_to": "x"}, expect=400)["details"]


def test_a_payment_is_noted_by_hand_with_an_audit_row(staff, db: psycopg.Connection):
    booking_id = make_booking(db)
    manager = staff("Manager")
    body = manager.api.post(
        "/api/bookings/update-payment", {"id": booking_id, "payment_status": "Paid", "amount": 250.75}
    )
    assert (body["success"], body["data"]["payment_status"], body["data"]["status"]) == (True, "Paid", "Confirmed")
    audit = db.execute(
        "select t.gateway, t.amount, t.status, a.changed_by from transactions t"
        " join transaction_audit_logs a on a.transaction_id = t.id where t.booking_id = %s",
        [booking_id],
    ).fetchall()
    assert audit == [("manual", 25075, "completed", manager.email)]
    body = manager.api.post("/api/bookings/update-payment", {"id": booking_id, "payment_status": "Refunded"})
    assert body["data"]["payment_status"] == "Refunded"
    given = {"id": MISSING, "payment_status": "Paid"}
    assert manager.api.post("/api/bookings/update-payment", given, expect=404) == NOT_FOUND


@pytest.mark.parametrize("change", [{"payment_status": "Failed"}, {"amount": -1}, {"amount": "x"}, {"id": None}])
def test_a_bad_payment_is_refused(change: dict, staff, db: psycopg.Connection):
    given = {"id": make_booking(db), "payment_status": "Paid", **change}
    assert set(staff().api.post("/api/bookings/update-payment", given, expect=400)["details"]) == set(change)


def test_a_booking_is_deleted(staff, db: psycopg.Connection):
    booking_id = make_booking(db)
    admin = staff().api
    assert admin.delete(f"/api/bookings/{booking_id}") == {"success": True, "message": "Booking deleted successfully"}
    assert admin.delete(f"/api/bookings/{booking_id}", expect=404) == NOT_FOUND


def test_a_booking_with_money_attached_stays(staff, api: Client, db: psycopg.Connection):
    booking_id = make_booking(db)
    pay(db, booking_id)
    body = staff().api.delete(f"/api/bookings/{booking_id}", expect=409)
    assert body["code"] == "booking_has_payments"
    api.get(f"/api/bookings/{booking_id}")


def test_many_are_deleted_and_really_counted(staff, db: psycopg.Connection):
    plain, paid = [make_booking(db) for _ in range(3)], make_booking(db)
    pay(db, paid)
    admin, path = staff().api, "/api/bookings/bulk-delete"
    body = admin.post(path, {"ids": [*plain, paid]}, expect=409)
    assert body["code"] == "booking_has_payments" and "Nothing was deleted" in body["error"]
    body = admin.post(path, {"ids": [*plain, plain[0], MISSING, 77777]})
    assert body == {"success": True, "message": "3 bookings deleted successfully", "deletedCount": 3}
    assert admin.post(path, {"ids": plain}, expect=404) == NOT_FOUND
    left = db.execute("select id::text from bookings where id::text = any (%s)", [[*plain, paid]]).fetchall()
    assert left == [(paid,)]


@pytest.mark.parametrize("ids", [[], None, "x", ["abc"], [1.5], [None], ["7"] * 501])
def test_a_bad_list_of_ids_is_refused(ids: object, staff):
    assert "ids" in staff().api.post("/api/bookings/bulk-delete", {"ids": ids}, expect=400)["details"]
