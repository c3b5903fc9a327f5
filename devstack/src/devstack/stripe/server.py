"""The HTTP side: Stripe's keys, idempotency, errors and forms."""

import base64
from collections import defaultdict
from typing import Any

import stripe
from aiohttp import web
from localstripe.errors import UserError
from localstripe.server import get_post_data, unflatten_data

from devstack import gateway
from devstack.gateway import Call, Deliveries, Outage

from . import account, charges, events, refunds
from .api import add_routes
from .lookup import by_id, export
from .parameters import BROWSER_EXTRAS, Refusal
from .state import State

# Why the frame refuses -> code and type of Stripe's error; what is not here has Stripe's defaults.
CODES = {
    "unmodelled": {"code": "local_stripe_unsupported"},
    "fault": {"type": "api_error"},
    "key_in_use": {"code": "idempotency_key_in_use", "type": "idempotency_error"},
    "key_reused": {"type": "idempotency_error"},
    "missing": {"code": "resource_missing"},
}


class Server(gateway.Server):
    name = "Stripe"
    idempotency_header = "Idempotency-Key"
    refusals = (UserError,)
    cors = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS, DELETE",
        "Access-Control-Allow-Headers": "Content-Type, Accept, Authorization, Idempotency-Key, Stripe-Version",
        "Access-Control-Expose-Headers": "Request-Id, Idempotent-Replayed, Stripe-Version",
        "Access-Control-Max-Age": "300",
    }

    def __init__(self, store: State, deliveries: Deliveries, secret_key: str, publishable_key: str) -> None:
        super().__init__(store, deliveries)
        self.secret_key, self.publishable_key = secret_key, publishable_key
        self.browser_paths = add_routes(self.app)

    def refuse(self, status: int, text: str, reason: str) -> Refusal:
        return Refusal(status, text, saved=False, **CODES.get(reason, {}))

    def as_response(self, error: Any) -> web.Response:
        """localstripe's own refusals carry little: give its 404 Stripe's code."""
        if error.code == 404 and "code" not in error.body["error"]:
            error.body["error"]["code"] = "resource_missing"
        return error.to_response()

    def refuse_key_in_use(self, call: Call) -> web.Response:
        response = super().refuse_key_in_use(call)
        response.headers["Stripe-Should-Retry"] = "true"
        return response

    async def read_params(self, request: web.Request) -> dict[str, Any]:
        try:
            params = unflatten_data(request.query)
            if request.method == "POST" and await request.read():
                params |= await get_post_data(request, remove_auth=False) or {}
            return params
        except (ValueError, TypeError, AttributeError, LookupError):
            raise self.refuse(400, "The request body could not be read.", "unreadable") from None

    def api_key(self, request: web.Request, call: Call) -> str:
        return _key_of(request.headers.get("Authorization", "")) or str(call.params.get("key", ""))

    def authenticate(self, call: Call, request: web.Request) -> None:
        key = self.api_key(request, call)
        call.params = {name: value for name, value in call.params.items() if name not in BROWSER_EXTRAS}
        if not key:
            raise Refusal(401, "You did not provide an API key.", saved=False)
        if key == self.publishable_key:
            resource = request.match_info.route.resource
            if resource is None or resource.canonical not in self.browser_paths:
                text = "This API call cannot be made with a publishable API key. Please use a secret API key."
                raise Refusal(401, text, saved=False, code="secret_key_required")
            call.browser = resource.canonical.startswith("/v1/payment_intents")
        elif key != self.secret_key:
            raise Refusal(401, f"Invalid API Key provided: {key[:8]}****{key[-4:]}", saved=False)
        call.api_key = key

    def outage_body(self, outage: Outage) -> dict[str, Any]:
        error = {"type": "api_error", "message": "Something went wrong at Stripe."}
        if outage.status == 429:
            error = {"type": "invalid_request_error", "code": "rate_limit", "message": "Request rate limit exceeded."}
        return {"error": error | outage.error}

    def answer_headers(self, call: Call) -> dict[str, str]:
        headers = {**self.cors, "Request-Id": call.id, "Stripe-Version": stripe.api_version}
        return headers | ({"Idempotency-Key": call.idempotency_key} if call.idempotency_key else {})

    # --- what the control API asks

    def export(self, thing: Any) -> dict[str, Any]:
        return export(thing)

    def by_id(self, id: str) -> Any:
        return by_id(id)

    def record_event(self, type: str, thing: dict[str, Any]) -> events.Event:
        return events.emit(type, thing)

    def is_about(self, event: events.Event, id: str) -> bool:
        subject = event.data["object"]
        return id in (subject.get("id"), subject.get("payment_intent"), subject.get("charge"))

    def ledger(self) -> dict[str, Any]:
        totals: dict[str, dict[str, int]] = defaultdict(lambda: {"paid": 0, "refunded": 0, "disputed": 0, "net": 0})
        for charge in self.store.of_kind("charge"):
            if charge.paid:
                totals[charge.currency]["paid"] += charge.amount
        for refund in self.store.of_kind("refund"):
            totals[refund.currency]["refunded"] += refund.amount if charges.is_live(refund) else 0
        for dispute in self.store.of_kind("dispute"):
            totals[dispute.currency]["disputed"] += dispute._withdrawn()
        for total in totals.values():
            total["net"] = total["paid"] - total["refunded"] - total["disputed"]
        kinds = ("payment_intent", "charge", "refund", "dispute", "customer")
        lists = {f"{kind}s": [export(thing) for thing in self.store.of_kind(kind)] for kind in kinds}
        return lists | {"totals": totals}

    def reset(self) -> None:
        refunds.next_outcome.clear()
        account.reset()


def _key_of(authorization: str) -> str:
    kind, _, value = authorization.partition(" ")
    if kind == "Basic":
        try:
            return base64.b64decode(value).decode().split(":")[0]
        except ValueError:
            return ""
    return value.strip() if kind == "Bearer" else ""
