"""People and things that tests start from, made through the routes where there is one."""

import itertools
import uuid
from dataclasses import dataclass
from typing import Any

import bcrypt
import psycopg

from tests.client import Client
from tests.sure import fetch_row

PASSWORD = "correct horse 42 staple"
STAFF_PASSWORD = "staff horse 42 staple"

_numbers = itertools.count(1)
_unused = itertools.count(900_000)


@dataclass
class Customer:
    id: str
    email: str
    password: str
    token: str
    api: Client


@dataclass
class Staff:
    id: int
    email: str
    password: str
    role: str
    token: str
    api: Client


def unique_email(name: str = "person") -> str:
    return f"{name}-{next(_numbers)}@example.com"


def make_customer(api: Client, db: psycopg.Connection, **profile: Any) -> Customer:
    """A customer with a proven address and a session."""
    given = {"email": unique_email("customer"), "password": PASSWORD, "name": "Ada Byron", **profile}
    answer = api.post("/api/customers/register", given, expect=201)
    proven = "update customers set status = 'active', verified_at = now(), owner_proven_at = now() where id = %s"
    db.execute(proven, [answer["customerId"]])
    token = answer["token"]
    return Customer(answer["customerId"], given["email"], given["password"], token, api.signed_in(token))


def make_staff(api: Client, db: psycopg.Connection, role: str = "Admin") -> Staff:
    """A member of staff with a session."""
    email = unique_email(role.lower())
    hashed = bcrypt.hashpw(STAFF_PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (staff_id,) = fetch_row(
        db,
        "with staff as (insert into admin_users (name, email, role) values (%s, %s, %s) returning id)"
        " insert into staff_credentials (staff_id, password_hash) select id, %s from staff returning staff_id",
        [f"{role} Person", email, role, hashed],
    )
    token = api.post("/api/auth/login", {"email": email, "password": STAFF_PASSWORD})["token"]
    return Staff(staff_id, email, STAFF_PASSWORD, role, token, api.signed_in(token))


class RowId(str):
    """An id as text that equals what the database answers: a UUID, or a number on an older project."""

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, str(other))

    def __hash__(self) -> int:
        return hash(int(self)) if self.isdecimal() else str.__hash__(self)


def unused_booking_id(db: psycopg.Connection) -> str:
    """An id, in the form of the database, that no booking has yet."""
    (kind,) = fetch_row(db, "select format_type(typbasetype, null) from pg_type where typname = 'booking_key'")
    return str(uuid.uuid4()) if kind == "uuid" else str(next(_unused))


def make_booking(db: psycopg.Connection, **columns: Any) -> str:
    """A booking as the database holds it; the answer is its id as text."""
    row = {
        "source": "Website",
        "name": "Ada Byron",
        "email": unique_email("guest"),
        "package": "Northern Lights",
        "travel_date": "2027-06-01",
        "amount": 299.99,
        "currency": "usd",
        **columns,
    }
    names = ", ".join(row)
    marks = ", ".join(["%s"] * len(row))
    query = f"insert into bookings ({names}) values ({marks}) returning id"
    return RowId(fetch_row(db, query, list(row.values()))[0])
