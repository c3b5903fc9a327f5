"""Starting a payment: the transaction first, then the gateway, then its id.

PostgREST requests of one call: the look-up of the session, begin_payment, attach_payment. Calls to the gateway: one. In
the rare cases more: a customer's first payment makes the gateway's customer, an outdated payment is canceled first.
"""

import hashlib
import json
import re

from flask import request

from service.api import Answer
from service.config import config
from service.errors import BadInput, Conflict
from service.guards import customer_optional
from service.limits import limit
from service.payments import blueprint, store
from service.payments.gateway import GatewayError, Payment
from service.payments.gateways import gateway
from service.payments.schemas import CreatePaymentIntentSchema, PaymentIntentSchema
from service.payments.shapes import PaymentRequest, PaymentTask
from service.people import customer_or_guest


@blueprint.post("/create-payment-intent")
@customer_optional(by_header=True)
@limit("payment")
@blueprint.arguments(CreatePaymentIntentSchema)
@blueprint.response(200, PaymentIntentSchema)
def create_payment_intent(data: PaymentRequest) -> Answer:
    """Start the payment of a booking

    The amount is the booking's. The same unpaid booking asked again gives the same intent. An `Idempotency-Key` header
    holds for 24 hours. Without an `Authorization` header it is a guest who pays, whatever cookie comes along.
    """
    customer = customer_or_guest()
    task, payment = _start(data, customer and customer["id"])
    # Whoever opened the page: the payment is the booking's customer's, and nobody else hears of them.
    own = customer if customer and task["customer_id"] == customer["id"] else None
    return {
        "paymentIntentId": payment.id,
        "clientSecret": payment.client_secret,
        "amount": payment.amount,
        "currency": payment.currency,
        "status": payment.status,
        "transactionId": task["transaction_id"],
        "stripeCustomerId": payment.customer_id if own else None,
        "email": data.get("email") or (own and own["email"]),
        "name": data.get("name") or (own and own["name"]),
    }


def _start(data: PaymentRequest, customer_id: str | None) -> tuple[PaymentTask, Payment]:
    gateway()  # before anything is written: is there one at all?
    for _ in range(2):
        task = store.begin_payment(
            data["bookingId"],
            customer_id=customer_id,
            amount=data.get("amount"),
            currency=data.get("currency"),
            email=data.get("email"),
            name=data.get("name"),
            agency_currency=config.payment_currency,
            **_idempotency(data),
        )
        for payment_id in task["cancel"]:
            _cancel(payment_id)
        payment = _resume(task, task["payment_id"]) if task["payment_id"] else _create(task)
        if payment.status != "canceled":
            return task, payment
        store.apply_facts(payment.facts)
    raise Conflict("The payment was canceled. Please try again.", code="payment_canceled")


def _idempotency(data: PaymentRequest) -> dict[str, str]:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return {}
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise BadInput("Idempotency-Key must be 1 to 255 visible characters.", code="idempotency_key_invalid")
    return {"key": key, "request_hash": hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()}


def _cancel(payment_id: str) -> None:
    """Take an outdated payment back before another is handed out. It may have been paid in this very moment."""
    payment = gateway().cancel_payment(payment_id)
    store.apply_facts(payment.facts)
    _refuse_paid(payment)


def _resume(task: PaymentTask, payment_id: str) -> Payment:
    payment = gateway().retrieve_payment(payment_id)
    if payment.status == "succeeded" and task["status"] not in ("completed", "refunded"):
        store.apply_facts(payment.facts)  # faster than its event
        _refuse_paid(payment)
    return payment


def _create(task: PaymentTask) -> Payment:
    try:
        payment = gateway().create_payment(task)
    except GatewayError as error:
        if error.is_replayed:
            store.renew_attempt(task["transaction_id"], task["attempt"])
        raise
    attached = store.attach_payment(task["transaction_id"], payment)
    if attached["payment_id"] != payment.id or not attached["is_live"]:
        raise Conflict("The booking has just changed. Please try again.", code="payment_changed")
    return payment


def _refuse_paid(payment: Payment) -> None:
    if payment.status == "succeeded":
        raise Conflict("This booking is already paid.", code="already_paid")
