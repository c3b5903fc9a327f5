"""All ways to Supabase: PostgREST through supabase-py, as the service or as one customer, errors translated."""

import json
import logging
import time
from typing import Any, TypeVar, cast

import httpx
import jwt
from flask import Flask, current_app
from postgrest import APIError, SyncPostgrestClient
from supabase import Client, ClientOptions, create_client

from service.breaker import CONNECT_SECONDS, READ_SECONDS, WRITE_SECONDS, Breaker
from service.config import Config, config
from service.errors import (
    BadInput,
    Conflict,
    Forbidden,
    FunctionMissing,
    KeyRefused,
    NotFound,
    ReadOnly,
    ServiceError,
    Unavailable,
)
from service.people import current_actor

log = logging.getLogger(__name__)

Row = dict[str, Any]  # of a table whose columns the caller chooses, or that staff may extend
T = TypeVar("T")

CUSTOMER_TOKEN_TTL = 60  # seconds; longer than any request

# Functions that write nothing, or nothing that a second call would write again: they wait as reads do, and are asked
# again when a connection breaks.
READS = {
    *("applied_migrations", "readiness", "check_sentence", "authenticate_customer", "authenticate_staff", "list_users"),
    *("read_settings", "list_customer_bookings", "get_booking_summary", "get_booking_payment", "list_transactions"),
    *("get_transaction", "export_transactions", "get_payment_desk", "list_payment_work", "list_unknown_events"),
    *("list_gateways", "find_capture", "visitor_columns", "list_unsent_links", "email_queue_status"),
}
LONG = {"export_customer": 25.0, "export_transactions": 25.0}  # seconds; of what a person asked for and awaits

# What a caller may be told of an SQLSTATE or PostgREST code, beside the PTnnn that our own functions raise.
MALFORMED = {"22P02", "22003", "22007", "22008", "22001", "22021", "22P05", "22023"}
TRANSLATIONS = {
    "23505": Conflict,
    "23503": Conflict,
    "23502": BadInput,
    "42501": Forbidden,
    "55000": ReadOnly,  # a view that cannot be written
    "PGRST116": NotFound,
    "PGRST202": FunctionMissing,
}
# Connections, somebody else's transaction on this one, resources, shutdown, cancelled by time-out, deadlock: worth
# another try.
PASSING = ("08", "25", "40", "53", "55P03", "57", "PGRST00")
PASSING_STATUSES = {"502", "503", "504", "520"}  # of a gateway that answered in PostgREST's place


def init_app(app: Flask) -> None:
    """One client and one breaker per process, made in the process that uses them (after gunicorn's fork)."""
    app.extensions["breaker"] = Breaker()
    app.extensions["supabase"] = connect(app.extensions["config"], app.extensions["breaker"])


class Patience(httpx.HTTPTransport):
    """Waits for an answer as long as the request is worth, and no more once the breaker knows that none comes."""

    def __init__(self, breaker: Breaker) -> None:
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=50)
        # HTTP/2, supabase-py's default, is not safe among threads.
        super().__init__(http1=True, http2=False, limits=limits)
        self.breaker = breaker

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises ``Unavailable`` while the breaker is open."""
        timeout = httpx.Timeout(_seconds(request.method, request.url.path), connect=CONNECT_SECONDS)
        request.extensions = {**request.extensions, "timeout": timeout.as_dict()}
        if "/rest/v1/" not in request.url.path:  # Storage is another service
            return super().handle_request(request)
        with self.breaker.watch(httpx.TimeoutException):
            return super().handle_request(request)


def connect(config: Config, breaker: Breaker) -> Client:
    """A supabase client over connections of our own."""
    http = httpx.Client(transport=Patience(breaker), event_hooks={"response": [refuse_key]})
    options = ClientOptions(
        httpx_client=http, persist_session=False, auto_refresh_token=False, postgrest_client_retry=False
    )
    return create_client(config.supabase_url, config.supabase_key, options)


def _seconds(method: str, path: str) -> float:
    """How long a request waits for its answer."""
    function = _function(path)
    return LONG.get(function) or (READ_SECONDS if _is_read(method, function) else WRITE_SECONDS)


def _function(path: str) -> str:
    """The SQL function that an address of PostgREST's calls; empty for a table's."""
    return path.rpartition("/rpc/")[2] if "/rpc/" in path else ""


def _is_read(method: str, function: str) -> bool:
    return method in ("GET", "HEAD") or function in READS


def client() -> Client:
    """The supabase client of this process, for storage."""
    return cast(Client, current_app.extensions["supabase"])


def rpc(function: str, /, **params: object) -> T:  # type: ignore[type-var]
    """Call an SQL function as the service: one request, one transaction. Returns its JSON, None for void.

    What shape that has, the database alone knows: whoever calls names it, by the type that the answer is given.
    Raises ``ServiceError``: what the function raised as PTnnn, or the translation of another failure.
    """
    return run(client().rpc(function, params))


def table(name: str) -> Any:
    """A supabase-py request builder on a table, as the service. Finish it with ``run``."""
    return client().table(name)


def customer_table(customer_id: str, name: str) -> Any:
    """The same as one customer: role ``customer``, so that row-level security is a second lock behind the filter."""
    return _as_customer(customer_id).table(name)


def customer_rpc(customer_id: str, function: str, /, **params: object) -> T:  # type: ignore[type-var]
    """Call an SQL function as one customer; like ``rpc`` in all else."""
    return run(_as_customer(customer_id).rpc(function, cast(dict[str, str], params)))


def one(query: Any, thing: str) -> T:  # type: ignore[type-var]
    """The row that a query for one finds. Raises ``NotFound`` of the thing."""
    try:
        rows: list[T] = run(query)
    except NotFound:  # its id has another form than the table's
        rows = []
    if not rows:
        raise NotFound.of(thing)
    return rows[0]


def run(query: Any) -> T:  # type: ignore[type-var]
    """Send a request and return its data; its shape is named as for ``rpc``. Raises ``ServiceError``."""
    is_read = query.request.http_method in ("GET", "HEAD")
    is_repeatable = _is_read(query.request.http_method, _function(query.request.path.path))
    query.request.headers["X-Actor"] = json.dumps(current_actor())
    for is_last in (False, True):
        try:
            return cast(T, query.execute().data)
        except APIError as error:
            if is_last or not is_foreign_transaction(error):
                raise translate(error, is_read) from error
        except UnicodeEncodeError as error:
            raise BadInput("The request holds text that is not valid Unicode.") from error
        except httpx.HTTPError as error:
            # Only reads are sent twice: a write may have happened although its answer was lost.
            if is_last or not is_repeatable or isinstance(error, httpx.TimeoutException):
                log.error("database unreachable", extra={"cause": repr(error)})
                raise Unavailable(code="database_unavailable") from error
    raise AssertionError("unreachable")


def check_sentence(message: str) -> str | None:
    """What a check's comment says to whoever broke it: "field: sentence". None where it says nothing."""
    name = message.rpartition(' "')[2].strip('"')
    sentence: str | None = rpc("check_sentence", p_name=name)
    if not sentence or ": " not in sentence:
        log.error("database refused", extra={"cause": message})
        return None
    return sentence


