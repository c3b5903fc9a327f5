"""Every PostgREST call about payments. All functions raise ``ServiceError``, also when the database is away."""

from collections.abc import Iterator

from service.database import rpc, run, table
from service.errors import NotFound
from service.pagination import Page
from service.payments.gateway import Payment
from service.payments.shapes import (
    Attachment,
    BookingPayment,
    CaptureTask,
    ClaimedWork,
    Desk,
    ExportedTransaction,
    FoundCapture,
    GatewayCustomer,
    GatewayEvent,
    KeptEvent,
    PaymentTask,
    Period,
    Reconciled,
    Refund,
    RefundTask,
    TransactionDetail,
    TransactionsPage,
    UnverifiedEvent,
    Verdict,
    Work,
)


def set_agency_currency(currency: str, *, is_forced: bool) -> None:
    """Let the agency's prices, bookings and reports be in a currency from now on.

    Raises currency_unknown, and currency_differs while bookings are in another, unless forced: they keep theirs.
    """
    rpc("set_agency_currency", p_currency=currency, p_is_forced=is_forced)


def list_gateways(gateways: list[str]) -> list[str]:
    """Those of the gateways that take the agency's currency, in the order given."""
    return rpc("list_gateways", p_gateways=gateways)


def begin_payment(booking_id: str, gateway: str, **params: object) -> PaymentTask:
    """The transaction by which a booking is to be paid now: the task for its gateway.

    That is another than the one asked for where a payment of that one may be under way. Raises booking_not_found,
    forbidden, already_paid, booking_cancelled, amount_mismatch, currency_unsupported, amount_too_small,
    amount_unsupported, contact_required, idempotency_key_reused, currency_disagrees.
    """
    named = {f"p_{name}": value for name, value in params.items()}
    return rpc("begin_payment", p_booking_id=booking_id, p_gateway=gateway, **named)


def find_capture(transaction_id: str, customer_id: str | None) -> FoundCapture:
    """The payment whose money a page asks to be taken. Raises ``NotFound``, ``Forbidden``."""
    return rpc("find_capture", p_transaction_id=transaction_id, p_customer_id=customer_id)


def begin_capture(transaction_id: str) -> CaptureTask:
    """Note that the money of an approved payment is about to be taken: the task. Raises payment_canceled."""
    return rpc("begin_capture", p_transaction_id=transaction_id)


def attach_payment(transaction_id: str, payment: Payment) -> Attachment:
    """Note the gateway's id; the one that stands may be another."""
    return rpc(
        "attach_payment",
        p_transaction_id=transaction_id,
        p_gateway_payment_id=payment.id,
        p_gateway_customer_id=payment.customer_id,
    )


def keep_gateway_customer(customer_id: str, gateway: str, gateway_customer_id: str) -> None:
    """Note a gateway's id of a customer."""
    rpc(
        "keep_gateway_customer",
        p_customer_id=customer_id,
        p_gateway=gateway,
        p_gateway_customer_id=gateway_customer_id,
    )


def note_unconfirmed(transaction_id: str) -> bool:
    """Note that a payment waits for its payer, who may have to answer the bank; whether it did ten minutes ago."""
    return rpc("note_unconfirmed_payment", p_transaction_id=transaction_id)


def renew_attempt(transaction_id: str, attempt: int) -> None:
    """Let the next try use a new idempotency key."""
    rpc("renew_payment_attempt", p_transaction_id=transaction_id, p_attempt=attempt)


def record_event(event: GatewayEvent, payload: str, *, is_replay: bool = False) -> Verdict:
    """Keep an event and let it have its effect, once."""
    return rpc("record_gateway_event", p_event=event, p_payload=payload, p_is_replay=is_replay)


def apply_facts(facts: list[GatewayEvent], transaction_id: str | None = None) -> int:
    """Let what the gateway answered have its effect; how many of the facts met a transaction."""
    return rpc("apply_gateway_facts", p_events=facts, p_transaction_id=transaction_id)


def reserve_refund(booking_id: str, **params: object) -> RefundTask:
    """Reserve a refund of the booking's payment (amount None: of all that is left): the task for the gateway.

    Raises payment_not_found, refund_too_large, refund_in_progress, idempotency_key_reused.
    """
    return rpc("reserve_refund", p_booking_id=booking_id, **{f"p_{name}": value for name, value in params.items()})


