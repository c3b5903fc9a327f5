"""Is it alive, is it ready, is mail being sent."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import jwt
import psycopg
import pytest
from flask import Flask

import devstack.stack
from devstack.stripe import signed
from service import database, health
from service.errors import KeyRefused
from service.payments import webhooks
from tests.client import Client
from tests.conftest import DIRECTORY
from tests.database.existing import PROJECTS
from tests.factories import make_booking
from tests.payments.conftest import WEBHOOK
from tests.payments.test_webhooks import example
from tools.project import MIGRATIONS
from tools.stack import Stack, free_ports

FILES = sorted(MIGRATIONS.glob("*.sql"))


def test_health_needs_nothing(lone: Client):
    body = lone.get("/api/health")
    assert set(body) == {"status", "timestamp", "uptime"}
    assert body["status"] == "ok" and body["uptime"] >= 0


def test_ready_says_what_is_missing(lone: Client):
    body = lone.get("/api/ready", expect=503)
    assert body["status"] == "not ready"
    assert body["problems"] == {"database": "out of reach"}
    assert set(body["notes"]) == {"mail", "payments", "row_level_security"}


@pytest.fixture(autouse=True)
def no_webhook_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "refused", Counter())


@pytest.fixture(autouse=True)
def nothing_is_flagged(db: psycopg.Connection) -> None:
    """What other tests left."""
    db.execute("update transactions set review_reason = null where needs_review")
    db.execute("update disputes set status = 'won' where outcome is null")


def test_ready_when_everything_is_there(api: Client):
    body = api.get("/api/ready")
    assert (body["status"], body["problems"], body["notes"]) == ("ready", {}, {})


def test_what_waits_for_a_person_is_a_note(api: Client, db: psycopg.Connection):
    db.execute(
        "insert into transactions (gateway, booking_id, amount, currency, status, review_reason)"
        " values ('stripe', %s, 100, 'usd', 'completed', 'amount_mismatch')",
        [make_booking(db)],
    )
    body = api.get("/api/ready")
    assert (body["status"], body["notes"]) == ("ready", {"review": "flagged transactions: 1"})


def test_a_wrong_webhook_secret_is_a_warning_until_an_event_is_good(api: Client, stack: devstack.stack.Stack):
    event = json.dumps(example()).encode()
    api.post(WEBHOOK, data=event, headers=signed(event, "whsec_of_another_endpoint"), expect=400)
    assert "the last 1 of Stripe were refused" in api.get("/api/ready")["warnings"]["webhooks"]
    api.post(WEBHOOK, data=event, headers=signed(event, stack.secrets["stripe_webhook_secret"]))
    assert "webhooks" not in api.get("/api/ready")["warnings"]


def test_backlogs_are_warnings_and_keep_no_traffic_away(api: Client, db: psycopg.Connection):
    db.execute(
        "insert into email_outbox (template, recipient, next_attempt_at, dedupe_key)"
        " values ('staff-alert', 'a@example.com', now() - interval '1 hour', 'overdue')"
    )
    db.execute(
        "insert into gateway_events (gateway, id, type, state, occurred_at, received_at)"
        " values ('stripe', 'evt_stuck', 'x', 'failed', now(), now() - interval '1 hour')"
    )
    try:
        body = api.get("/api/ready")
        assert (body["status"], body["problems"]) == ("ready", {})
        assert body["warnings"]["mail"].startswith("the oldest mail is 36")
        assert body["warnings"]["payments"].startswith("1 events wait, the oldest for 36")
        assert set(body["warnings"]) == {"mail", "payments"}
    finally:
        db.execute("delete from email_outbox where dedupe_key = 'overdue'")
        db.execute("delete from gateway_events where id = 'evt_stuck'")
    assert api.get("/api/ready")["warnings"] == {}


def test_a_missing_webhook_secret_is_a_warning(app_with: Callable[..., Flask]):
    body = Client(app_with(STRIPE_WEBHOOK_SECRET=None)).get("/api/ready")
    assert body["warnings"] == {
        "webhooks": "STRIPE_WEBHOOK_SECRET is missing: payments are noted late, by reconciliation"
    }


@pytest.fixture(scope="module")
def old() -> Iterator[devstack.stack.Stack]:
    """A project as it was before the first migration, behind Supabase's API."""
    with devstack.stack.Stack(DIRECTORY / "old", free_ports()) as running:
        running.postgres.execute(PROJECTS["by_setup"])
        yield running


