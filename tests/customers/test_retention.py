"""How long is kept what calls without an account leave, and what is left of a deleted account."""

import uuid

import psycopg
import pytest
from flask import Flask

from tests.factories import PASSWORD, make_booking, unique_email
from tests.sure import fetch_row

NOBODYS = 31
OLD = 2 * 366 + 1  # days


@pytest.fixture
def sweep(app: Flask):
    from service.customers import store

    def run() -> int:
        with app.app_context():
            return store.clean_expired()

    return run


def note(db: psycopg.Connection, table: str, owner: str, owner_id: object, days: int) -> str:
    """An event of that many days ago; the user agent by which ``is_kept`` finds it."""
    mark = uuid.uuid4().hex
    query = (
        f"insert into {table} ({owner}, name, actor, ip_address, user_agent, created_at)"
        " values (%s, 'login_failed', 'visitor', '10.9.9.9', %s, now() - make_interval(days => %s))"
    )
    db.execute(query, [owner_id, mark, days])
    return mark


def is_kept(db: psycopg.Connection, table: str, mark: str) -> bool:
    return db.execute(f"select from {table} where user_agent = %s", [mark]).rowcount == 1


def test_events_of_customers_are_kept_two_years_and_nobodys_a_month(db, customer, sweep):
    kept = [
        note(db, "customer_events", "customer_id", None, NOBODYS - 2),
        note(db, "customer_events", "customer_id", customer.id, NOBODYS),
        note(db, "customer_events", "customer_id", customer.id, OLD - 10),
    ]
    gone = [
        note(db, "customer_events", "customer_id", None, NOBODYS),
        note(db, "customer_events", "customer_id", customer.id, OLD),
    ]
    assert sweep() >= 2
    assert [is_kept(db, "customer_events", mark) for mark in kept + gone] == [True] * 3 + [False] * 2


def test_events_of_staff_are_kept_as_long(db, staff, sweep):
    guide = staff("Guide")
    kept = [
        note(db, "staff_events", "staff_id", None, NOBODYS - 2),
        note(db, "staff_events", "staff_id", guide.id, OLD - 10),
    ]
    gone = [
        note(db, "staff_events", "staff_id", None, NOBODYS),
        note(db, "staff_events", "staff_id", guide.id, OLD),
    ]
    sweep()
    assert [is_kept(db, "staff_events", mark) for mark in kept + gone] == [True] * 2 + [False] * 2


@pytest.mark.parametrize(("table", "owner"), [("customer_events", "customer_id"), ("staff_events", "staff_id")])
def test_of_nobodys_events_there_is_a_greatest_number(db, customer, staff, table, owner):
    somebody = customer.id if owner == "customer_id" else staff("Guide").id
    theirs = note(db, table, owner, somebody, 0)
    marks = [note(db, table, owner, None, 0) for _ in range(5)]
    db.execute("select app.purge_events(3)")
    assert [is_kept(db, table, mark) for mark in marks] == [False] * 2 + [True] * 3
    assert is_kept(db, table, theirs)


