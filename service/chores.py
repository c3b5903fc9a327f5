"""Periodic work, run by `flask worker` beside the mail; of several workers one runs each when it is due."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Flask

from service.customers import store as customers
from service.errors import ServiceError
from service.mail import store
from service.payments.reconciliation import reconcile_if_configured

log = logging.getLogger(__name__)

RETRY = 60  # seconds until the next look when the database is away


@dataclass(frozen=True)
class Chore:
    """Something to do every so many seconds. A run that fails is logged and not repeated before its time."""

    name: str
    every_seconds: int
    run: Callable[[], object]


CHORES = [
    Chore("heartbeat", 30, lambda: None),  # its mark in the database tells /api/ready that a worker lives
    Chore("purge-emails", 3600, store.purge_emails),
    Chore("clean-expired", 3600, customers.clean_expired),
    Chore("reconcile-payments", 600, reconcile_if_configured),
]


def run_chores(app: Flask, stopping: threading.Event, chores: Sequence[Chore] = CHORES) -> None:
    """Run what is due until ``stopping`` is set; for a thread of its own, as mail must not wait for a long chore."""
    due = dict.fromkeys((chore.name for chore in chores), 0.0)
    with app.app_context():
        while not stopping.is_set():
            for chore in chores:
                if time.monotonic() >= due[chore.name] and not stopping.is_set():
                    due[chore.name] = time.monotonic() + _run_if_due(chore)
            stopping.wait(max(0.1, min(due.values()) - time.monotonic()))


def _run_if_due(chore: Chore) -> int:
    """Run a chore unless another worker has; seconds until the next look."""
    try:
        wait = store.claim_chore(chore.name, chore.every_seconds)
    except ServiceError:
        return RETRY
    if wait:
        return wait
    started = time.monotonic()
    try:
        result = chore.run()
    except Exception:
        log.exception("chore failed", extra={"chore": chore.name})
    else:
        if chore.run is not CHORES[0].run:
            taken = round(time.monotonic() - started, 3)
            log.info("chore done", extra={"chore": chore.name, "result": result, "seconds": taken})
    return chore.every_seconds
