"""What a gateway tells: signed, kept and put into effect by one request to the database, then acknowledged."""

import hashlib
import json
import logging
from collections import Counter

from flask import request

from service.errors import ServiceError
from service.guards import public
from service.payments import blueprint, store
from service.payments.gateway import EventRefused, Gateway, GatewayError
from service.payments.gateways import gateway
from service.payments.schemas import ReceivedSchema
from service.payments.shapes import UnverifiedEvent

log = logging.getLogger(__name__)
MAX_HEADER = 4096
refused: Counter[str] = Counter()  # by gateway: events without a good signature since the last good one


class EventFailed(ServiceError):
    """The gateway sends it again; the event and its failure are kept."""

    code, message = "event_failed", "The event could not be processed yet."


@blueprint.post("/process-webhook")
@public
@blueprint.response(200, ReceivedSchema)
def process_webhook() -> dict[str, bool]:
    """Take in an event of Stripe

    Done, repeated and unknown events are answered alike, and so is what does not concern us.
    """
    return _process(gateway("stripe"))


@blueprint.post("/process-webhook/<gateway_name>")
@public
@blueprint.response(200, ReceivedSchema)
def process_gateway_webhook(gateway_name: str) -> dict[str, bool]:
    """Take in an event of a payment gateway

    Done, repeated and unknown events are answered alike, and so is what does not concern us. 400 `gateway_unknown`.
    """
    return _process(gateway(gateway_name))


def _process(by: Gateway) -> dict[str, bool]:
    try:
        if by.verifies_by_asking:
            verify_kept(_keep(by))
        else:
            record(by, by.verify_event(request.get_data(), _headers()))
    except EventRefused as error:
        refused[by.name] += 1
        log.warning("webhook refused", extra={"cause": error.message, "refused_so_far": refused[by.name]})
        raise
    except GatewayError as error:  # kept: the worker asks again
        log.warning("event not verified yet", extra={"gateway": by.name, "cause": f"{error.code}: {error.message}"})
    else:
        refused[by.name] = 0
    return {"received": True}


def verify_kept(event: UnverifiedEvent) -> None:
    """Ask the gateway whether it sent an event that was kept, and let it have its effect.

    Raises ``EventRefused``, ``GatewayError`` where it does not say.
    """
    by = gateway(event["gateway"])
    try:
        record(by, by.verify_event(event["body"].encode(), event["headers"]))
    except EventRefused:
        store.drop_unverified(event["key"])
        raise
    store.drop_unverified(event["key"])


def record(by: Gateway, payload: str, *, is_replay: bool = False) -> str:
    """Let a verified event have its effect; its verdict, `ignored` for what concerns nothing here.

    Safe twice. Raises ``EventRefused``, and ``EventFailed`` where it is no replay.
    """
    event = by.read_event(payload)
    if event is None:
        return "ignored"
    verdict = store.record_event(event, payload, is_replay=is_replay)
    note = {"gateway": by.name, "event": event["id"], "type": event["type"], "verdict": verdict["verdict"]}
    if verdict["verdict"] == "failed":
        log.error("event failed", extra={**note, "cause": verdict["error"]})
        if not is_replay:
            raise EventFailed()
    else:
        log.log(logging.WARNING if verdict["verdict"] == "unmatched" else logging.INFO, "event recorded", extra=note)
    return verdict["verdict"]


def _headers() -> dict[str, str]:
    """The headers of the request by their names in lower case, as they are kept."""
    return {name.lower(): value[:MAX_HEADER] for name, value in request.headers}


def _keep(by: Gateway) -> UnverifiedEvent:
    """Keep what came, with the headers that bear the gateway's name, before anybody says whether it is true."""
    try:
        body = request.get_data().decode()
    except UnicodeDecodeError as error:
        raise EventRefused from error
    headers = {name: value for name, value in _headers().items() if name.startswith(f"{by.name}-")}
    if not headers or "\0" in body:
        raise EventRefused
    key = hashlib.sha256(json.dumps([body, headers], sort_keys=True).encode()).hexdigest()
    event: UnverifiedEvent = {"key": key, "gateway": by.name, "body": body, "headers": headers}
    store.keep_unverified(event)
    return event