def finish_refund(refund_id: str, event: GatewayEvent) -> Refund:
    """The gateway made it; the refund as it stands."""
    return rpc("finish_refund", p_refund_id=refund_id, p_event=event)


def release_refund(refund_id: str, error: str, *, is_final: bool, is_replayed: bool, is_attended: bool) -> None:
    """The gateway did not make it: for good, or perhaps after all. Staff is told where nobody waits for the answer."""
    rpc(
        "release_refund",
        p_refund_id=refund_id,
        p_error=error,
        p_is_final=is_final,
        p_renew=is_replayed,
        p_is_attended=is_attended,
    )


def get_booking_payment(booking_id: str, customer_id: str | None = None) -> BookingPayment:
    """How a booking stands, for its owner or for staff (None). Raises ``NotFound``, ``Forbidden``."""
    return rpc("get_booking_payment", p_booking_id=booking_id, p_customer_id=customer_id)


def list_transactions(query: Page, **filters: object) -> TransactionsPage:
    """A page of transactions with their bookings, newest first."""
    named = {f"p_{name}": value for name, value in filters.items()}
    return rpc("list_transactions", p_page=query["page"], p_limit=query["limit"], **named)


def get_transaction(transaction_id: str) -> TransactionDetail:
    """A transaction with its booking, audit log, refunds and disputes. Raises ``NotFound``."""
    return _found(rpc("get_transaction", p_id=transaction_id))


def resolve_review(transaction_id: str, note: str) -> TransactionDetail:
    """Take the flag off a transaction. Raises ``NotFound``, review_not_needed."""
    return _found(rpc("resolve_review", p_transaction_id=transaction_id, p_note=note))


def _found(transaction: TransactionDetail | None) -> TransactionDetail:
    if transaction is None:
        raise NotFound.of("Transaction")
    return transaction


def claim_work(gateways: list[str], pause_seconds: int) -> ClaimedWork:
    """What is to be done at the gateways now, but for what failed in the last ``pause_seconds``."""
    return rpc("claim_payment_work", p_gateways=gateways, p_pause_seconds=pause_seconds)


def list_work(gateways: list[str], unlisted: list[str]) -> Work:
    """What reconciliation has to do at the gateways, of which the ``unlisted`` cannot be asked for their events."""
    return rpc("list_payment_work", p_gateways=gateways, p_unlisted=unlisted)


def list_unknown_events(gateway: str, ids: list[str]) -> list[str]:
    """Those of the ids whose events had no effect here yet."""
    return rpc("list_unknown_events", p_gateway=gateway, p_ids=ids)


def forget_customer(customer: GatewayCustomer) -> None:
    """The gateway has deleted the customer of a deleted account."""
    rpc("forget_gateway_customer", **{f"p_{name}": value for name, value in customer.items()})


def keep_unverified(event: UnverifiedEvent) -> None:
    """Keep what claims to be an event of a gateway, until that has said so. Raises too_many_unverified."""
    rpc("keep_unverified_event", **{f"p_{name}": value for name, value in event.items()})


def drop_unverified(key: str) -> None:
    """It is verified and recorded, or refused."""
    run(table("unverified_events").delete().eq("key", key))


def finish_reconciliation(began_at: str, *, is_complete: bool) -> Reconciled:
    """Note how far a run has come, tell staff of what waits too long, forget what is outdated."""
    return rpc("finish_reconciliation", p_began_at=began_at, p_is_complete=is_complete)


def get_desk() -> Desk:
    """What of the payments needs a person."""
    return rpc("get_payment_desk")


def find_event(event_id: str) -> KeptEvent | None:
    """An event that was kept here; None without it."""
    rows: list[KeptEvent] = run(table("gateway_events").select("gateway,payload").eq("id", event_id).limit(1))
    return rows[0] if rows else None


def export_transactions(period: Period) -> Iterator[list[ExportedTransaction]]:
    """The transactions of a period, oldest first, in pages; the first may be empty. Raises export_too_large."""
    span = {"p_from": period["from_"].isoformat(), "p_to": period["to"].isoformat()}
    page: list[ExportedTransaction] = rpc("export_transactions", **span)
    yield page
    while page:
        page = rpc("export_transactions", **span, p_after=page[-1]["id"])
        yield page
