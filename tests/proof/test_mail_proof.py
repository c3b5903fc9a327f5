"""The promises about mail at full length: `make proof`."""

import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from flask import Flask

from devstack.mailbox import Mailbox, mail_server
from service.config import Config
from service.mail.worker import Worker
from tests.client import Client
from tests.factories import PASSWORD, unique_email
from tests.mail.conftest import quiet_outbox  # noqa: F401
from tests.mail.outbox import kill_and_drain, make_due, queue, share, states
from tools.stack import Stack

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600), pytest.mark.usefixtures("quiet_outbox")]


def test_500_mails_survive_workers_killed_at_random(stack: Stack, db: psycopg.Connection, mailbox: Mailbox) -> None:
    doubles = kill_and_drain(stack, db, mailbox, mails=500, kills=12)
    print(f"500 mails, 12 kills: {doubles} mails came twice")
    assert doubles <= 12


def test_two_workers_share_2000_mails_without_a_double(
    app: Flask, db: psycopg.Connection, settings_for: Callable[..., Config], mailbox: Mailbox
) -> None:
    ids = queue(db, 2000)
    started = time.monotonic()
    share(app, [Worker(settings_for()) for _ in range(2)])
    print(f"2000 mails by two workers in {time.monotonic() - started:.1f} s")
    copies = sorted(mail["message_id"] for mail in mailbox.messages())
    assert copies == sorted(f"<{each}@jklg.example>" for each in ids)
    assert states(db) == {"sent": 2000}


def test_an_outage_does_not_slow_registration(
    app: Flask, api: Client, db: psycopg.Connection, settings_for: Callable[..., Config], tmp_path: Path
) -> None:
    def register_many() -> float:
        """The median of 100 registrations, in milliseconds, while a worker is at work."""
        taken = []
        for _ in range(100):
            given = {"email": unique_email(), "password": PASSWORD, "name": "Mara"}
            started = time.perf_counter()
            Client(app).post("/api/customers/register", given, expect=201)
            taken.append((time.perf_counter() - started) * 1000)
        return statistics.median(taken)

    def run(worker: Worker) -> None:
        with app.app_context():
            worker.run()

    with mail_server(tmp_path) as (mailbox, port):
        worker = Worker(settings_for(SMTP_PORT=str(port)))
        thread = threading.Thread(target=run, args=[worker])
        thread.start()
        healthy = register_many()
    outage = register_many()
    print(f"median of a registration: {healthy:.1f} ms, during an outage {outage:.1f} ms")
    assert outage < healthy * 1.5 + 5
    db.execute("update email_outbox set created_at = created_at - interval '1 hour'")
    with mail_server(tmp_path, smtp_port=port) as (mailbox, _):
        make_due(db)
        deadline = time.monotonic() + 60
        while states(db) != {"sent": 200} and time.monotonic() < deadline:
            time.sleep(0.1)
        worker.stop()
        thread.join()
        assert states(db) == {"sent": 200}
        assert len({mail["message_id"] for mail in mailbox.messages()}) == 200
