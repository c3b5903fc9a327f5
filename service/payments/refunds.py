"""Giving money back: reserved here, made at the gateway, settled here; the gateway's status is the truth."""

from service.api import Answer
from service.guards import staff_required
from service.payments import blueprint, store
from service.payments.gateway import GatewayError
from service.payments.gateways import gateway
from service.payments.schemas import CreateRefundSchema, RefundSchema
from service.payments.shapes import Refund, RefundRequest, RefundTask


@blueprint.post("/refund")
@staff_required("bookings_edit")
@blueprint.arguments(CreateRefundSchema)
@blueprint.response(200, RefundSchema)
def create_refund(data: RefundRequest) -> Answer:
    """Refund a booking's payment, wholly or in part

    After a 502 or 503 it may still have been made: ask again with the same amount, or wait for reconciliation.
    """
    gateway()
    task = store.reserve_refund(data["bookingId"], data.get("amount"), data["reason"])
    refund = settle_refund(task)
    return {
        "success": refund["status"] in ("pending", "succeeded"),
        "refundId": refund["gateway_refund_id"],
        "amount": refund["amount"],
        "status": refund["status"],
    }


def settle_refund(task: RefundTask) -> Refund:
    """Have a reserved refund made at the gateway and note the outcome. Raises ``GatewayError``."""
    try:
        event = gateway().refund_payment(task)
    except GatewayError as error:
        store.release_refund(
            task["refund_id"], f"{error.code}: {error.message}", is_final=error.is_final, is_replayed=error.is_replayed
        )
        raise
    return store.finish_refund(task["refund_id"], event)
