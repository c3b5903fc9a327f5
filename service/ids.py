"""The forms that ids have: in bodies, in tokens, and by their parameter's name in addresses."""

import re
import uuid
from collections.abc import Callable
from typing import Any

from service.errors import NotFound

BookingId = str | int  # what bookings.id of the database is: a UUID, or a number on an older project
MAX_BIGINT = 2**63 - 1
MAX_INTEGER = 2**31 - 1


def parse_id(value: object) -> str | None:
    """A UUID or a positive whole number, of JSON or an address, as text in its usual form; None where it is neither."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    text = str(value).strip()
    if re.fullmatch(r"[1-9][0-9]{0,18}", text, re.ASCII):
        return text if int(text) <= MAX_BIGINT else None
    return parse_uuid(text) if re.fullmatch(r"[0-9a-fA-F-]{36}", text) else None


def parse_uuid(value: object) -> str | None:
    """A UUID as text in its usual form; None where it is none."""
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def parse_staff_id(value: object) -> int | None:
    """The id of a staff account, always a number; None where it cannot be one."""
    text = parse_id(value)
    return int(text) if text and text.isdecimal() and int(text) <= MAX_INTEGER else None


def parse_event_id(value: object) -> str | None:
    """The id of an event of the payment gateway; None where it cannot be one."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,255}", value, re.ASCII) else None


# The parameters of addresses that are ids, with what they are ids of.
IN_ADDRESSES: dict[str, tuple[Callable[[object], Any], str]] = {
    "customer_id": (parse_uuid, "Customer"),
    "address_id": (parse_uuid, "Address"),
    "session_id": (parse_uuid, "Session"),
    "transaction_id": (parse_uuid, "Transaction"),
    "event_id": (parse_event_id, "Event"),
    "user_id": (parse_staff_id, "User"),
    "booking_id": (parse_id, "Booking"),
    "destination_id": (parse_id, "Destination"),
    "package_id": (parse_id, "Package"),
    "picture_id": (parse_id, "Picture"),
    "testimonial_id": (parse_id, "Testimonial"),
}


def read_parameter(name: str, text: str) -> Any:
    """A parameter of an address, parsed where it is an id. Raises ``NotFound`` where it cannot be one."""
    if name not in IN_ADDRESSES:
        return text
    parse, thing = IN_ADDRESSES[name]
    found = parse(text)
    if found is None:
        raise NotFound.of(thing)
    return found
