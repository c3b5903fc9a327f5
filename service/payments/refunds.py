"""Giving money back: reserved here, made at the gateway, settled here; the gateway's status is the truth."""

from service.api import Answer
from service.config import config
from service.guards import staff_required
from service.payments import blueprint, store
from service.payments.gateway import GatewayError, PaymentsNotConfigured
from service.payments.gateways import configured, gateway
from service.payments.idempotency import read_idempotency_key
from service.payments.schemas import CreateRefundSchema, RefundSchema
from service.payments.shapes import Refund, RefundRequest, RefundTask


@blueprint.post("/refund")
@staff_required("bookings_edit")
@blueprint.arguments(CreateRefundSchema)
@blueprint.response(200, RefundSchema)
def create_refund(data: RefundRequest) -> Answer:
    """Refund a booking's payment, wholly or in part

    After a 502 or 503 it may still have been made: ask again with the same amount and reason. An `Idempotency-Key`
    header holds for 24 hours. Without one, what was asked in the last ten minutes is answered again (`repeated`),
    unless `again`. `transactionId` says which payment, where the booking has several.
    """
    if not configured(config):
        raise PaymentsNotConfigured(retry_after=3600)
    is_again = data.pop("again", False)
    task = store.reserve_refund(
        data["bookingId"],
        amount=data.get("amount"),
        reason=data["reason"],
        transaction_id=data.get("transactionId"),
        is_again=is_again,
        **read_idempotency_key(data),
    )
    refund = task if task["is_repeated"] else settle_refund(task)
    return {
        "success": refund["status"] in ("pending", "succeeded"),
        "refundId": refund["gateway_refund_id"],
        "amount": refund["amount"],
        "status": refund["status"],
        **({"repeated": True} if task["is_repeated"] else {}),
    }


def settle_refund(task: RefundTask, *, is_attended: bool = True) -> Refund:
    """Have a reserved refund made at the gateway and note the outcome. Raises ``GatewayError``.

    ``is_attended``: a person waits for the answer.
    """
    try:
        event = gateway(task["gateway"]).refund_payment(task)
    except GatewayError as error:
        store.release_refund(
            task["refund_id"],
            f"{error.code}: {error.message}",
            is_final=error.is_final,
            is_replayed=error.is_replayed,
            is_attended=is_attended,
        )
        raise
    return store.finish_refund(task["refund_id"], event)
