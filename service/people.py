"""Who is signed in, as the guards found them, and who acts, as the database writes it down."""

from typing import NotRequired, TypedDict, cast

from flask import g

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


class Actor(TypedDict, total=False):
    """Who acts, as SQL functions write it into audit rows: a person, and the request that they made."""

    id: int
    email: str
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


def current_actor() -> Actor:
    """The signed-in member of staff, with this request."""
    return {"id": g.staff["id"], "email": g.staff["email"], **request_facts()}
