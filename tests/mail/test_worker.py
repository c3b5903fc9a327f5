"""The worker on the real outbox: what becomes of a mail when the server refuses, hangs, drops or is away."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from psycopg.types.json import Jsonb

from devstack.mailbox import Mailbox, mail_server
from service.config import Config
from service.mail import render, store
from service.mail.message import Letter
from service.mail.worker import Worker
from tests.client import Client
from tests.factories import PASSWORD, unique_email
from tests.mail.outbox import ALERT, drain, make_due, queue, row, states
from tests.sure import fetch_row

pytestmark = pytest.mark.usefixtures("quiet_outbox")


def test_a_mail_is_sent_and_its_data_wiped(db: psycopg.Connection, worker: Worker, mailbox: Mailbox) -> None:
    (email_id,) = queue(db)
    assert worker.step() is True
    assert worker.step() is False
    sent = row(db, email_id)
    assert (sent["state"], sent["data"], sent["attempts"], sent["last_error"]) == ("sent", {}, 1, None)
    assert sent["finished_at"] is not None and sent["claimed_by"] is None
    kept = mailbox.wait_for(sent["recipient"], "[Staff] A test")
    assert kept["message_id"] == f"<{email_id}@jklg.example>"
    assert "Nothing happened." in kept["text"]


@pytest.mark.parametrize(("attempt", "wait"), [(1, 30), (2, 60), (5, 480), (12, 61440), (13, 86400), (14, 86400)])
def test_the_waits_double_up_to_a_day(
    db: psycopg.Connection, worker: Worker, mailbox: Mailbox, attempt: int, wait: int
) -> None:
    (email_id,) = queue(db)
    db.execute("update email_outbox set attempts = %s", [attempt - 1])
    mailbox.fault("rcpt", "refuse", code=451)
    worker.step()
    now = row(db, email_id)
    assert (now["state"], now["attempts"]) == ("queued", attempt)
    assert wait * 0.75 - 1 <= now["wait"] <= wait
    assert "451" in now["last_error"]
    assert worker.step() is False


def test_the_fifteenth_attempt_is_the_last(db: psycopg.Connection, worker: Worker, mailbox: Mailbox) -> None:
    (email_id,) = queue(db)
    mailbox.fault("body", "refuse", code=452)
    for _ in range(20):
        make_due(db)
        worker.step()
    assert (row(db, email_id)["state"], row(db, email_id)["attempts"]) == ("dead", 15)


def test_a_refusal_for_good_is_dead_until_it_is_retried(
    db: psycopg.Connection, worker: Worker, mailbox: Mailbox, app: Flask
) -> None:
    (email_id,) = queue(db)
    mailbox.fault("rcpt", "refuse", code=550, times=1)
    worker.step()
    dead = row(db, email_id)
    assert (dead["state"], dead["data"]) == ("dead", ALERT)
    assert "550" in dead["last_error"]
    assert app.test_cli_runner().invoke(args=["mail", "retry", email_id]).output == "1 queued again.\n"
    drain(worker)
    assert row(db, email_id)["state"] == "sent"


def test_a_mail_that_cannot_be_written_is_dead(db: psycopg.Connection, worker: Worker) -> None:
    missing = queue(db, template="payment-receipt")[0]
    unknown = queue(db, template="no-such-mail")[0]
    drain(worker)
    assert [row(db, each)["state"] for each in (missing, unknown)] == ["dead", "dead"]
    assert "undefined" in row(db, missing)["last_error"]


def test_a_mail_that_nobody_thought_of_keeps_no_other(
    db: psycopg.Connection, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, even = queue(db, 2)
    send = worker.server.send

    def fail_once(letter: Letter) -> None:
        if odd in letter.message_id:
            raise RuntimeError("a surprise")
        send(letter)

    monkeypatch.setattr(worker.server, "send", fail_once)
    drain(worker)
    assert [row(db, each)["state"] for each in (odd, even)] == ["queued", "sent"]
    assert "a surprise" in row(db, odd)["last_error"]


def test_wrong_credentials_pause_the_queue_for_all(
    db: psycopg.Connection, settings_for: Callable[..., Config], worker: Worker, mailbox: Mailbox
) -> None:
    mailbox.rule(user="jklg", password="right")
    queue(db, 3)
    wrong = Worker(settings_for(SMTP_USER="jklg", SMTP_PASSWORD="wrong"))
    for pause in (15, 30, 60, 120, 240, 300, 300):
        assert wrong.step() is False
        assert worker.step() is False and wrong.step() is False
        (left,) = fetch_row(db, "select extract(epoch from paused_until - now())::float from email_queue")
        assert pause - 2 < left <= pause
        make_due(db)
    status = store.queue_status()
    assert status["waiting"] == 3 and "535" in (status["pause_reason"] or "")
    assert db.execute("select max(attempts) from email_outbox").fetchone() == (0,)
    drain(Worker(settings_for(SMTP_USER="jklg", SMTP_PASSWORD="right")))
    assert states(db) == {"sent": 3}
    assert store.queue_status()["pause_reason"] is None


def test_a_server_that_hangs_or_drops_costs_no_mail(db: psycopg.Connection, worker: Worker, mailbox: Mailbox) -> None:
    ids = queue(db, 11)
    for stage in ("connect", "ehlo", "mail", "rcpt", "data", "body", "kept", "quit", "rset"):
        for deed in ("drop", "refuse"):
            mailbox.fault(stage, deed, code=451, times=1)
    for _ in range(30):
        make_due(db)
        drain(worker)
    assert states(db) == {"sent": 11}
    copies = [mail["message_id"] for mail in mailbox.messages()]
    assert set(copies) == {f"<{each}@jklg.example>" for each in ids}
    # Twice the server kept a mail and did not say so: nobody can know, so those came twice, under one id.
    assert len(copies) == 13


def test_a_failing_quit_sends_nothing_twice(db: psycopg.Connection, worker: Worker, mailbox: Mailbox) -> None:
    mailbox.fault("quit", "drop")
    queue(db, 2)
    for _ in range(2):
        drain(worker)
        make_due(db)
    assert (states(db), len(mailbox.messages())) == ({"sent": 2}, 2)


def test_many_mails_go_over_one_connection(db: psycopg.Connection, worker: Worker, mailbox: Mailbox) -> None:
    queue(db, 5)
    drain(worker)
    assert len({mail["connection"] for mail in mailbox.messages()}) == 1


def test_hostile_names_reach_the_inbox_as_text(
    api: Client, db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    data = json.loads((render.FOLDER / "booking-cancelled" / "sample.json").read_text())
    for name in ("<a href=https://evil>x</a>", "Mara\r\nBcc: eve@example.com"):
        email = unique_email()
        db.execute(
            "with new as (insert into customers (email, password_hash, name, verified_at)"
            " values (%s, 'x', %s, now()) returning *)"
            " select app.queue_email('booking-cancelled', email, %s) from new",
            [email, "Mara", Jsonb({**data, "name": name, "package": name})],
        )
        drain(worker)
        kept = mailbox.wait_for(email)
        shown = " ".join(name.split())
        assert shown in kept["subject"] and shown in kept["text"]
        assert "<a href=https://evil" not in kept["html"]
        assert not any(header == "Bcc" for header, _ in kept["headers"])
    assert mailbox.messages("eve@example.com") == []


def test_an_outage_leaves_accounts_working_and_drains_afterwards(
    api: Client, db: psycopg.Connection, settings_for: Callable[..., Config], tmp_path: Path
) -> None:
    with mail_server(tmp_path) as (_, port):
        pass  # and it is gone
    worker = Worker(settings_for(SMTP_PORT=str(port)))
    addresses = [unique_email() for _ in range(5)]
    for address in addresses:
        api.post("/api/customers/register", {"email": address, "password": PASSWORD, "name": "Mara"}, expect=201)
        assert worker.step() is False
        make_due(db)
    status = store.queue_status()
    assert status["waiting"] == 5 and "does not answer" in (status["pause_reason"] or "")
    db.execute("update email_outbox set created_at = created_at - interval '1 hour'")
    make_due(db)
    with mail_server(tmp_path, smtp_port=port) as (mailbox, _):
        drain(worker)
        assert sorted(mail["to"][0] for mail in mailbox.messages()) == sorted(addresses)
    assert states(db) == {"sent": 5}
