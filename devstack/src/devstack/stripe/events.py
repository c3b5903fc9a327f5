"""Events: written down when something happens, signed and sent to the webhook endpoint until it takes them."""

import json
from typing import Any

import stripe
from localstripe import resources

from devstack import gateway
from devstack.gateway import caller

from . import account
from .signature import sign


class Event(resources.StripeObject, gateway.Delivery):
    """One event. `data.object` is a copy of the object as it was at that moment; `_…` is the delivery's state."""

    object = "event"
    _id_prefix = "evt_"

    def __init__(self, type: str, data: Any, previous: dict[str, Any] | None = None) -> None:
        super().__init__()
        subject = data if isinstance(data, dict) else data._export()
        self.type = type
        self.api_version = stripe.api_version
        self.data = {"object": json.loads(json.dumps(subject))}
        if previous:
            self.data["previous_attributes"] = previous
        request_id, key = caller.get()
        self.request = {"id": request_id, "idempotency_key": key}
        self._wanted = account.hears_of(type)
        self.pending_webhooks = int(self._wanted)
        if self._wanted:
            deliveries.start(self.id)

    def _note(self, attempt: dict[str, Any]) -> None:
        super()._note(attempt)
        self.pending_webhooks = int(self._wanted and not self._delivered)


def emit(type: str, thing: Any, **previous: Any) -> Event:
    """Record that `type` happened to `thing`; `previous` holds the former values of what changed."""
    return Event(type, thing, previous)


class Deliveries(gateway.Deliveries):
    """Stripe tries for three days."""

    @property
    def on(self) -> bool:
        return super().on and account.current.endpoint["status"] == "enabled"

    def message(self, event: Event, timestamp: int | None) -> tuple[bytes, dict[str, str]]:
        body = event._export() | {"api_version": account.current.endpoint["api_version"]}
        payload = json.dumps(body, indent=2).encode()
        return payload, {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": sign(payload, self.secrets, timestamp),
        }


# The one sender of this process: the server sets another before it serves. This one sends nothing.
deliveries = Deliveries(resources.store, {}, 1, 1, 1)
