"""The HTTP side: PayPal's tokens, request ids, errors and forms."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from devstack import gateway
from devstack.gateway import Call, Outage, Refusal

from . import errors
from .account import Account, Capture, Dispute, Order, Refund
from .desk import Desk
from .events import Event, make
from .tokens import Tokens

TOKEN = "/v1/oauth2/token"
LONGEST_REQUEST_ID = 108
ISSUES = {
    "unreadable": "MALFORMED_REQUEST_JSON",
    "unmodelled": errors.UNMODELLED,
    "key_in_use": "PREVIOUS_REQUEST_IN_PROGRESS",
    "key_reused": "PAYPAL_REQUEST_ID_PREVIOUSLY_USED",
    "key_too_long": "INVALID_STRING_LENGTH",
    "missing": "INVALID_RESOURCE_ID",
}


class Server(gateway.Server):
    name = "PayPal"
    api = ("/v1/", "/v2/")
    idempotency_header = "PayPal-Request-Id"

    def __init__(self, account: Account, tokens: Tokens) -> None:
        super().__init__(account.store, account.deliveries)
        self.account, self.tokens = account, tokens
        self.desk = Desk(account, tokens)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.account.url = self.account.deliveries.url = f"{request.scheme}://{request.host}"
        return await super().middleware(request, handler)

    def refuse(self, status: int, text: str, reason: str) -> Refusal:
        refused = errors.refusal(status, ISSUES.get(reason, reason.upper()), text)
        refused.saved = False
        return refused

    async def read_params(self, request: web.Request) -> dict[str, Any]:
        """The body, JSON but for the token's; what is asked in the query is read by the routes."""
        text = await request.text()
        if request.path == TOKEN:
            return dict(parse_qsl(text))
        if request.method != "POST":
            return dict(request.query)
        if request.content_type != "application/json":
            raise errors.refusal(415, "UNSUPPORTED_MEDIA_TYPE", "The body is JSON, and the Content-Type says so.")
        try:
            body = json.loads(text) if text.strip() else {}
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self.refuse(400, "The body is not a JSON object.", "unreadable")
        return body

    def api_key(self, request: web.Request, call: Call) -> str:
        return self.tokens.client_id  # request ids are the merchant's, whatever token comes along

    def authenticate(self, call: Call, request: web.Request) -> None:
        if call.path == TOKEN:
            return
        if not self.tokens.is_good(request.headers.get("Authorization", "")):
            refused = errors.refusal(401, "INVALID_TOKEN", "There is no good access token in Authorization: Bearer …")
            refused.saved = False
            raise refused
        if call.idempotency_key and len(call.idempotency_key) > LONGEST_REQUEST_ID:
            text = f"PayPal-Request-Id has at most {LONGEST_REQUEST_ID} characters."
            raise self.refuse(400, text, "key_too_long")
        call.api_key = self.tokens.client_id

    def replay(self, call: Call) -> web.Response | None:
        """A request id again answers how the thing is now that it made; what was refused, as it was."""
        known = super().replay(call)
        if known is None or known.status >= 400:
            return known
        made = json.loads(known.body)  # type: ignore[arg-type]
        return web.json_response(self.account.show(self.by_id(made["id"])))

    def outage_body(self, outage: Outage) -> dict[str, Any]:
        return errors.body(outage.status) | outage.error

    def answer_headers(self, call: Call) -> Mapping[str, str]:
        return {"Paypal-Debug-Id": call.id}

    # --- what the control API asks

    def export(self, thing: Any) -> Any:
        return self.account.show(thing)

    def record_event(self, type: str, thing: dict[str, Any]) -> Event:
        kind = "dispute" if "dispute_id" in thing else "capture"
        event = make(type, kind, thing, "Made by hand", self.account.url)
        return self.account.tell(event, {str(thing.get("id") or thing.get("dispute_id"))})

    def shown_event(self, event: Event) -> dict[str, Any]:
        return event.export() | {"type": event.type}

    def is_about(self, event: Event, id: str) -> bool:
        return id in event._about

    def ledger(self) -> dict[str, Any]:
        totals: dict[str, dict[str, int]] = {}
        for order in self.account.all(Order):
            book = self.desk._book(order)
            total = totals.setdefault(book["currency"], {"paid": 0, "refunded": 0, "disputed": 0, "net": 0})
            total["paid"] += book["paid"]
            total["refunded"] += book["refunded"]
            total["net"] += book["paid"] - book["refunded"]
        kinds: tuple[type[Any], ...] = (Order, Capture, Refund, Dispute)
        lists = {f"{kind.object}s": [self.export(thing) for thing in self.account.all(kind)] for kind in kinds}
        return lists | {"totals": totals}

    def reset(self) -> None:
        self.account.refunds_begin = {}
        self.deliveries.set(event_types=["*"])


def prefers_all(request: web.Request) -> bool:
    """Whether the caller wants the whole of what was made or changed."""
    return request.headers.get("Prefer", "") == "return=representation"
