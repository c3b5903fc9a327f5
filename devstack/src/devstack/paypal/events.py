"""Events as PayPal tells them, and their way to the webhook."""

import json
import secrets
import string
from datetime import UTC, datetime
from typing import Any

from devstack import gateway

from .signature import sign

CERTIFICATE = "/v1/notifications/certs/CERT-360caa42-fca2a594-local"
ALPHABET = string.ascii_uppercase + string.digits
RESOURCES = {"order": "checkout-order"}  # what a resource is called in an event, where that is not its name


class Event(gateway.Event):
    """`_about`: the ids of what it tells about."""

    _about: set[str] = set()


def make(type: str, kind: str, resource: dict[str, Any], summary: str, url: str) -> Event:
    id = f"WH-{_random(17)}-{_random(17)}"
    path = f"{url}/v1/notifications/webhooks-events/{id}"
    payload = {
        "id": id,
        "event_version": "1.0",
        "create_time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "resource_type": RESOURCES.get(kind, kind),
        "resource_version": "2.0",
        "event_type": type,
        "summary": summary,
        "resource": resource,
        "links": [
            {"href": path, "rel": "self", "method": "GET"},
            {"href": f"{path}/resend", "rel": "resend", "method": "POST"},
        ],
    }
    return Event(id, type, payload)


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


class Deliveries(gateway.Deliveries):
    """PayPal tries for three days, up to 25 times; here as long, and as often as the backoff makes it.

    `endpoint` has two keys more: `id`, the webhook's, and `event_types`, the names that it is told of or ["*"].
    """

    key = ""
    url = ""  # of this PayPal, where its certificate is

    def is_told(self, type: str) -> bool:
        types = self.endpoint.get("event_types") or ["*"]
        return "*" in types or type in types

    def message(self, event: Event, timestamp: int | None) -> tuple[bytes, dict[str, str]]:
        payload = text_of(event.export()).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "PayPal/AUHR-214.0-local"}
        return payload, headers | self.sign(payload, timestamp)

    def sign(self, payload: bytes, timestamp: float | None = None) -> dict[str, str]:
        return sign(payload, self.key, self.endpoint["id"], self.url + CERTIFICATE, timestamp)


def text_of(payload: dict[str, Any]) -> str:
    """As JSON may be written, and as no JSON library writes it: whoever re-serialises a body has another one."""
    return json.dumps(payload, separators=(",", ":")).replace("/", "\\/")
