"""The HTTP client of the gateways that are spoken to without an SDK: JSON, time-outs, and what a fault means."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx

from service.payments.bulkhead import AT_ONCE, Bulkhead
from service.payments.gateway import GatewayError

log = logging.getLogger(__name__)
# Two tries of ten seconds stay under the thirty after which Heroku's router answers in our place (H12).
CONNECT_TIMEOUT, READ_TIMEOUT = 3, 10  # seconds
Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What the gateway said: a success, or a refusal (4xx) that the adapter puts into our words."""

    status: int
    body: Json

    @property
    def is_refusal(self) -> bool:
        return self.status >= 400


class GatewayClient:
    """Connections that all threads share, without cookies: there is no other state."""

    def __init__(self, base: str, auth: tuple[str, str] | None = None) -> None:
        self.bulkhead = Bulkhead()
        self.http = httpx.Client(
            base_url=base,
            auth=auth,
            timeout=httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
        )
        self.http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        is_repeatable: bool = False,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Reply:
        """Ask the gateway; once more after a fault where it was not reached, or the call ``is_repeatable`` (as GET is).

        Raises ``GatewayError`` where it did not answer, is too busy (429), is broken (5xx) or speaks no JSON.
        """
        with self.bulkhead.enter() as is_through:
            if not is_through:
                raise GatewayError(code="payment_gateway_busy", status=503, retry_after=5)
            request = self.http.build_request(
                method, path, json=body, headers={"Accept": "application/json", **(headers or {})}, **options
            )
            try:
                return self._send(request)
            except (httpx.HTTPError, _Broken) as error:
                is_unsent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
                if not (is_unsent or is_repeatable or method == "GET"):
                    raise _translated(request, error) from error
            try:
                return self._send(request)
            except (httpx.HTTPError, _Broken) as error:
                raise _translated(request, error) from error

    def _send(self, request: httpx.Request) -> Reply:
        answer = self.http.send(request)
        if answer.status_code >= 500:
            raise _Broken(str(answer.status_code))
        if answer.status_code == 429:
            log.warning("a gateway is too busy", extra={"host": request.url.host, "path": request.url.path})
            raise GatewayError(code="payment_gateway_busy", status=503, retry_after=5)
        return Reply(answer.status_code, _read(answer))


class _Broken(Exception):
    """An answer that says nothing of what was done: a 5xx, or a 2xx without JSON."""


def _read(answer: httpx.Response) -> Json:
    """The body; of a refusal without one nothing."""
    try:
        found = answer.json() if answer.content else {}
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    if answer.is_success:
        raise _Broken(f"{answer.status_code} without JSON")
    return {}


def _translated(request: httpx.Request, error: Exception) -> GatewayError:
    """Nobody knows whether it was done; what stands before the gateway may answer while the call still runs."""
    note = {"host": request.url.host, "path": request.url.path, "cause": f"{type(error).__name__} {error}"}
    log.warning("a gateway did not answer", extra=note)
    if isinstance(error, _Broken):
        return GatewayError(retry_after=5)
    return GatewayError(code="payment_gateway_unreachable", status=503, retry_after=5)
