"""`/rest/v1`: Supabase's table API on this origin, with the rights of whoever asks.

The site's pages read and write tables with supabase-js. Built with this service's address as that of Supabase, they
need no open tables: a visitor goes on as `anon`, a customer too, though by name, and staff as the role `staff`, whose
policies ask for permissions. Both are known by their cookies, and vouched for in a short-lived token.
"""

import functools
import json
import logging
import re
import time
from collections.abc import Iterator
from typing import cast
from urllib.parse import quote, urlsplit

import jwt
import urllib3
from flask import Blueprint, Flask, Response, current_app, request
from postgrest import APIError
from urllib3.response import BaseHTTPResponse

from service import cookies
from service.breaker import CONNECT_SECONDS, READ_SECONDS, WRITE_SECONDS, Breaker
from service.config import config
from service.credentials import Claims, read_token
from service.database import check_sentence, is_foreign_transaction, rpc, translate
from service.errors import BadInput, NotFound, ServiceError, Unauthorized, Unavailable, answer_service_error
from service.guards import public
from service.limits import client_address, limiter, take
from service.people import current_actor
from service.site import queries

log = logging.getLogger(__name__)

RESOURCE = re.compile(r"(rpc/)?[A-Za-z0-9_]{1,63}\Z", re.ASCII)
# What the public forms send in.
FORMS = ("bookings", "testimonials", "support_tickets")
RETURNED = {
    *("content-type", "content-range", "content-location", "content-profile", "content-encoding", "content-length"),
    *("location", "preference-applied", "range-unit", "retry-after"),
}
CONNECTIONS = 50  # kept open, of each process
CHUNK = 65536
TOKEN_TTL = 60  # seconds; one token serves the requests of half that time
UNTOUCHED = "%!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"  # all of ASCII that may stand in a line of HTTP

blueprint = Blueprint("rest", __name__, url_prefix="/rest/v1")


def init_app(app: Flask) -> None:
    """Connections of this process alone, beside those that the service itself uses."""
    url = app.extensions["config"].supabase_url
    app.extensions["rest"] = urllib3.connection_from_url(url, maxsize=CONNECTIONS, retries=False)
    app.register_blueprint(blueprint)


@blueprint.route("/<path:resource>", methods=["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"])
@public
def proxy(resource: str) -> Response:
    """Ask Supabase the same as the caller asked here, and answer what it answers, both without keeping the body.

    A cookie of staff never takes away what every visitor may do: when its session has ended, reads are a visitor's, and
    what the public forms send in is tried as a visitor's where the role of staff may not.
    """
    if not RESOURCE.match(resource):
        raise NotFound
    pairs = queries.read_query(request.query_string)
    staff = _claims("staff")
    if not staff:
        return _handed_on(_send(resource, _as_visitor(pairs)))
    is_form = request.method == "POST" and resource in FORMS
    body = request.get_data(cache=False) if is_form else None
    answer = _send(resource, _as_staff(staff), body)
    if answer.status == 401:
        cookies.clear_session_cookie("staff")
    is_read = request.method in ("GET", "HEAD")
    # A value that staff may not set is refused as such, and not written by somebody else.
    may_not = is_form and answer.status == 403 and b"_create" in answer.data
    if answer.status == 401 and (is_read or is_form) or may_not:
        visitors = _send(resource, _as_visitor(pairs), body)
        refused, answer = (visitors, answer) if visitors.status in (401, 403) else (answer, visitors)
        refused.drain_conn()
    return _handed_on(answer)


@blueprint.errorhandler(ServiceError)
def answer_error(error: ServiceError) -> Response:
    """In our shape, with the keys that supabase-js shows beside."""
    error.extra = {**error.extra, "message": error.message, "details": None, "hint": None}
    return answer_service_error(error)


def _handed_on(answer: BaseHTTPResponse) -> Response:
    """Supabase's answer as the caller gets it."""
    returned = [(name, value) for name, value in answer.headers.items() if name.lower() in RETURNED]
    if answer.status in (400, 403):
        encoded = ("content-encoding", "content-length")
        returned = [(name, value) for name, value in returned if name.lower() not in encoded]
        return Response(_said(answer.data), answer.status, returned)
    response = Response(answer.stream(CHUNK, decode_content=False), answer.status, returned, direct_passthrough=True)
    response.call_on_close(answer.close)
    return response


def _said(refusal: bytes) -> bytes:
    """PostgREST's refusal; that of a value which breaks a check in the sentence that the check's comment says."""
    if b'"23514"' not in refusal:
        return refusal
    found = json.loads(refusal)
    sentence = check_sentence(found["message"]) or BadInput.message
    return json.dumps({"code": "23514", "message": sentence, "details": None, "hint": None}).encode()


def _headers(token: str) -> dict[str, str]:
    headers = queries.read_headers(request.headers)
    headers["apikey"], headers["Authorization"] = config.supabase_anon_key or "", f"Bearer {token}"
    headers["X-Actor"] = json.dumps(current_actor())
    headers["User-Agent"] = urllib3.util.SKIP_HEADER
    headers["Accept-Encoding"] = "gzip" if "gzip" in request.headers.get("Accept-Encoding", "") else "identity"
    return headers


def _as_staff(claims: Claims) -> dict[str, str]:
    """The headers of a request with the rights of that member of staff. Raises ``ServiceError``."""
    _require_key()
    if not config.supabase_jwt_secret:
        raise Unavailable("Staff pages need SUPABASE_JWT_SECRET.", code="staff_rest_not_configured")
    return _headers(
        _staff_token(config.supabase_jwt_secret, _half_life(), claims["id"], claims["email"], claims["sid"])
    )


