"""Who is signed in, as the guards found them, and who acts, as the database writes it down."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NotRequired, TypedDict, cast

from flask import g, has_request_context

from service.logs import request_facts


class Customer(TypedDict):
    """A customer as they see themselves."""

    id: str
    email: str
    name: str
    phone: str | None
    avatar: str | None
    address: str | None
    verified_at: str | None
    status: str
    loyalty_points: int
    total_bookings: int
    total_spent: float
    created_at: str


class SignedInCustomer(Customer):
    session_id: str
    password_hash: NotRequired[str]  # where the guard was asked for it


class StaffMember(TypedDict):
    """A member of staff who is signed in."""

    id: int
    email: str
    name: str
    role: str
    session_id: str
    permissions: list[str]


class Actor(TypedDict, total=False):
    """Who acts, as app.actor() reads it for audit rows: a name, the id where it is staff's, and the request."""

    name: str | None
    id: int
    ip: str | None
    user_agent: str
    request_id: str


def current_customer() -> SignedInCustomer:
    """The customer that ``customer_required`` found."""
    return cast(SignedInCustomer, g.customer)


def customer_or_guest() -> SignedInCustomer | None:
    """The customer that ``customer_optional`` found; None for a guest."""
    return cast(SignedInCustomer | None, g.customer)


def current_staff() -> StaffMember:
    """The member of staff that ``staff_required`` found."""
    return cast(StaffMember, g.staff)


_acting: ContextVar[str | None] = ContextVar("acting", default=None)


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Outside of a request: whom audit rows name."""
    token = _acting.set(name)
    try:
        yield
    finally:
        _acting.reset(token)


def current_actor() -> Actor:
    """Who makes the request that is being served, or who runs the command."""
    if not has_request_context():
        return {"name": _acting.get()}
    facts = request_facts()
    actor: Actor = {"name": "customer", "ip": facts["ip"], "user_agent": facts["user_agent"]}
    actor["request_id"] = facts["request_id"]
    if staff := g.get("staff"):
        actor["name"], actor["id"] = staff["email"], staff["id"]
    return actor
