"""What the tests of the outbox do to it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from flask import Flask
from psycopg.rows import dict_row

from devstack.mailbox import Mailbox
from service.mail.worker import Worker
from tests.factories import unique_email
from tests.sure import fetch_row
from tools.project import PROJECT
from tools.stack import Stack

ALERT = {"subject": "A test", "message": "Nothing happened."}


def queue(db: psycopg.Connection, count: int = 1, *, template: str = "staff-alert", **more: Any) -> list[str]:
    """Queue mails to as many addresses; their ids."""
    columns = {"p_template": template, "p_data": json.dumps(ALERT), **more}
    call = ", ".join(f"{name} => %({name})s" for name in columns)
    query = f"select app.queue_email(p_recipient => %(to)s, {call})"
    return [str(fetch_row(db, query, columns | {"to": unique_email()})[0]) for _ in range(count)]


def row(db: psycopg.Connection, email_id: str) -> dict[str, Any]:
    query = "select *, extract(epoch from next_attempt_at - now())::float as wait from email_outbox where id = %s"
    return db.cursor(row_factory=dict_row).execute(query, [email_id]).fetchall()[0]


def states(db: psycopg.Connection) -> dict[str, int]:
    """How many mails of ``queue`` are in each state; a worker's chores may queue alerts of their own."""
    query = "select state, count(*) from email_outbox where recipient like 'person-%' group by state"
    return dict(db.execute(query).fetchall())


def make_due(db: psycopg.Connection) -> None:
    """Move the clock: every wait, lease and pause is over."""
    db.execute("update email_outbox set next_attempt_at = now() where state in ('queued', 'sending')")
    db.execute("update email_queue set paused_until = now()")


def drain(worker: Worker) -> None:
    while worker.step():
        pass
    worker.server.close()


def share(app: Flask, workers: list[Worker]) -> None:
    """Let workers drain the outbox side by side."""

    def work(each: Worker) -> None:
        with app.app_context():
            drain(each)

    threads = [threading.Thread(target=work, args=[each]) for each in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def start_worker(stack: Stack, *command: str) -> subprocess.Popen[bytes]:
    """`flask worker`, or another command in its place."""
    environment = {**os.environ, **stack.service_environment(), "LOG_LEVEL": "CRITICAL"}
    return subprocess.Popen([sys.executable, "-m", *(command or ("flask", "worker"))], cwd=PROJECT, env=environment)


def kill_and_drain(stack: Stack, db: psycopg.Connection, mailbox: Mailbox, *, mails: int, kills: int) -> int:
    """Kill workers in the middle of the mails, let a last one finish; every mail came. How many came twice."""
    ids = queue(db, mails)
    for number in range(kills):
        with start_worker(stack, "tests.mail.sender") as process:
            share = mails * (number + 1) // (kills + 1)
            wait_until(partial(_has_come, mailbox, share), seconds=60)
            process.kill()
        assert states(db).get("sent", 0) < mails
        make_due(db)
    with start_worker(stack, "tests.mail.sender") as process:
        wait_until(lambda: states(db) == {"sent": mails}, seconds=60)
        process.terminate()
    copies = [mail["message_id"] for mail in mailbox.messages()]
    assert set(copies) == {f"<{each}@jklg.example>" for each in ids}
    return len(copies) - mails


def _has_come(mailbox: Mailbox, count: int) -> bool:
    return len(mailbox.messages()) >= count


def wait_until(is_so: Callable[[], Any], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
