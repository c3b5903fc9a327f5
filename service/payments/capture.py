"""Taking the money of a payment that its payer has agreed to: the page asks for it, or the worker where it was closed.

Some gateways take it themselves at once (Stripe, Razorpay as a rule); asking for it then tells how the payment stands.
"""

from service.api import Answer
from service.errors import Conflict, ServiceError
from service.guards import customer_optional
from service.limits import limit
from service.payments import blueprint, store
from service.payments.gateway import Gateway, Payment
from service.payments.gateways import gateway
from service.payments.schemas import CapturedSchema, CapturePaymentSchema
from service.payments.shapes import CaptureRequest, UnsettledPayment
from service.people import customer_or_guest


class NotApproved(Conflict):
    code, message = "payment_not_approved", "The payment was not approved. Please try again."


@blueprint.post("/capture")
@customer_optional(by_header=True)
@limit("payment")
@blueprint.arguments(CapturePaymentSchema)
@blueprint.response(200, CapturedSchema)
def capture_payment(data: CaptureRequest) -> Answer:
    """Take the money of a payment that its payer has agreed to

    Once, however often it is asked. 400 `payment_proof_refused` for a proof that the gateway did not sign, 409
    `payment_not_approved`, also of one that was declined: the same page may be paid by again, and `payment_canceled`.
    """
    customer = customer_or_guest()
    found = store.find_capture(data["transactionId"], customer and customer["id"])
    by = gateway(found["gateway"])
    by.check_proof(found["payment_id"], data.get("proof"))
    state = "paid" if found["status"] in ("completed", "refunded") else settle_payment(found).state
    if state not in ("paid", "under_way"):
        raise Conflict("The payment was canceled.", code="payment_canceled") if state == "canceled" else NotApproved
    return {
        "transactionId": found["transaction_id"],
        "bookingId": found["booking_id"],
        "gateway": found["gateway"],
        "status": "paid" if state == "paid" else "processing",
    }


def settle_payment(row: UnsettledPayment, *, with_refunds: bool = False) -> Payment:
    """Ask how a payment stands, take its money where the payer has agreed, and note what came of it."""
    by = gateway(row["gateway"])
    payment = by.retrieve_payment(row["payment_id"], with_refunds=with_refunds)
    if payment.state == "approved":
        payment = _take(by, row)
    store.apply_facts(payment.facts, row["transaction_id"])
    return payment


def _take(by: Gateway, row: UnsettledPayment) -> Payment:
    """The payment after its money was taken; canceled instead, where it is not wanted any more."""
    try:
        task = store.begin_capture(row["transaction_id"])
    except ServiceError as error:
        if error.code != "payment_canceled":
            raise
        return by.cancel_payment(row["payment_id"])
    return by.capture_payment(task)
