"""The account's webhook endpoints: the one that the local Stripe delivers to, and what else GET /v1/… lists."""

import hashlib
from typing import Any

from localstripe import resources

from . import account, events
from .lookup import page
from .parameters import Refusal, missing


class WebhookEndpoint(resources.StripeObject):
    object = "webhook_endpoint"
    _id_prefix = "we_"

    def __init__(self, url: str, settings: dict[str, Any], id: str | None = None) -> None:
        """`settings` as in account.Account.endpoint. One with an `id` is made for an answer, and not stored."""
        if id is None:
            super().__init__()
        else:
            self.id, self.created, self.livemode = id, account.current.created, False
        self.application, self.url = None, url
        self.__dict__.update(settings)


def own() -> WebhookEndpoint | None:
    """The one that is delivered to; None while there is no URL."""
    url = events.deliveries.endpoint.get("url")
    if not url:
        return None
    id = "we_" + hashlib.sha256(url.encode()).hexdigest()[:24]
    return WebhookEndpoint(url, account.current.endpoint, id)


def every() -> list[WebhookEndpoint]:
    mine = own()
    return resources.store.of_kind("webhook_endpoint") + ([mine] if mine else [])


def listing(params: dict[str, Any], _: str) -> dict[str, Any]:
    return page("webhook_endpoint", params, lambda endpoint: True, every())


def retrieve(_: dict[str, Any], id: str) -> WebhookEndpoint:
    for endpoint in every():
        if endpoint.id == id:
            return endpoint
    raise missing("webhook_endpoint", id)


def change(url: str | None = None, **changes: Any) -> WebhookEndpoint | None:
    """Set the own endpoint's url, enabled_events, api_version, status, description or metadata."""
    account.current.endpoint = _checked(account.current.endpoint, changes)
    events.deliveries.set(**({"url": url} if url else {}))
    return own()


def foreign(url: str, **settings: Any) -> WebhookEndpoint:
    """Another program's endpoint: it is listed, and nothing is delivered to it."""
    return WebhookEndpoint(url, _checked(account.Account().endpoint, settings))


def _checked(known: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The `known` settings with these changes. Raises Refusal."""
    if unknown := changes.keys() - known.keys():
        raise Refusal(400, f"Unknown: {', '.join(sorted(unknown))}")
    if changes.get("status", "enabled") not in ("enabled", "disabled"):
        raise Refusal(400, "status is enabled or disabled")
    types = changes.get("enabled_events", ["*"])
    if not isinstance(types, list) or not types or not all(isinstance(each, str) for each in types):
        raise Refusal(400, "enabled_events is a list of types of events, or of * alone")
    return known | changes
