"""Starting a payment: the transaction first, then the gateway, then its id.

PostgREST requests of one call: the look-up of the session, begin_payment, attach_payment. Calls to the gateway: one. In
the rare cases more: a customer's first payment makes the gateway's customer, an outdated payment is canceled first.
"""

from service.api import Answer
from service.config import config
from service.errors import Conflict
from service.guards import customer_optional, public
from service.limits import limit
from service.payments import blueprint, store
from service.payments.capture import settle_payment
from service.payments.gateway import Gateway, GatewayError, Payment
from service.payments.gateways import configured, default_gateway, gateway, is_configured
from service.payments.idempotency import read_idempotency_key
from service.payments.schemas import CreatePaymentIntentSchema, GatewaysSchema, PaymentIntentSchema
from service.payments.shapes import PaymentRequest, PaymentTask, UnsettledPayment
from service.people import customer_or_guest


@blueprint.get("/gateways")
@public
@blueprint.response(200, GatewaysSchema)
def list_gateways() -> Answer:
    """List the ways to pay in the agency's currency, the default first"""
    names = store.list_gateways([adapter.name for adapter in configured(config)])
    known = [gateway(name) for name in names]
    return {
        "gateways": [{"name": each.name, "label": each.label, "publishableKey": each.publishable_key} for each in known]
    }


@blueprint.post("/create-payment-intent")
@customer_optional(by_header=True)
@limit("payment")
@blueprint.arguments(CreatePaymentIntentSchema)
@blueprint.response(200, PaymentIntentSchema)
def create_payment_intent(data: PaymentRequest) -> Answer:
    """Start the payment of a booking

    The amount is the booking's. The same unpaid booking asked again gives the same payment, by another gateway another
    one in its place, and 409 `payment_processing` while the money of one may be on its way. An `Idempotency-Key` header
    holds for 24 hours. Without an `Authorization` header it is a guest who pays, whatever cookie comes along.
    """
    customer = customer_or_guest()
    asked = data.get("gateway")
    task, payment = _start(gateway(asked) if asked else default_gateway(), data, customer and customer["id"])
    # Whoever opened the page: the payment is the booking's customer's, and nobody else hears of them.
    own = customer if customer and task["customer_id"] == customer["id"] else None
    return {
        "paymentIntentId": payment.id,
        "clientSecret": payment.checkout.get("clientSecret"),
        "amount": payment.amount,
        "currency": payment.currency,
        "status": payment.status,
        "transactionId": task["transaction_id"],
        "stripeCustomerId": payment.customer_id if own else None,
        "email": data.get("email") or (own and own["email"]),
        "name": data.get("name") or (own and own["name"]),
        "gateway": task["gateway"],
        "checkout": payment.checkout,
    }


def _start(by: Gateway, data: PaymentRequest, customer_id: str | None) -> tuple[PaymentTask, Payment]:
    for _ in range(2):
        task = store.begin_payment(
            data["bookingId"],
            by.name,
            customer_id=customer_id,
            amount=data.get("amount"),
            currency=data.get("currency"),
            email=data.get("email"),
            name=data.get("name"),
            agency_currency=config.payment_currency,
            **read_idempotency_key(data),
        )
        for outdated in task["cancel"]:
            if is_configured(outdated["gateway"]):  # else nobody can pay by it here
                _cancel(outdated)
        payment = _retrieve(task) if task["payment_id"] else _create(task)
        if payment.state == "payable" and task["is_wanted"]:
            return task, payment
        if (
            payment.state in ("payable", "approved")
            or payment.state == "unconfirmed"
            and store.note_unconfirmed(task["transaction_id"])
        ):
            payment = gateway(task["gateway"]).cancel_payment(payment.id)
        store.apply_facts(payment.facts)  # faster than its event
        _refuse_taken(payment)
    raise Conflict("The payment was canceled. Please try again.", code="payment_canceled")


def _cancel(row: UnsettledPayment) -> None:
    """Take an outdated payment back before another is handed out. It may have been paid in this very moment."""
    payment = gateway(row["gateway"]).cancel_payment(row["payment_id"])
    store.apply_facts(payment.facts)
    _refuse_taken(payment)


def _retrieve(task: PaymentTask) -> Payment:
    """The payment as it is; the money of one that the payer agreed to meanwhile is taken."""
    row: UnsettledPayment = {
        "transaction_id": task["transaction_id"],
        "gateway": task["gateway"],
        "payment_id": task["payment_id"] or "",
    }
    payment = gateway(row["gateway"]).retrieve_payment(row["payment_id"])
    return settle_payment(row) if payment.state == "approved" and task["is_wanted"] else payment


def _create(task: PaymentTask) -> Payment:
    by = gateway(task["gateway"])
    if by.has_customers and task["customer_id"] and not task["gateway_customer_id"]:
        # Noted at once: whoever deletes the account takes the customer at the gateway along.
        known = task["gateway_customer_id"] = by.create_customer(task)
        store.keep_gateway_customer(task["customer_id"], by.name, known)
    try:
        payment = by.create_payment(task)
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