def _as_visitor(pairs: queries.Pairs) -> dict[str, str]:
    """The headers of a visitor's request, who may be a customer. Raises ``ServiceError``."""
    key = _require_key()
    take("rest")
    queries.check_visitors(pairs, lambda: _visitor_columns(config.supabase_url, _half_life()))
    customer = _claims("customer")
    if not config.supabase_jwt_secret:
        return _headers(key)
    person = (customer["customerId"], customer["sid"]) if customer else None
    return _headers(_visitor_token(config.supabase_jwt_secret, _half_life(), client_address(), person))


def _require_key() -> str:
    if not config.supabase_anon_key:
        raise Unavailable("/rest/v1 needs SUPABASE_ANON_KEY.", code="rest_not_configured")
    return config.supabase_anon_key


def _claims(kind: str) -> Claims | None:
    """What the cookie of that kind says; None without one, or when it is good for nothing.

    A header's token is the site's key, never a person's. That the session lives is looked at by the database, with the
    request itself: staff_can() in the policies, visiting_customer() in the triggers.
    """
    cookie = request.cookies.get(cookies.NAMES[kind])
    if not cookie:
        return None
    try:
        claims = _read_cookie(kind, cookie, config.jwt_secret, _half_life())
    except Unauthorized:
        cookies.clear_session_cookie(kind)
        return None
    cookies.refuse_foreign_origin()
    return claims


@limiter.request_filter
def is_proxied() -> bool:
    """Flask-Limiter need not look for limits here, which takes a tenth of the time: ``take`` counts visitors."""
    return request.blueprint == blueprint.name


def _half_life() -> int:
    """Counts up every half of a token's life: what is made for one number is not kept for the next."""
    return int(time.time()) // (TOKEN_TTL // 2)


@functools.lru_cache(maxsize=1000)
def _read_cookie(kind: str, cookie: str, jwt_secret: str, half_life: int) -> Claims:
    """The claims of a cookie, kept for a moment: a page makes many requests at once."""
    return read_token(kind, cookie)


@functools.lru_cache(maxsize=8)
def _visitor_columns(supabase_url: str, half_life: int) -> frozenset[str]:
    """The names of all columns that visitors may read, in whatever tables."""
    return frozenset(rpc("visitor_columns"))


@functools.lru_cache(maxsize=1000)
def _staff_token(secret: str, half_life: int, staff_id: int, email: str, session_id: str) -> str:
    return _signed({"role": "staff", "sub": str(staff_id), "email": email, "sid": session_id}, secret, half_life)


@functools.lru_cache(maxsize=10_000)
def _visitor_token(secret: str, half_life: int, address: str, customer: tuple[str, str] | None) -> str:
    """As the anon key, and who the visitor is: the database limits what one address sends in, and gives a booking to
    the customer, (id, session), who makes it.
    """
    person = dict(zip(("customer", "sid"), customer, strict=True)) if customer else {}
    return _signed({"role": "anon", "visitor": address, **person}, secret, half_life)


def _signed(claims: dict[str, object], secret: str, half_life: int) -> str:
    issued = half_life * (TOKEN_TTL // 2)
    return jwt.encode({**claims, "iat": issued, "exp": issued + 2 * TOKEN_TTL}, secret, "HS256")


def _send(resource: str, headers: dict[str, str], body: bytes | None = None) -> BaseHTTPResponse:
    """Supabase's answer, below 500. Raises ``ServiceError``."""
    answer = _send_once(resource, headers, body)
    failure = _failure(answer)
    if failure and is_foreign_transaction(failure) and request.method in ("GET", "HEAD"):
        answer = _send_once(resource, headers, body)
        failure = _failure(answer)
    if failure:
        raise translate(failure, is_read=False)
    return answer


def _failure(answer: BaseHTTPResponse) -> APIError | None:
    """What the database said, where the caller has no part in it."""
    if answer.status < 500:
        return None
    try:
        return APIError(json.loads(answer.data))
    except ValueError:  # of a gateway, of PostgREST itself, or to HEAD
        return APIError({"code": str(answer.status), "message": answer.data[:500].decode(errors="replace")})


def _send_once(resource: str, headers: dict[str, str], body: bytes | None) -> BaseHTTPResponse:
    query = quote(request.query_string, safe=UNTOUCHED)
    target = f"{urlsplit(config.supabase_url).path.rstrip('/')}/rest/v1/{resource}{'?' if query else ''}{query}"
    sent = _sent_body(headers) if body is None else body
    try:
        pool = cast(urllib3.HTTPConnectionPool, current_app.extensions["rest"])
        breaker = cast(Breaker, current_app.extensions["breaker"])
        seconds = READ_SECONDS if request.method in ("GET", "HEAD") else WRITE_SECONDS
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds)
        with breaker.watch(urllib3.exceptions.TimeoutError):
            answer = pool.urlopen(
                request.method, target, sent, headers, redirect=False, preload_content=False, timeout=timeout
            )
    except urllib3.exceptions.HTTPError as error:
        log.error("Supabase unreachable", extra={"cause": repr(error)})
        raise Unavailable(code="database_unavailable") from error
    if not answer.length_remaining and not answer.chunked:
        answer.drain_conn()  # nothing will be read, as of HEAD: the connection is free again
    return answer


def _sent_body(headers: dict[str, str]) -> Iterator[bytes] | bytes | None:
    """The caller's body, piece by piece where its length is known; the limit on sizes holds for both."""
    if request.method in ("GET", "HEAD"):
        return None
    if request.content_length is None:
        return request.get_data(cache=False) or None
    headers["Content-Length"] = str(request.content_length)
    return iter(lambda: request.stream.read(CHUNK), b"")
