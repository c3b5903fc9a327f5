"""Named rate limits: per IP address by Flask-Limiter, per account or address by the database."""

import math
import time
from collections.abc import Callable
from typing import Any, TypedDict

from flask import Flask, Response
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import parse_many

from service.config import config


class AccountLimit(TypedDict):
    """So many within so many seconds."""

    count: int
    seconds: int


# Counted per worker in memory, or for all of them in the Redis that RATELIMIT_STORAGE_URI names.
limiter = Limiter(get_remote_address, swallow_errors=True)


def init_app(app: Flask) -> None:
    app.config["RATELIMIT_STORAGE_URI"] = app.extensions["config"].ratelimit_storage_uri
    limiter.init_app(app)
    app.after_request(_say_when)


def limit(name: str) -> Callable[[Any], Any]:
    """A limit per IP address, shared by all views that name it. Answers 429 with ``Retry-After``."""
    return limiter.shared_limit(lambda: config.ip_limits[name], scope=name)


def _say_when(response: Response) -> Response:
    """Flask-Limiter's own headers would put Retry-After on every answer, and over the account limits' own."""
    passed = limiter.current_limit
    if response.status_code == 429 and passed and passed.breached:
        response.headers.setdefault("Retry-After", str(max(1, math.ceil(passed.reset_at - time.time()))))
    return response


def account_limits(name: str) -> list[AccountLimit]:
    """A limit per account in the form that take_rate_limit() reads."""
    return [{"count": item.amount, "seconds": item.get_expiry()} for item in parse_many(config.account_limits[name])]
