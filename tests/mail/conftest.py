"""An outbox and a worker of a test's own."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from flask import Flask

from devstack.mailbox import Mailbox
from service.config import Config
from service.mail.worker import Worker


@pytest.fixture
def quiet_outbox(db: psycopg.Connection, mailbox: Mailbox, app: Flask) -> Iterator[None]:
    """Each test begins and leaves with an empty outbox that is not paused, and a mailbox that behaves."""

    def sweep() -> None:
        db.execute("delete from email_outbox")
        db.execute("update email_queue set paused_until = null, pause_reason = null, pauses_in_a_row = 0")
        mailbox.clear()

    sweep()
    with app.app_context():
        yield
    sweep()


@pytest.fixture
def worker(settings_for: Callable[..., Config]) -> Iterator[Worker]:
    made = Worker(settings_for())
    made.server.timeout = 0.5
    yield made
    made.server.close()
