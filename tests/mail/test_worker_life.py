"""Workers that idle, stop, die and work side by side."""

import signal
import threading
import time
from collections.abc import Callable

import psycopg
import pytest
from flask import Flask

from devstack.mailbox import Mailbox
from service.config import Config
from service.mail import store
from service.mail.shapes import ClaimedEmail
from service.mail.worker import POLL, Worker
from tests.mail.outbox import drain, kill_and_drain, make_due, queue, row, share, start_worker, states, wait_until
from tools.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet_outbox")


def test_an_idle_worker_asks_about_once_a_second_and_wakes_within_one(
    app: Flask, db: psycopg.Connection, worker: Worker, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    claim = store.claim_email

    def note_and_claim(booking_hold: int) -> ClaimedEmail | None:
        asked.append(time.monotonic())
        return claim(booking_hold)

    monkeypatch.setattr(store, "claim_email", note_and_claim)

    def run() -> None:
        with app.app_context():
            worker.run()

    store.pause_queue("by another worker, before the settings were mended")
    thread = threading.Thread(target=run)
    thread.start()
    try:
        time.sleep(2.2)
        assert store.queue_status()["pause_reason"] is None
        assert len(asked) <= 2.2 / POLL + 1
        started = time.monotonic()
        (email_id,) = queue(db)
        mailbox.wait_for(row(db, email_id)["recipient"], timeout=3)
        assert time.monotonic() - started < 1.2
    finally:
        worker.stop()
        started = time.monotonic()
        thread.join()
    assert time.monotonic() - started < 0.5


def test_sigterm_ends_the_worker_after_the_mail_under_way(
    stack: Stack, db: psycopg.Connection, mailbox: Mailbox
) -> None:
    queue(db, 5)
    mailbox.fault("body", "hang", seconds=1)
    with start_worker(stack) as process:
        wait_until(lambda: states(db).get("sending"))
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert process.wait(10) == 0
    assert time.monotonic() - started < 4
    assert states(db) == {"sent": 1, "queued": 4} and len(mailbox.messages()) == 1


def test_killed_workers_lose_nothing(stack: Stack, db: psycopg.Connection, mailbox: Mailbox) -> None:
    assert kill_and_drain(stack, db, mailbox, mails=20, kills=1) <= 1


def test_the_mail_of_a_worker_that_died_is_taken_over_and_its_late_word_ignored(
    db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    (email_id,) = queue(db)
    lost = store.claim_email(0)
    assert lost and worker.step() is False
    assert 170 < row(db, email_id)["wait"] <= 180
    make_due(db)
    drain(worker)
    assert store.finish_email(lost, "dead", "too late") is None
    assert (row(db, email_id)["state"], row(db, email_id)["attempts"]) == ("sent", 2)


def test_a_mail_that_kills_its_worker_each_time_is_given_up(db: psycopg.Connection) -> None:
    (email_id,) = queue(db)
    db.execute("update email_outbox set attempts = 14")
    claimed = store.claim_email(0)
    assert claimed and claimed["attempts"] == 15
    make_due(db)
    assert store.claim_email(0) is None
    store.purge_emails()
    assert row(db, email_id)["state"] == "dead"


def test_workers_share_the_mails_without_a_double(
    db: psycopg.Connection, app: Flask, settings_for: Callable[..., Config], mailbox: Mailbox
) -> None:
    ids = queue(db, 60)
    workers = [Worker(settings_for()) for _ in range(3)]
    share(app, workers)
    assert sorted(mail["message_id"] for mail in mailbox.messages()) == sorted(f"<{each}@jklg.example>" for each in ids)
    assert states(db) == {"sent": 60}
