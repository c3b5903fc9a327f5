"""Every request of the payments to the database: one SQL function each, one transaction each."""

from typing import Any

from service.database import rpc
from service.errors import NotFound
from service.payments.gateway import Event, Payment


def begin_payment(booking_id: str, **params: Any) -> dict[str, Any]:
    """The transaction by which a booking is to be paid now: the task for the gateway.

    Keys: transaction_id, booking_id, amount (minor units), currency, status, attempt, payment_id, customer_id,
    customer_email, gateway_customer_id, cancel (ids of outdated payments). Raises ``ServiceError``: booking_not_found,
    forbidden, already_paid, booking_cancelled, amount_mismatch, amount_too_small, contact_required,
    idempotency_key_reused.
    """
    return rpc("begin_payment", p_booking_id=booking_id, **{f"p_{name}": value for name, value in params.items()})


def attach_payment(transaction_id: str, payment: Payment) -> dict[str, Any]:
    """Note the gateway's id: ``{"payment_id": the one that stands, "is_live": may it be handed out}``."""
    return rpc(
        "attach_payment",
        p_transaction_id=transaction_id,
        p_gateway_payment_id=payment.id,
        p_gateway_customer_id=payment.customer_id,
    )


def renew_attempt(transaction_id: str, attempt: int) -> None:
    """Let the next try use a new idempotency key."""
    rpc("renew_payment_attempt", p_transaction_id=transaction_id, p_attempt=attempt)


def record_event(event: Event, payload: str, actor: str = "stripe") -> dict[str, Any]:
    """Keep an event and let it have its effect, once.

    ``{"verdict": processed | duplicate | unmatched | failed, "error": text of a failure, for the log}``
    """
    return rpc("record_gateway_event", p_event=event, p_payload=payload, p_actor=actor)


def apply_facts(facts: list[Event], transaction_id: str | None = None) -> int:
    """Let what the gateway answered have its effect; how many of the facts met a transaction."""
    return rpc("apply_gateway_facts", p_events=facts, p_transaction_id=transaction_id)


def reserve_refund(booking_id: str, amount: int | None, reason: str, requested_by: str) -> dict[str, Any]:
    """Reserve a refund of the booking's payment (None: of all that is left): the task for the gateway.

    Keys: refund_id, transaction_id, booking_id, payment_id, amount, currency, reason, attempt, requested_by,
    is_resumed. Raises ``ServiceError``: payment_not_found, refund_too_large, refund_in_progress.
    """
    return rpc("reserve_refund", p_booking_id=booking_id, p_amount=amount, p_reason=reason, p_requested_by=requested_by)


def finish_refund(refund_id: str, event: Event) -> dict[str, Any]:
    """The gateway made it: ``{"refund_id", "gateway_refund_id", "amount", "status", "transaction_id"}``."""
    return rpc("finish_refund", p_refund_id=refund_id, p_event=event)


def release_refund(refund_id: str, error: str, *, is_final: bool, is_replayed: bool) -> None:
    """The gateway did not make it: for good, or perhaps after all."""
    rpc("release_refund", p_refund_id=refund_id, p_error=error, p_is_final=is_final, p_renew=is_replayed)


def get_booking_payment(booking_id: str, customer_id: str | None = None) -> dict[str, Any]:
    """How a booking stands, for its owner or for staff (None). Raises ``NotFound``, ``Forbidden``."""
    return rpc("get_booking_payment", p_booking_id=booking_id, p_customer_id=customer_id)


def list_transactions(page: int, limit: int, **filters: Any) -> tuple[list[dict[str, Any]], int]:
    """A page of transactions with their bookings, newest first, and how many there are."""
    found = rpc("list_transactions", p_page=page, p_limit=limit, **{f"p_{k}": v for k, v in filters.items()})
    return found["transactions"], found["total"]


def get_transaction(transaction_id: str) -> dict[str, Any]:
    """A transaction with its booking, audit log and refunds. Raises ``NotFound``."""
    found = rpc("get_transaction", p_id=transaction_id)
    if found is None:
        raise NotFound("Transaction not found")
    return found


def list_work() -> dict[str, list[dict[str, Any]]]:
    """What reconciliation has to do: ``events``, ``payments`` and ``refunds``."""
    return rpc("list_payment_work")


def list_unknown_events(ids: list[str]) -> list[str]:
    """Those of the ids whose events had no effect here yet."""
    return rpc("list_unknown_events", p_ids=ids)


def finish_reconciliation() -> dict[str, int]:
    """Tell staff of what waits too long, forget what is outdated; the backlog."""
    return rpc("finish_reconciliation")
