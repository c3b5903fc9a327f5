"""Making our books equal the gateways', whatever was lost on the way: by asking, and through the same SQL as events."""

import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ParamSpec

from service.config import config
from service.errors import NotFound, ServiceError
from service.payments import store
from service.payments.capture import settle_payment
from service.payments.gateway import EventRefused, Gateway, PaymentsNotConfigured
from service.payments.gateways import configured, gateway
from service.payments.refunds import settle_refund
from service.payments.shapes import GatewayCustomer, RefundTask, UnsettledPayment
from service.payments.webhooks import record, verify_kept

log = logging.getLogger(__name__)
P = ParamSpec("P")

UNDELIVERED_SINCE = timedelta(days=3)  # as long as Stripe goes on sending
ALL_SINCE = timedelta(hours=1)  # for the first run; later ones begin where the last complete one did


def reconcile() -> dict[str, int]:
    """Run all steps once; how much each did, ``errors``, ``found`` lost payments and the backlog.

    Safe at any time, also twice at once. Raises ``PaymentsNotConfigured``.
    """
    known = [gateway(adapter.name) for adapter in configured(config)]
    if not known:
        raise PaymentsNotConfigured(retry_after=3600)
    done = settle(pause_seconds=0)
    work = store.list_work([each.name for each in known], [each.name for each in known if not each.lists_events])
    for payment in work["payments"] + work["untold_refunds"] + work["unlisted"]:
        _attempt(done, "payments", _check_payment, payment)
    for task in work["refunds"]:
        _attempt(done, "refunds", _check_refund, task)
    for customer in work["customers"]:
        _attempt(done, "customers", _delete_customer, customer)
    for event in work["events"]:
        _attempt(done, "events", replay, event["gateway"], event["payload"])
    errors = done["errors"]
    for each in known:
        if each.lists_events:
            _attempt(done, "fetched", _fetch_events, each, done, work["since"])
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
    return reconcile() if configured(config) else None


def settle_if_configured() -> dict[str, int] | None:
    """The worker's job, every few seconds: what nobody waits for and yet is urgent; nothing where there is nothing."""
    return (dict(settle(pause_seconds=60)) or None) if configured(config) else None


def settle(pause_seconds: int) -> Counter[str]:
    """Verify what came, cancel what was superseded, take what was approved, send back what nobody wanted, ask how a
    payment was made; but for what failed in the last ``pause_seconds``."""
    done: Counter[str] = Counter()
    work = store.claim_work([adapter.name for adapter in configured(config)], pause_seconds)
    for event in work["verify"]:
        _attempt(done, "events", verify_kept, event)
    for payment in work["cancel"]:
        _attempt(done, "canceled", _cancel_payment, payment)
    for payment in work["capture"]:
        _attempt(done, "captured", settle_payment, payment)
    for task in work["refunds"]:
        _attempt(done, "refunds", settle_refund, task, is_attended=False)
    for payment in work["ask"]:
        _attempt(done, "payments", _check_payment, payment)
    return done


def replay(gateway_name: str, payload: str) -> str:
    """Feed the text of one event through the usual way; its verdict. Safe twice. Raises ``EventRefused``."""
    return record(gateway(gateway_name), payload, is_replay=True)


def replay_by_id(event_id: str) -> str:
    """The same by its id, from what was kept here, else as its gateway has it. Raises ``NotFound``."""
    kept = store.find_event(event_id)
    if kept and kept["payload"]:
        return replay(kept["gateway"], kept["payload"])
    for adapter in configured(config):
        if adapter.lists_events and (kept is None or kept["gateway"] == adapter.name):
            with contextlib.suppress(NotFound):
                return replay(adapter.name, gateway(adapter.name).retrieve_event(event_id))
    raise NotFound.of("Event")


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
    """Ask how a payment stands, and all that went back of it."""
    settle_payment(row, with_refunds=True)


def _cancel_payment(row: UnsettledPayment) -> None:
    """Cancel a payment where another has taken its place, or none is wanted. It may have been paid meanwhile."""
    payment = gateway(row["gateway"]).cancel_payment(row["payment_id"])
    store.apply_facts(payment.facts, row["transaction_id"])


def _check_refund(task: RefundTask) -> None:
    """Ask how a refund stands that is under way at the gateway."""
    store.apply_facts(gateway(task["gateway"]).retrieve_payment(task["payment_id"], with_refunds=True).facts)


def _delete_customer(customer: GatewayCustomer) -> None:
    """The person goes from the gateway, too."""
    gateway(customer["gateway"]).delete_customer(customer["gateway_customer_id"])
    store.forget_customer(customer)


def _fetch_events(by: Gateway, done: Counter[str], last_run: str | None) -> None:
    """What the gateway could not deliver, and everything since the last complete run, oldest first."""
    now = datetime.now(UTC)
    since = datetime.fromisoformat(last_run) if last_run else now - ALL_SINCE
    found: dict[str, str] = {}
    found.update(by.list_events(since, is_undelivered=False))
    found.update(by.list_events(min(since, now - UNDELIVERED_SINCE), is_undelivered=True))
    unknown = set(store.list_unknown_events(by.name, list(found))) if found else set()
    for event_id, payload in reversed(found.items()):
        if event_id in unknown:
            _attempt(done, "events", replay, by.name, payload)
