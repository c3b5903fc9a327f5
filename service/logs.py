"""One JSON line per request and event on standard output, each with the id that the answer carries."""

import logging
import re
import sys
import time
import uuid
from typing import TypedDict

from flask import Flask, Response, g, has_request_context, request
from pythonjsonlogger.json import JsonFormatter

log = logging.getLogger("service.requests")

SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class RequestFacts(TypedDict):
    """What audit rows and sessions note of a request."""

    ip: str | None
    user_agent: str
    request_id: str


class RequestIdFilter(logging.Filter):
    """Adds the request's id to every record written while one is served."""

    def filter(self, record: logging.LogRecord) -> bool:
        if has_request_context() and "request_id" in g:
            record.request_id = g.request_id
        return True


def init_app(app: Flask) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(RequestIdFilter())
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}", style="{", rename_fields={"asctime": "time", "levelname": "level"}
        )
    )
    root = logging.getLogger("service")
    root.handlers[:] = [handler]
    root.setLevel(app.extensions["config"].log_level)
    root.propagate = False
    app.before_request(_begin)
    app.after_request(_end)


def request_facts() -> RequestFacts:
    """What is to be noted of the request being served."""
    agent = request.user_agent.string[:400].encode(errors="replace").decode().replace("\0", "")
    return {"ip": request.remote_addr, "user_agent": agent, "request_id": g.get("request_id", "")}


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if SANE_ID.match(given) else uuid.uuid4().hex
    g.started = time.perf_counter()


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    # The path without its query: that may hold what a person typed.
    fields: dict[str, object] = {"method": request.method, "path": request.path, "status": response.status_code}
    fields["ms"] = round((time.perf_counter() - g.get("started", time.perf_counter())) * 1000, 1)
    if customer := g.get("customer"):
        fields["customer_id"] = customer["id"]
    if staff := g.get("staff"):
        fields["staff_id"] = staff["id"]
    log.info("request", extra=fields)
    return response
