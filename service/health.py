"""Whether the process lives, and whether what it needs is there."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from flask import Response, jsonify

from service.api import Answer, Blueprint
from service.config import config
from service.database import rpc
from service.errors import ServiceError, Unavailable
from service.guards import public
from service.mail.shapes import QueueStatus

blueprint = Blueprint("health", __name__, url_prefix="/api", description="Is it alive, is it ready")

STARTED = time.monotonic()
MIGRATIONS = Path(__file__).parent.parent / "supabase" / "migrations"
SCHEMA_VERSION = max(path.name for path in MIGRATIONS.glob("*.sql")).partition("_")[0]
OVERDUE = 900  # seconds that a mail or an event may wait before something is wrong
WORKER_SILENCE = 120  # seconds; the worker gives a sign of life every 30


class Backlog(TypedDict):
    """Events of the payment gateway that had no effect yet."""

    waiting: int
    oldest_seconds: int
    unmatched: int


class Readiness(TypedDict):
    """What the database says of itself."""

    schema_version: str | None
    currency: str | None
    mail: QueueStatus
    payments: Backlog


@blueprint.get("/health")
@public
@blueprint.response(200)
def get_health() -> Answer:
    """Say that the process lives

    Without any I/O.
    """
    return {"status": "ok", "timestamp": _now(), "uptime": round(time.monotonic() - STARTED, 3)}


@blueprint.get("/ready")
@public
@blueprint.response(200)
def get_readiness() -> Response:
    """Say whether everything needed is there

    200, or 503 with what is not ready. `notes` tell what is left out by choice.
    """
    problems = find_problems()
    body = {
        "status": "not ready" if problems else "ready",
        "problems": problems,
        "notes": _notes(),
        "timestamp": _now(),
    }
    response = jsonify(body)
    response.status_code = 503 if problems else 200
    return response


@blueprint.get("/email-status")
@public
@blueprint.response(200)
def get_email_status() -> Answer:
    """Say whether mail is being sent

    running: SMTP is configured, a worker lives and sending is not paused; else stopped.
    """
    readiness: Readiness = rpc("readiness")
    mail = readiness["mail"]
    silence = mail["worker_seen_seconds"]
    is_alive = silence is not None and silence < WORKER_SILENCE
    is_running = bool(config.smtp_host) and is_alive and not mail["paused_until"]
    return {"status": "running" if is_running else "stopped", "timestamp": _now()}


def find_problems() -> dict[str, str]:
    """What is wrong with the database, the schema, the outbox and the inbox of payments: name to sentence."""
    try:
        found: Readiness = rpc("readiness")
    except Unavailable:
        return {"database": "out of reach"}
    except ServiceError:
        return {"schema": "the migrations in supabase/migrations are not applied"}
    mail, payments = found["mail"], found["payments"]
    problems = {}
    if found["schema_version"] != SCHEMA_VERSION:
        problems["schema"] = f"is at {found['schema_version']}, this service needs {SCHEMA_VERSION}"
    if config.smtp_host and mail["oldest_due_seconds"] > OVERDUE:
        problems["mail"] = f"the oldest mail is {mail['oldest_due_seconds']} seconds overdue"
    if payments["oldest_seconds"] > OVERDUE:
        problems["payments"] = f"{payments['waiting']} events wait, the oldest for {payments['oldest_seconds']} seconds"
    return problems


def _notes() -> dict[str, str]:
    """What works less than it could, because nobody asked for more."""
    notes = {}
    if not config.smtp_host:
        notes["mail"] = "not configured (SMTP_HOST): mails wait in the outbox"
    if not config.stripe_secret_key:
        notes["payments"] = "not configured (STRIPE_SECRET_KEY)"
    if not config.supabase_jwt_secret:
        notes["row_level_security"] = (
            "the second lock is off (SUPABASE_JWT_SECRET): customers' queries go as the service"
        )
    return notes


def _now() -> str:
    return datetime.now(UTC).isoformat()
