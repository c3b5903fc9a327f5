"""Making our books equal the gateway's, whatever was lost on the way: by asking, and through the same SQL as events."""

import json
import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ParamSpec

from service.config import config
from service.errors import ServiceError
from service.payments import store
from service.payments.gateways import gateway
from service.payments.refunds import settle_refund
from service.payments.shapes import RefundTask, UnsettledPayment

log = logging.getLogger(__name__)
P = ParamSpec("P")

UNDELIVERED_SINCE = timedelta(days=3)  # as long as Stripe goes on sending
ALL_SINCE = timedelta(hours=1)  # also what counts as delivered, or was never to be sent; runs are 10 minutes apart


def reconcile() -> dict[str, int]:
    """Run all steps once; how much each did, ``errors`` and the backlog. Safe at any time, also twice at once.

    Raises ``PaymentsNotConfigured``.
    """
    gateway()
    done: Counter[str] = Counter()
    work = store.list_work()
    for payment in work["payments"]:
        _attempt(done, "payments", _check_payment, payment)
    for task in work["refunds"]:
        _attempt(done, "refunds", _check_refund, task)
    for event in work["events"]:
        _attempt(done, "events", replay, event["payload"])
    _attempt(done, "fetched", _fetch_events, done)
    done.update(store.finish_reconciliation())
    log.info("payments reconciled", extra=dict(done))
    return dict(done)


def reconcile_if_configured() -> dict[str, int] | None:
    """The worker's job, every 10 minutes; nothing where no gateway is set up."""
    return reconcile() if config.stripe_secret_key else None


def replay(payload: str) -> str:
    """Feed the text of one event through the usual way; its verdict. Safe twice. Raises ``EventRefused``."""
    event = gateway().read_event(payload)
    if event is None:
        return "ignored"
    verdict = store.record_event(event, payload, is_replay=True)
    if verdict["verdict"] == "failed":
        log.error("event failed", extra={"event": event["id"], "cause": verdict["error"]})
    return verdict["verdict"]


def _attempt(done: Counter[str], name: str, step: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """One that fails does not keep the others from their turn."""
    try:
        step(*args, **kwargs)
        done[name] += 1
    except ServiceError as error:
        done["errors"] += 1
        log.warning("reconciliation step failed", extra={"step": name, "cause": f"{error.code}: {error.message}"})


def _check_payment(row: UnsettledPayment) -> None:
    """Ask how a payment stands; cancel it where another has taken its place."""
    if row["is_unwanted"]:
        payment = gateway().cancel_payment(row["payment_id"])
    else:
        payment = gateway().retrieve_payment(row["payment_id"], with_refunds=True)
    store.apply_facts(payment.facts, row["transaction_id"])


def _check_refund(task: RefundTask) -> None:
    """Settle a refund that was reserved and never heard of again; ask how a pending one stands."""
    if task["gateway_refund_id"] is None:
        settle_refund({**task, "is_resumed": True})
    else:
        store.apply_facts(gateway().retrieve_payment(task["payment_id"], with_refunds=True).facts)


def _fetch_events(done: Counter[str]) -> None:
    """What the gateway could not deliver, and everything of the last hour, oldest first."""
    now = datetime.now(UTC)
    found: dict[str, str] = {}
    for since, is_undelivered in ((UNDELIVERED_SINCE, True), (ALL_SINCE, False)):
        found.update(gateway().list_events(now - since, is_undelivered=is_undelivered))
    unknown = set(store.list_unknown_events(list(found))) if found else set()
    for event_id, payload in sorted(found.items(), key=_created):
        if event_id in unknown:
            _attempt(done, "events", replay, payload)


def _created(item: tuple[str, str]) -> tuple[int, str]:
    return json.loads(item[1])["created"], item[0]
