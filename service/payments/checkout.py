"""Starting a payment: the transaction first, then the gateway, then its id.

PostgREST requests of one call: the look-up of the session, begin_payment, attach_payment. Calls to the gateway: one. In
the rare cases more: a customer's first payment makes the gateway's customer, an outdated payment is canceled first.
"""

from service.api import Answer
from service.config import config
from service.errors import Conflict
from service.guards import customer_optional
from service.limits import limit
from service.payments import blueprint, store
from service.payments.gateway import GatewayError, Payment
from service.payments.gateways import gateway
from service.payments.idempotency import read_idempotency_key
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

    The amount is the booking's. The same unpaid booking asked again gives the same intent, and 409 `payment_processing`
    while the money of one may be on its way. An `Idempotency-Key` header holds for 24 hours. Without an `Authorization`
    header it is a guest who pays, whatever cookie comes along.
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
            **read_idempotency_key(data),
        )
        for payment_id in task["cancel"]:
            _cancel(payment_id)
        payment = gateway().retrieve_payment(task["payment_id"]) if task["payment_id"] else _create(task)
        if payment.state == "payable" and task["is_wanted"]:
            return task, payment
        if (
            payment.state == "payable"
            or payment.state == "unconfirmed"
            and store.note_unconfirmed(task["transaction_id"])
        ):
            payment = gateway().cancel_payment(payment.id)
        store.apply_facts(payment.facts)  # faster than its event
        _refuse_taken(payment)
    raise Conflict("The payment was canceled. Please try again.", code="payment_canceled")


def _cancel(payment_id: str) -> None:
    """Take an outdated payment back before another is handed out. It may have been paid in this very moment."""
    payment = gateway().cancel_payment(payment_id)
    store.apply_facts(payment.facts)
    _refuse_taken(payment)


def _create(task: PaymentTask) -> Payment:
    if task["customer_id"] and not task["gateway_customer_id"]:
        # Noted at once: whoever deletes the account takes the customer at the gateway along.
        known = task["gateway_customer_id"] = gateway().create_customer(task)
        store.keep_gateway_customer(task["customer_id"], known)
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


def _refuse_taken(payment: Payment) -> None:
    """Nobody pays a second time while the first is paid, or may be."""
    if payment.state == "paid":
        raise Conflict("This booking is already paid.", code="already_paid")
    if payment.state != "canceled":
        message = "A payment of this booking is under way. Please look again in a few minutes."
        raise Conflict(message, code="payment_processing", retry_after=60)
