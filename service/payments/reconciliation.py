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
from service.payments.gateway import EventRefused
from service.payments.gateways import gateway
from service.payments.refunds import settle_refund
from service.payments.shapes import RefundTask, UnsettledPayment

log = logging.getLogger(__name__)
P = ParamSpec("P")

UNDELIVERED_SINCE = timedelta(days=3)  # as long as Stripe goes on sending
ALL_SINCE = timedelta(hours=1)  # for the first run; later ones begin where the last complete one did


def reconcile() -> dict[str, int]:
    """Run all steps once; how much each did, ``errors``, ``found`` lost payments and the backlog.

    Safe at any time, also twice at once. Raises ``PaymentsNotConfigured``.
    """
    gateway()
    done = _settle(pause_seconds=0)
    work = store.list_work()
    for payment in work["payments"] + work["untold_refunds"]:
        _attempt(done, "payments", _check_payment, payment)
    for task in work["refunds"]:
        _attempt(done, "refunds", _check_refund, task)
    for customer_id in work["customers"]:
        _attempt(done, "customers", _delete_customer, customer_id)
    for event in work["events"]:
        _attempt(done, "events", replay, event["payload"])
    errors = done["errors"]
    _attempt(done, "fetched", _fetch_events, done, work["since"])
    finished = store.finish_reconciliation(work["began_at"], is_complete=done["errors"] == errors)
    for flag in finished["flagged"]:
        log.warning("a payment needs review", extra={**flag})
    if finished["found"]:
        log.error("lost payments were found", extra={"found": finished["found"]})
    done.update(finished["backlog"] | {"found": finished["found"]})
    log.info("payments reconciled", extra=dict(done))
    return dict(done)


def reconcile_if_configured() -> dict[str, int] | None:
    """The worker's job, every 10 minutes; nothing where no gateway is set up."""
    return reconcile() if config.stripe_secret_key else None


def settle_if_configured() -> dict[str, int] | None:
    """The worker's job, every few seconds: what nobody waits for and yet is urgent; nothing where there is nothing."""
    return (dict(_settle(pause_seconds=60)) or None) if config.stripe_secret_key else None


def _settle(pause_seconds: int) -> Counter[str]:
    """Cancel what was superseded, send back what nobody wanted, ask how a payment was made."""
    done: Counter[str] = Counter()
    work = store.claim_work(pause_seconds)
    for payment in work["cancel"]:
        _attempt(done, "canceled", _cancel_payment, payment)
    for task in work["refunds"]:
        _attempt(done, "refunds", settle_refund, task, is_attended=False)
    for payment in work["ask"]:
        _attempt(done, "payments", _check_payment, payment)
    return done


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
    except EventRefused as error:  # as of the other mode (test or live): trying again does not help
        log.warning("event refused", extra={"cause": error.message})
    except ServiceError as error:
        done["errors"] += 1
        log.warning("reconciliation step failed", extra={"step": name, "cause": f"{error.code}: {error.message}"})


def _check_payment(row: UnsettledPayment) -> None:
    """Ask how a payment stands."""
    payment = gateway().retrieve_payment(row["payment_id"], with_refunds=True)
    store.apply_facts(payment.facts, row["transaction_id"])


def _cancel_payment(row: UnsettledPayment) -> None:
    """Cancel a payment where another has taken its place, or none is wanted. It may have been paid meanwhile."""
    payment = gateway().cancel_payment(row["payment_id"])
    store.apply_facts(payment.facts, row["transaction_id"])


def _check_refund(task: RefundTask) -> None:
    """Ask how a refund stands that is under way at the gateway."""
    store.apply_facts(gateway().retrieve_payment(task["payment_id"], with_refunds=True).facts)


def _delete_customer(gateway_customer_id: str) -> None:
    """The person goes from the gateway, too."""
    gateway().delete_customer(gateway_customer_id)
    store.forget_customer(gateway_customer_id)


def _fetch_events(done: Counter[str], last_run: str | None) -> None:
    """What the gateway could not deliver, and everything since the last complete run, oldest first."""
    now = datetime.now(UTC)
    since = datetime.fromisoformat(last_run) if last_run else now - ALL_SINCE
    found: dict[str, str] = {}
    found.update(gateway().list_events(min(since, now - UNDELIVERED_SINCE), is_undelivered=True))
    found.update(gateway().list_events(since, is_undelivered=False))
    unknown = set(store.list_unknown_events(list(found))) if found else set()
    for event_id, payload in sorted(found.items(), key=_created):
        if event_id in unknown:
            _attempt(done, "events", replay, payload)


def _created(item: tuple[str, str]) -> tuple[int, str]:
    return json.loads(item[1])["created"], item[0]
