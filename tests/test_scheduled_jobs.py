"""The periodic work of `flask worker`."""

import threading
import time
import uuid

import psycopg
from flask import Flask

from service.mail import store
from service.scheduled_jobs import ScheduledJob, run_jobs
from tests.mail.outbox import wait_until


def test_a_job_runs_once_when_due_and_a_failing_one_stops_nothing(app: Flask, db: psycopg.Connection) -> None:
    ran: list[str] = []
    name = uuid.uuid4().hex
    stopping = threading.Event()

    def fail() -> None:
        ran.append("failing")
        raise RuntimeError

    made = [
        ScheduledJob(f"failing-{name}", 60, fail),
        ScheduledJob(f"good-{name}", 60, lambda: ran.append("good")),
    ]
    threads = [threading.Thread(target=run_jobs, args=(app, stopping, made)) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(ran) == 2)
    time.sleep(0.3)
    stopping.set()
    for thread in threads:
        thread.join()
    assert sorted(ran) == ["failing", "good"]
    with app.app_context():
        assert 50 < store.claim_job(f"good-{name}", 60) <= 60
        db.execute(
            "update scheduled_jobs set last_started_at = now() - interval '61 seconds' where name = %s",
            [f"good-{name}"],
        )
        assert store.claim_job(f"good-{name}", 60) == 0
