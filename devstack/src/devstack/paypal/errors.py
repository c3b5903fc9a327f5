"""PayPal's error answers: {name, message, details: [{issue, description, field, value}], debug_id, links}.

Names and issues are those of PayPal's documents; the sentences are ours, for callers are told not to read them.
"""

import secrets
from typing import Any

from devstack.gateway import Refusal

NAMES = {
    400: ("INVALID_REQUEST", "The request is not well-formed or breaks the schema."),
    401: ("AUTHENTICATION_FAILURE", "The access token is missing, unknown or expired."),
    403: ("NOT_AUTHORIZED", "This call is not permitted."),
    404: ("RESOURCE_NOT_FOUND", "The resource does not exist."),
    405: ("METHOD_NOT_SUPPORTED", "The server does not know this method here."),
    409: ("RESOURCE_CONFLICT", "Another request is at work on this."),
    415: ("UNSUPPORTED_MEDIA_TYPE", "The body is not of a media type that is understood."),
    422: ("UNPROCESSABLE_ENTITY", "The request is well-formed, and cannot be done."),
    429: ("RATE_LIMIT_REACHED", "Too many requests."),
    500: ("INTERNAL_SERVER_ERROR", "Something went wrong at PayPal."),
    503: ("SERVICE_UNAVAILABLE", "PayPal is away for a while."),
}
UNMODELLED = "LOCAL_PAYPAL_UNSUPPORTED"


def body(status: int, *details: dict[str, Any], links: list[dict[str, str]] | None = None) -> dict[str, Any]:
    name, message = NAMES.get(status, NAMES[400 if status < 500 else 500])
    known = {"name": name, "message": message, "debug_id": secrets.token_hex(7)}
    return known | ({"details": list(details)} if details else {}) | {"links": links or []}


def refusal(
    status: int,
    issue: str,
    text: str,
    field: str | None = None,
    value: Any = None,
    links: list[dict[str, str]] | None = None,
) -> Refusal:
    detail: dict[str, Any] = {"issue": issue, "description": text}
    if field:
        detail |= {"field": field, "location": "body"} | ({} if value is None else {"value": str(value)})
    return Refusal(status, body(status, detail, links=links), saved=status >= 422)


def invalid(field: str, text: str, issue: str = "INVALID_PARAMETER_VALUE", value: Any = None) -> Refusal:
    """400: a parameter that breaks the schema."""
    return refusal(400, issue, text, field, value)


def unprocessable(issue: str, text: str, field: str | None = None, **kwargs: Any) -> Refusal:
    """422: well-formed, and yet it cannot be done."""
    return refusal(422, issue, text, field, **kwargs)


def missing() -> Refusal:
    return refusal(404, "INVALID_RESOURCE_ID", "There is no such resource, or it has expired.")


def unmodelled(what: str, field: str | None = None) -> Refusal:
    return refusal(400, UNMODELLED, f"The local PayPal does not model {what}.", field)
