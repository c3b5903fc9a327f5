"""Jobs that run every so often, in `flask worker` beside the mail; of several workers one runs each when it is due."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Flask

from service.customers import store as customers
from service.errors import ServiceError
from service.mail import store
from service.payments.reconciliation import reconcile_if_configured, settle_if_configured

log = logging.getLogger(__name__)

RETRY = 60  # seconds until the next look when the database is away


@dataclass(frozen=True)
class ScheduledJob:
    """Something to do every so many seconds. A run that fails is logged and not repeated before its time."""

    name: str
    every_seconds: int
    run: Callable[[], object]


JOBS = [
    ScheduledJob("heartbeat", 30, lambda: None),  # its mark in the database tells /api/ready that a worker lives
    ScheduledJob("settle-payments", 5, settle_if_configured),
    ScheduledJob("purge-emails", 3600, store.purge_emails),
    ScheduledJob("clean-expired", 3600, customers.clean_expired),
    ScheduledJob("reconcile-payments", 600, reconcile_if_configured),
]


def run_jobs(app: Flask, stopping: threading.Event, jobs: Sequence[ScheduledJob] = JOBS) -> None:
    """Run what is due until ``stopping`` is set; for a thread of its own, as mail must not wait for a long job."""
    due = dict.fromkeys((job.name for job in jobs), 0.0)
    with app.app_context():
        while not stopping.is_set():
            for job in jobs:
                if time.monotonic() >= due[job.name] and not stopping.is_set():
                    due[job.name] = time.monotonic() + _run_if_due(job)
            stopping.wait(max(0.1, min(due.values()) - time.monotonic()))


def _run_if_due(job: ScheduledJob) -> int:
    """Run a job unless another worker has; seconds until the next look."""
    try:
        wait = store.claim_job(job.name, job.every_seconds)
    except ServiceError:
        return RETRY
    if wait:
        return wait
    started = time.monotonic()
    try:
        result = job.run()
    except Exception:
        log.exception("job failed", extra={"job": job.name})
    else:
        if result is not None:
            taken = round(time.monotonic() - started, 3)
            log.info("job done", extra={"job": job.name, "result": result, "seconds": taken})
    return job.every_seconds