@pytest.mark.parametrize("table", ["customer_events", "staff_events", "transaction_audit_logs"])
def test_beside_the_sweep_nothing_noted_is_deleted(db, table):
    db.execute("select app.purge_events(100000)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute(f"delete from {table}")
    other = "staff_events" if table == "customer_events" else "customer_events"
    with db.transaction(), pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute("select set_config('app.purges', %s, true)", [other])
        with db.transaction():
            db.execute(f"delete from {table}")


def test_a_month_after_its_deletion_nothing_of_an_account_is_left(db, customer, sweep):
    agent = {"User-Agent": f"Marked/{uuid.uuid4().hex}"}
    customer.api.post("/api/customers/login", {"email": customer.email, "password": PASSWORD}, headers=agent)
    customer.api.delete(f"/api/customers/{customer.id}", {"password": PASSWORD}, headers=agent)
    older = note(db, "customer_events", "customer_id", customer.id, NOBODYS)
    sweep()
    assert not is_kept(db, "customer_events", older)
    addresses = "select distinct ip_address from customer_events where customer_id = %s"
    assert db.execute(addresses, [customer.id]).fetchall() == [(customer.api.address,)]
    assert db.execute("select from customers where id = %s", [customer.id]).rowcount == 1
    later(db, customer.id)
    sweep()
    assert db.execute(addresses, [customer.id]).fetchall() == []
    assert db.execute("select from customers where id = %s", [customer.id]).rowcount == 0
    tables = db.execute("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
    for (table,) in tables.fetchall():
        rows = db.execute(f'select to_jsonb(t)::text from "{table}" t').fetchall()
        marks = (customer.id, customer.email, customer.api.address, agent["User-Agent"])
        assert not any(f'"{mark}"' in row for mark in marks for (row,) in rows), table


def later(db: psycopg.Connection, customer_id: str) -> None:
    """31 days go by for the account and what was noted of it, which only the owner of the table can arrange."""
    trigger = "alter table customer_events {} trigger tg_customer_events__append_only"
    with db.transaction():
        db.execute(trigger.format("disable"))
        for table, column, key in (("customer_events", "created_at", "customer_id"), ("customers", "deleted_at", "id")):
            passed = f"update {table} set {column} = {column} - interval '31 days' where {key} = %s"
            db.execute(passed, [customer_id])
        db.execute(trigger.format("enable"))


def test_the_row_of_a_deleted_account_stays_while_a_booking_refers_to_it(db, customer, sweep):
    make_booking(db, customer_id=customer.id, email=customer.email)
    customer.api.delete(f"/api/customers/{customer.id}", {"password": PASSWORD})
    later(db, customer.id)
    sweep()
    assert db.execute("select from customers where id = %s", [customer.id]).rowcount == 1


def registered_long_ago(api, db: psycopg.Connection) -> tuple[str, str]:
    email = unique_email("never")
    given = {"email": email, "password": PASSWORD, "name": "Never Came Back"}
    customer_id = api.post("/api/customers/register", given, expect=201)["customerId"]
    db.execute("update customers set created_at = now() - interval '31 days' where id = %s", [customer_id])
    db.execute("delete from customer_sessions where customer_id = %s", [customer_id])
    return customer_id, email


def test_an_account_that_nobody_verified_goes_after_a_month(api, db, sweep):
    customer_id, email = registered_long_ago(api, db)
    sweep()
    row = "select email, name, deleted_at is not null from customers where id = %s"
    assert fetch_row(db, row, [customer_id]) == (None, None, True)
    event = "select name, actor from customer_events where customer_id = %s order by id"
    assert db.execute(event, [customer_id]).fetchall() == [("registered", "customer"), ("deleted", "worker")]
    assert db.execute("select from email_outbox where recipient = %s", [email]).rowcount == 0
    later(db, customer_id)
    sweep()
    assert db.execute("select from customers where id = %s", [customer_id]).rowcount == 0


@pytest.mark.parametrize("case", ["young", "signed in", "with a link", "with a booking", "verified", "suspended"])
def test_an_account_that_is_somebodys_stays(case, api, db, sweep, link):
    customer_id, email = registered_long_ago(api, db)
    match case:
        case "young":
            db.execute("update customers set created_at = now() - interval '29 days' where id = %s", [customer_id])
        case "signed in":
            db.execute(
                "insert into customer_sessions (customer_id, expires_at) values (%s, now() + interval '1 day')",
                [customer_id],
            )
        case "with a link":
            link(email)
        case "with a booking":
            make_booking(db, customer_id=customer_id)
        case "verified":
            db.execute("update customers set verified_at = now(), status = 'active' where id = %s", [customer_id])
        case "suspended":
            db.execute("update customers set status = 'suspended' where id = %s", [customer_id])
    sweep()
    assert fetch_row(db, "select email from customers where id = %s", [customer_id]) == (email,)


def test_the_worker_sweeps_every_hour():
    from service.customers import store
    from service.scheduled_jobs import JOBS

    assert [job.every_seconds for job in JOBS if job.run == store.clean_expired] == [3600]
