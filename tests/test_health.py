"""Is it alive, is it ready, is mail being sent."""

import psycopg
import pytest
from flask import Flask

from tests.client import Client
from tests.sure import fetch_row


def test_health_needs_nothing(lone: Client):
    body = lone.get("/api/health")
    assert set(body) == {"status", "timestamp", "uptime"}
    assert body["status"] == "ok" and body["uptime"] >= 0


def test_ready_says_what_is_missing(lone: Client):
    body = lone.get("/api/ready", expect=503)
    assert body["status"] == "not ready"
    assert body["problems"] == {"database": "out of reach"}
    assert set(body["notes"]) == {"mail", "payments", "row_level_security"}


def test_ready_when_everything_is_there(api: Client):
    body = api.get("/api/ready")
    assert (body["status"], body["problems"], body["notes"]) == ("ready", {}, {})


def test_an_older_schema_is_not_ready(api: Client, db: psycopg.Connection):
    newest = "select max(version) from app.migrations"
    (version,) = fetch_row(db, f"delete from app.migrations where version = ({newest}) returning version")
    try:
        assert "schema" in api.get("/api/ready", expect=503)["problems"]
    finally:
        db.execute("insert into app.migrations (version) values (%s)", [version])
    assert api.get("/api/ready")["status"] == "ready"


def test_an_overdue_mail_and_a_stuck_event_are_not_ready(api: Client, db: psycopg.Connection):
    db.execute(
        "insert into email_outbox (template, recipient, next_attempt_at, dedupe_key)"
        " values ('staff-alert', 'a@example.com', now() - interval '1 hour', 'overdue')"
    )
    db.execute(
        "insert into stripe_events (id, type, state, occurred_at, received_at)"
        " values ('evt_stuck', 'x', 'failed', now(), now() - interval '1 hour')"
    )
    try:
        assert set(api.get("/api/ready", expect=503)["problems"]) == {"mail", "payments"}
    finally:
        db.execute("delete from email_outbox where dedupe_key = 'overdue'")
        db.execute("delete from stripe_events where id = 'evt_stuck'")


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