def refuse_check(message: str) -> BadInput:
    """The refusal of a value that breaks a check of its table, in the sentence that the check's comment says."""
    sentence = check_sentence(message)
    if not sentence:
        return BadInput()
    field, _, complaint = sentence.partition(": ")
    return BadInput(sentence, code="validation_failed", details={field: complaint})


def refuse_key(response: httpx.Response) -> None:
    """Raise ``KeyRefused`` for a 401 that none of our functions raised: of PostgREST, or of the gateway before it."""
    if response.status_code != 401:
        return
    text = response.read().decode(errors="replace")
    if '"PT401"' not in text:
        log.error("database refused the key", extra={"cause": text[:500]})
        raise KeyRefused


def _as_customer(customer_id: str) -> SyncPostgrestClient:
    """A client of its own over the shared connections: nothing shared is changed for one request.

    Without SUPABASE_JWT_SECRET (a project with other signing keys) it goes as the service, and /api/ready says so.
    """
    service = client().postgrest
    if not config.supabase_jwt_secret:
        return service
    now = int(time.time())
    claims = {"role": "customer", "sub": customer_id, "iat": now, "exp": now + CUSTOMER_TOKEN_TTL}
    token = jwt.encode(claims, config.supabase_jwt_secret, "HS256")
    headers = {"apikey": config.supabase_anon_key or config.supabase_key, "Authorization": f"Bearer {token}"}
    return SyncPostgrestClient(str(service.base_url), headers=headers, http_client=service.session, retry_enabled=False)


def is_foreign_transaction(error: APIError) -> bool:
    """Whether the connection was inside a transaction of another request, so that nothing of this one was done."""
    return str(error.code).startswith("25")


def translate(error: APIError, is_read: bool) -> ServiceError:
    """What the caller is told of a refusal of PostgREST."""
    code = str(error.code or "")
    if code.startswith("PT4") or code.startswith("PT5"):
        return _raised_by_us(error, int(code[2:]))
    if code == "23514":
        return refuse_check(error.message or "")
    if code in MALFORMED:
        return NotFound() if is_read else BadInput("A value has the wrong form.", code="malformed_value")
    if code in PASSING_STATUSES or len(code) > 3 and code.startswith(PASSING):
        log.error("database unavailable", extra={"sqlstate": code, "cause": error.message})
        return Unavailable(code="database_unavailable")
    log.error("database refused", extra={"sqlstate": code, "cause": error.message, "hint": error.hint})
    return TRANSLATIONS.get(code, ServiceError)()


def _raised_by_us(error: APIError, status: int) -> ServiceError:
    """``raise sqlstate 'PT409' using message, hint = code, detail = JSON object`` of an SQL function."""
    extra = json.loads(error.details) if error.details else {}
    return ServiceError(error.message, code=error.hint, status=status, **extra)