def test_what_an_old_database_lacks_is_named(old: devstack.stack.Stack, app_with: Callable[..., Flask]):
    """From none of the migrations to all, and one that a later release brings."""
    app = app_with(**old.environment())
    api, names = Client(app), [path.stem for path in FILES]

    def apply(paths: list[Path]) -> None:
        for path in paths:
            old.postgres.execute(path.read_text())
        time.sleep(0.5)  # PostgREST is notified, and looks at the functions anew

    def told(sentence: str) -> None:
        assert api.get("/api/ready", expect=503)["problems"] == {"schema": sentence}
        checked = app.test_cli_runner().invoke(args=["check"])
        assert (checked.exit_code, checked.output) == (1, f"Error: schema: {sentence}\n")

    told(f"none of the {len(names)} migrations in supabase/migrations is applied, {names[0]} is the first")
    apply(FILES[:3])
    told(f"{len(names) - 3} of {len(names)} migrations are not applied, from {names[3]} to {names[-1]}")
    apply(FILES[3:-2])
    told(f"2 of {len(names)} migrations are not applied: {names[-2]}, {names[-1]}")
    apply(FILES[-1:])
    told(f"1 of {len(names)} migrations is not applied: {names[-2]}")
    apply(FILES[-2:])
    old.postgres.execute("insert into app.migrations values ('20990101000000')")
    body = api.get("/api/ready")
    assert (body["status"], body["problems"]) == ("ready", {})
    assert body["notes"] == {"schema": "newer than this code, by 20990101000000"}
    assert body["warnings"] == {"currency": "not set in the database: `flask check` sets it"}
    checked = app.test_cli_runner().invoke(args=["check"])
    assert (checked.exit_code, checked.output.splitlines()[0]) == (0, "schema: newer than this code, by 20990101000000")
    assert api.get("/api/ready")["warnings"] == {}


def test_a_deployment_without_its_migrations_says_so(app: Flask, api: Client, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(health, "NEEDED", health.read_migrations(tmp_path))
    told = "supabase/migrations is not deployed with the service, so it cannot tell what the database lacks"
    assert api.get("/api/ready", expect=503)["problems"] == {"schema": told}
    checked = app.test_cli_runner().invoke(args=["check"])
    assert (checked.exit_code, checked.output) == (1, f"Error: schema: {told}\n")


@pytest.mark.parametrize("kind", ["anon", "customer", "of another project", "no key"])
def test_a_wrong_key_is_told_as_that(stack: Stack, settings_for, app_of, kind: str):
    """What the settings could not see: the database says so, and not that migrations were missing."""
    keys = {"anon": stack.key("anon"), "customer": stack.key("customer"), "no key": "x"}
    wrong = keys.get(kind) or jwt.encode({"role": "service_role"}, "another project's secret, long enough", "HS256")
    app = app_of(settings_for().model_copy(update={"supabase_key": wrong}))
    told = "the database refuses SUPABASE_SERVICE_ROLE_KEY: it is not that project's, not valid or not secret"
    assert Client(app).get("/api/ready", expect=503)["problems"] == {"key": told}
    checked = app.test_cli_runner().invoke(args=["check"])
    assert (checked.exit_code, checked.output) == (1, f"Error: key: {told}\n")


@pytest.mark.parametrize(
    ("body", "is_refused"),
    [
        ('{"message": "Invalid API key", "hint": "Double check your API key."}', True),
        ('{"code": "PGRST301", "message": "No suitable key or wrong key type"}', True),
        ("<h1>Unauthorized</h1>", True),
        ('{"code": "PT401", "message": "Current password is incorrect"}', False),
        ('{"code":"PT401","message":"Current password is incorrect"}', False),
    ],
)
def test_a_refused_key_is_told_from_a_refused_person(body: str, is_refused: bool):
    transport = httpx.MockTransport(lambda _: httpx.Response(401, text=body))
    with httpx.Client(transport=transport, event_hooks={"response": [database.refuse_key]}) as http:
        if is_refused:
            with pytest.raises(KeyRefused):
                http.get("http://database.example")
        else:
            assert http.get("http://database.example").status_code == 401


def test_what_is_no_supabase_is_told_as_that(stack: Stack, app_with: Callable[..., Flask]):
    body = Client(app_with(SUPABASE_URL=stack.url("mailbox"))).get("/api/ready", expect=503)
    assert body["problems"] == {
        "database": "answers, but not as a project of Supabase with these migrations: the log has its words"
    }


def test_mail_is_running_while_a_worker_lives(api: Client, db: psycopg.Connection, app_with):
    db.execute("delete from scheduled_jobs")
    assert api.get("/api/email-status")["status"] == "stopped"
    db.execute("insert into scheduled_jobs values ('heartbeat', now())")
    assert api.get("/api/email-status")["status"] == "running"
    silent = Client(app_with(SMTP_HOST=None))
    assert silent.get("/api/email-status")["status"] == "stopped"
    db.execute("update scheduled_jobs set last_started_at = now() - interval '10 minutes'")
    assert api.get("/api/email-status")["status"] == "stopped"
    db.execute("delete from scheduled_jobs")


def test_the_release_is_checked_against_its_database(app: Flask, lone_app: Flask):
    result = app.test_cli_runner().invoke(args=["check"])
    assert (result.exit_code, result.output.startswith("The settings are complete")) == (0, True)
    result = lone_app.test_cli_runner().invoke(args=["check"])
    assert (result.exit_code, result.output) == (1, "Error: database: out of reach\n")


@pytest.mark.parametrize(
    "command", [["mail", "status"], ["customers", "show", "a@example.com"], ["mail", "retry", "--all"]]
)
def test_commands_say_in_a_sentence_that_the_database_is_away(lone_app: Flask, command: list[str]):
    result = lone_app.test_cli_runner().invoke(args=command)
    told = "Error: The service is busy or being maintained. Please try again later.\n"
    assert (result.exit_code, result.output) == (1, told)
