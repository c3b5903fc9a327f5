"""What the gateway tells: signed, kept and put into effect by one request to the database, then acknowledged."""

import logging

from flask import request

from service.errors import ServiceError
from service.guards import public
from service.payments import blueprint, store
from service.payments.gateway import EventRefused
from service.payments.gateways import gateway
from service.payments.schemas import ReceivedSchema
from service.payments.shapes import GatewayEvent

log = logging.getLogger(__name__)
refused = 0  # webhooks without a good signature since the last good one; nothing else is kept of them


class EventFailed(ServiceError):
    """The gateway sends it again; the event and its failure are kept."""

    code, message = "event_failed", "The event could not be processed yet."


@blueprint.post("/process-webhook")
@public
@blueprint.response(200, ReceivedSchema)
def process_webhook() -> dict[str, bool]:
    """Take in an event of the payment gateway

    Done, repeated and unknown events are answered alike, and so is what does not concern us.
    """
    global refused
    try:
        payload = gateway().verify_event(request.get_data(), request.headers.get("Stripe-Signature"))
        event = gateway().read_event(payload)
    except EventRefused as error:
        _count(error)
        raise
    refused = 0
    if event is not None:
        _record(event, payload)
    return {"received": True}


def _record(event: GatewayEvent, payload: str) -> None:
    verdict = store.record_event(event, payload)
    note = {"event": event["id"], "type": event["type"], "verdict": verdict["verdict"]}
    if verdict["verdict"] == "failed":
        log.error("event failed", extra={**note, "cause": verdict["error"]})
        raise EventFailed()
    log.log(logging.WARNING if verdict["verdict"] == "unmatched" else logging.INFO, "event recorded", extra=note)


def _count(error: EventRefused) -> None:
    global refused
    refused += 1
    log.warning("webhook refused", extra={"cause": error.message, "refused_so_far": refused})
