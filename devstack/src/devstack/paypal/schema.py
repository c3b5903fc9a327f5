"""What bodies may hold, by PayPal's OpenAPI files; what those allow and nobody here acts on is refused, not ignored."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from . import errors

Check = Callable[[Any, str], None]


def text(most: int, least: int = 1, pattern: str = "") -> Check:
    """A string of so many characters, all of it of the pattern."""

    def check(value: Any, field: str) -> None:
        if not isinstance(value, str):
            raise errors.invalid(field, "This is a text.", "INVALID_PARAMETER_SYNTAX", value)
        if not least <= len(value) <= most:
            raise errors.invalid(field, f"It has {least} to {most} characters.", "INVALID_STRING_LENGTH", value)
        if pattern and not re.fullmatch(pattern, value, re.ASCII):
            raise errors.invalid(field, "It is not of the form that is asked for.", "INVALID_PARAMETER_SYNTAX", value)

    return check


def one_of(*values: str) -> Check:
    def check(value: Any, field: str) -> None:
        if value not in values:
            raise errors.invalid(field, f"One of {', '.join(values)}.", value=value)

    return check


def url(value: Any, field: str) -> None:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.invalid(field, "This is an absolute URL.", "INVALID_PARAMETER_SYNTAX", value)


def anything(value: Any, field: str) -> None:
    """Looked at elsewhere."""


def body(fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    """An object with these fields, and no others."""

    def check(value: Any, field: str) -> None:
        if not isinstance(value, dict):
            raise errors.invalid(field or "/", "This is an object.", "INVALID_PARAMETER_SYNTAX")
        for name in required:
            if name not in value:
                text = "A required field is missing."
                raise errors.invalid(f"{field}/{name}", text, "MISSING_REQUIRED_PARAMETER")
        for name, each in value.items():
            if name not in fields:
                raise errors.unmodelled(f"'{name}'", f"{field}/{name}")
            fields[name](each, f"{field}/{name}")

    return check


def only_one(check_item: Check) -> Check:
    """A list; PayPal takes ten purchase units, and here it is one."""

    def check(value: Any, field: str) -> None:
        if not isinstance(value, list):
            raise errors.invalid(field, "This is a list.", "INVALID_PARAMETER_SYNTAX")
        if not value:
            raise errors.invalid(field, "It is empty.", "INVALID_ARRAY_MIN_ITEMS")
        if len(value) > 1:
            raise errors.unmodelled("several purchase units", field)
        check_item(value[0], f"{field}/0")

    return check


# application_context is deprecated in favour of experience_context, payer of payment_source.paypal.
EXPERIENCE = body(
    {
        "brand_name": text(127),
        "locale": text(10, 2, r"[a-z]{2}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|[0-9]{3}))?"),
        "shipping_preference": one_of("GET_FROM_FILE", "NO_SHIPPING", "SET_PROVIDED_ADDRESS"),
        "return_url": url,
        "cancel_url": url,
        "landing_page": one_of("LOGIN", "GUEST_CHECKOUT", "NO_PREFERENCE"),
        "user_action": one_of("CONTINUE", "PAY_NOW"),
        "payment_method_preference": one_of("UNRESTRICTED", "IMMEDIATE_PAYMENT_REQUIRED"),
    }
)
UNIT = body(
    {
        "reference_id": text(256),
        "amount": anything,
        "description": text(127),
        "custom_id": text(127),
        "invoice_id": text(127),
        "soft_descriptor": text(22),
    },
    required=("amount",),
)
ORDER = body(
    {
        "intent": one_of("CAPTURE", "AUTHORIZE"),
        "purchase_units": only_one(UNIT),
        "payment_source": body({"paypal": body({"experience_context": EXPERIENCE, "email_address": text(254, 3)})}),
    },
    required=("intent", "purchase_units"),
)
CAPTURE = body({})
REFUND = body({"amount": anything, "custom_id": text(127), "invoice_id": text(127), "note_to_payer": text(255)})
RESEND = body({"webhook_ids": anything})
VERIFY = body(
    {
        "auth_algo": text(100, 1, "[a-zA-Z0-9]+"),
        "cert_url": text(500),
        "transmission_id": text(50, 1, r"(?!\d+$)\w+\S+"),
        # The pattern of the document refuses what begins with + or /, as base64 may.
        "transmission_sig": text(500, 1, r"\S+"),
        "transmission_time": text(100),
        "webhook_id": text(50, 1, "[a-zA-Z0-9]+"),
        "webhook_event": anything,
    },
    required=(
        "auth_algo",
        "cert_url",
        "transmission_id",
        "transmission_sig",
        "transmission_time",
        "webhook_id",
        "webhook_event",
    ),
)
