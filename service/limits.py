"""Named rate limits: per IP address by Flask-Limiter, per account or address by the database."""

import functools
import ipaddress
import logging
import math
import time
from collections.abc import Callable
from typing import Any, TypedDict

from flask import Flask, Response, request
from flask_limiter import Limiter
from limits import parse_many

from service.config import config
from service.errors import SENTENCES, ServiceError

log = logging.getLogger(__name__)


class TooManyRequests(ServiceError):
    status, code, message = 429, *SENTENCES[429]


class AccountLimit(TypedDict):
    """So many within so many seconds."""

    count: int
    seconds: int


def client_address() -> str:
    """The address that limits count by: of IPv6 its network of 64 bits, all of which is one client's."""
    text = request.remote_addr or "unknown"
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:  # what a proxy says that knows no better
        return text
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


# Counted in the Redis that RATELIMIT_STORAGE_URI names, for all workers; else each counts its share in its memory.
limiter = Limiter(client_address, swallow_errors=True)


def init_app(app: Flask) -> None:
    app.config["RATELIMIT_STORAGE_URI"] = app.extensions["config"].ratelimit_storage_uri
    limiter.init_app(app)
    app.after_request(_say_when)


def limit(name: str) -> Callable[[Any], Any]:
    """A limit per IP address, shared by all views that name it. Answers 429 with ``Retry-After``."""
    return limiter.shared_limit(lambda: _figure(name), scope=name)


def limit_failures(name: str) -> Callable[[Any], Any]:
    """The same, which counts only what is refused with 401, whosever account it was about."""
    return limiter.shared_limit(lambda: _figure(name), scope=name, deduct_when=lambda answer: answer.status_code == 401)


def take(name: str) -> None:
    """Count against a limit per IP address where no view begins. Raises ``TooManyRequests``."""
    address, counted = client_address(), limiter.limiter
    try:
        for item in parse_many(_figure(name)):
            if not counted.hit(item, name, address):
                reset_at = counted.get_window_stats(item, name, address).reset_time
                raise TooManyRequests(retry_after=max(1, math.ceil(reset_at - time.time())))
    except limiter.storage.base_exceptions as error:  # without Redis nobody is kept out, as by Flask-Limiter
        log.error("rate limits are not counted", extra={"cause": repr(error)})


def _figure(name: str) -> str:
    workers = config.web_concurrency if config.ratelimit_storage_uri.startswith("memory:") else 1
    return _share(config.ip_limits[name], workers)


@functools.lru_cache
def _share(text: str, workers: int) -> str:
    """The part of a limit that one of so many workers counts, rounded up."""
    items = [(math.ceil(item.amount / workers), item.multiples, item.GRANULARITY.name) for item in parse_many(text)]
    return "; ".join(f"{amount} per {multiples} {name}" for amount, multiples, name in items)


def _say_when(response: Response) -> Response:
    """Flask-Limiter's own headers would put Retry-After on every answer, and over the account limits' own."""
    passed = limiter.current_limit
    if response.status_code == 429 and passed and passed.breached:
        response.headers.setdefault("Retry-After", str(max(1, math.ceil(passed.reset_at - time.time()))))
    return response


def account_limits(name: str) -> list[AccountLimit]:
    """A limit per account in the form that take_rate_limit() reads."""
    return [{"count": item.amount, "seconds": item.get_expiry()} for item in parse_many(config.account_limits[name])]
