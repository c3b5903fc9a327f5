"""Whether the process lives, and whether what it needs is there."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from flask import Response, jsonify

from service.api import Answer, Blueprint
from service.config import config
from service.database import rpc
from service.errors import Forbidden, FunctionMissing, KeyRefused, ServiceError, Unavailable
from service.guards import public
from service.mail.shapes import QueueStatus
from service.payments import webhooks
from service.payments.gateways import configured
from service.payments.shapes import Backlog

blueprint = Blueprint("health", __name__, url_prefix="/api", description="Is it alive, is it ready")

STARTED = time.monotonic()
MIGRATIONS = Path(__file__).parent.parent / "supabase" / "migrations"
OVERDUE = 900  # seconds that a mail or an event may wait before something is wrong
WORKER_SILENCE = 120  # seconds; the worker gives a sign of life every 30

Sentences = dict[str, str]  # what is wrong, or left out, by its name


def read_migrations(folder: Path) -> dict[str, str]:
    """Version to name of the migrations that this code was written for, the oldest first."""
    return {path.name.partition("_")[0]: path.stem for path in sorted(folder.glob("*.sql"))}


NEEDED = read_migrations(MIGRATIONS)


class Readiness(TypedDict):
    """What the database says of itself."""

    migrations: list[str]
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

    503 with `problems` while requests cannot be served, else 200. `warnings` tell what waits or is turned off until
    somebody sees to it, `notes` what is left out by choice.
    """
    problems, warnings, notes = examine()
    body = {
        "status": "not ready" if problems else "ready",
        "problems": problems,
        "warnings": warnings,
        "notes": notes,
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


def examine() -> tuple[Sentences, Sentences, Sentences]:
    """The problems for which no request can be served, the warnings, and the notes."""
    if not NEEDED:
        told = "supabase/migrations is not deployed with the service, so it cannot tell what the database lacks"
        return {"schema": told}, {}, _notes([])
    try:
        found: Readiness = rpc("readiness")
    except ServiceError as error:
        return _explain(error), _warnings(), _notes([])
    problems = {"schema": lacking} if (lacking := tell_lacking(found["migrations"])) else {}
    return problems, _warnings() | _backlogs(found), _notes(found["migrations"]) | _open_questions(found["payments"])


def tell_lacking(applied: list[str]) -> str | None:
    """Which migrations a database lacks, in a sentence; None when it has all. What it has beside does not matter."""
    lacking = [name for version, name in NEEDED.items() if version not in applied]
    if not lacking:
        return None
    count = f"{len(lacking)} of {len(NEEDED)}"
    if len(lacking) == len(NEEDED):
        return f"none of the {len(NEEDED)} migrations in supabase/migrations is applied, {lacking[0]} is the first"
    if len(lacking) > 3:
        return f"{count} migrations are not applied, from {lacking[0]} to {lacking[-1]}"
    return f"{count} migrations {'is' if len(lacking) == 1 else 'are'} not applied: {', '.join(lacking)}"


def _explain(error: ServiceError) -> Sentences:
    """Why the database does not say how it stands."""
    if isinstance(error, Unavailable):
        return {"database": "out of reach"}
    if isinstance(error, KeyRefused | Forbidden):
        return {
            "key": "the database refuses SUPABASE_SERVICE_ROLE_KEY: it is not that project's, not valid or not secret"
        }
    if isinstance(error, FunctionMissing):
        return _explain_missing()
    return {"database": "answers, but not as a project of Supabase with these migrations: the log has its words"}


def _explain_missing() -> Sentences:
    """The newest migration makes readiness(), the oldest already applied_migrations(); what came before has neither."""
    try:
        applied: list[str] = rpc("applied_migrations")
    except FunctionMissing:
        applied = []
    except ServiceError as error:
        return _explain(error)
    stale = "the migrations are applied, but PostgREST has not seen them yet: notify pgrst, 'reload schema'"
    return {"schema": tell_lacking(applied) or stale}


def _warnings() -> Sentences:
    """What settings keep from working, seen without the database."""
    told = []
    for adapter in configured(config):
        told += adapter.find_gaps(config)
        if refused := webhooks.refused[adapter.name]:
            told.append(
                f"the last {refused} of {adapter.label} were refused: its webhook secret may not be this endpoint's"
            )
    return {"webhooks": "; ".join(told)} if told else {}


def _backlogs(found: Readiness) -> Sentences:
    """What waits, though requests are served."""
    mail, payments, currency = found["mail"], found["payments"], config.payment_currency
    warnings = {}
    if found["currency"] is None:
        warnings["currency"] = "not set in the database: `flask check` sets it"
    elif found["currency"] != currency:
        warnings["currency"] = (
            f"PAYMENT_CURRENCY is {currency}, the database's {found['currency']}: no payment is taken"
        )
    if config.smtp_host and mail["oldest_due_seconds"] > OVERDUE:
        warnings["mail"] = f"the oldest mail is {mail['oldest_due_seconds']} seconds overdue"
    if payments["oldest_seconds"] > OVERDUE:
        warnings["payments"] = f"{payments['waiting']} events wait, the oldest for {payments['oldest_seconds']} seconds"
    return warnings


def _open_questions(payments: Backlog) -> Sentences:
    """What waits for a person, at the page /staff/payments."""
    questions = {}
    if payments["needs_review"]:
        questions["review"] = f"flagged transactions: {payments['needs_review']}"
    if payments["disputes"]:
        questions["disputes"] = f"open disputes: {payments['disputes']}"
    return questions


def _notes(applied: list[str]) -> Sentences:
    """What works less than it could, because nobody asked for more."""
    notes = {}
    newest = max(NEEDED, default="")
    if newer := [version for version in applied if version > newest]:
        notes["schema"] = f"newer than this code, by {', '.join(newer)}"
    if not config.smtp_host:
        notes["mail"] = "not configured (SMTP_HOST): mails wait in the outbox"
    if not configured(config):
        notes["payments"] = "not configured (STRIPE_SECRET_KEY, RAZORPAY_KEY_ID or PAYPAL_CLIENT_ID)"
    if not config.supabase_jwt_secret:
        notes["row_level_security"] = (
            "the second lock is off (SUPABASE_JWT_SECRET): customers' queries go as the service"
        )
    return notes


def _now() -> str:
    return datetime.now(UTC).isoformat()
