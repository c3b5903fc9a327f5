"""The cookies that carry sessions, and that nobody else's page makes use of them."""

from urllib.parse import urlsplit

from flask import Response, after_this_request, request

from service.config import config
from service.errors import Forbidden

NAMES = {"customer": "jklg_customer", "staff": "jklg_staff"}
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def set_session_cookie(kind: str, token: str) -> None:
    """Let the browser carry the token ("customer" or "staff") where scripts cannot read it."""
    ttl = config.customer_session_ttl if kind == "customer" else config.staff_session_ttl
    _put(kind, token, ttl)


def clear_session_cookie(kind: str) -> None:
    """Take the cookie back."""
    _put(kind, "", 0)


def refuse_foreign_origin() -> None:
    """For calls authenticated by cookie that change something: only our own pages may make them (403 ``csrf``)."""
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    if origin is None:
        is_ours = request.headers.get("Sec-Fetch-Site") == "same-origin"
    else:
        is_ours = origin == own_origin() or origin in config.cors_origins
    if not is_ours:
        raise Forbidden("This request did not come from our own site.", code="csrf")


def own_origin() -> str:
    """The origin that the request was sent to."""
    return "{0.scheme}://{0.netloc}".format(urlsplit(request.host_url))


def _put(kind: str, value: str, max_age: int) -> None:
    @after_this_request
    def put(response: Response) -> Response:
        response.set_cookie(
            NAMES[kind],
            value,
            max_age=max_age,
            expires=None if max_age else 0,
            httponly=True,
            samesite="Lax",
            secure=config.is_production,
        )
        return response
