"""The routes under /v1: what each takes (by the SDK's own parameter types) and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from localstripe import resources
from localstripe.server import app as localstripe_app
from localstripe.server import json_response
from stripe import params as sdk

from . import disputes, endpoints, intents, refunds
from .events import emit
from .lookup import expand, export, find, page
from .parameters import Refusal, check, merge_metadata, missing

Params = dict[str, Any]

INTENT = set(
    """amount currency description allowed_payment_method_types receipt_email metadata customer payment_method
    statement_descriptor_suffix setup_future_usage shipping""".split()
)
NEW_INTENT = INTENT | {"automatic_payment_methods", "confirm", "payment_method_data", "return_url"}
CONFIRM = {"payment_method", "payment_method_data", "return_url", "use_stripe_sdk"}
REFUND = {"charge", "payment_intent", "amount", "reason", "metadata"}
CUSTOMER = set("name email phone description metadata address preferred_locales shipping".split())
PAGE = {"limit", "starting_after", "ending_before", "created"}
# Resources of localstripe's own that its routes may serve beside ours.
LOCALSTRIPE = ("/v1/payment_methods", "/v1/tokens", "/v1/sources", "/v1/setup_intents")
STRIPE_JS = Path(__file__).parent / "stripe.js"


@dataclass(frozen=True)
class Route:
    """One route under /v1; `answer(params, id)` gives an object of the store or a plain dict.

    `browser`: a publishable key with the intent's client secret may call it.
    """

    method: str
    path: str
    schema: type
    supported: set[str]
    answer: Callable[[Params, str], Any]
    browser: bool = False


def create_intent(params: Params, _: str) -> Any:
    return intents.create(params)


def create_refund(params: Params, _: str) -> Any:
    return refunds.create(params)


def create_customer(params: Params, _: str) -> Any:
    shipping, metadata = params.pop("shipping", None), merge_metadata({}, params.pop("metadata", {}))
    customer = resources.Customer(metadata=metadata, **params)
    customer.shipping = shipping
    return customer


def update_customer(customer: Any, params: Params) -> Any:
    if getattr(customer, "_deleted", False):
        raise missing("customer", customer.id)
    if "metadata" in params:
        customer.metadata = merge_metadata(customer.metadata, params.pop("metadata"))
    for name, value in params.items():
        setattr(customer, name, value)
    emit("customer.updated", customer)
    return customer


def delete_customer(customer: Any, _: Params) -> Any:
    """It is kept, to be answered as deleted."""
    if getattr(customer, "_deleted", False):
        raise missing("customer", customer.id)
    emit("customer.deleted", customer)
    customer._deleted = True
    return customer


def on(kind: str, operation: Callable[[Any, Params], Any] | None = None) -> Callable[[Params, str], Any]:
    """The route of one object: find it, do `operation` to it."""
    return lambda params, id: operation(find(kind, id), params) if operation else find(kind, id)


def listing(kind: str) -> Callable[[Params, str], Any]:
    """The list route of a kind; parameters other than the paging must equal the objects' own values."""

    def keep(thing: Any, params: Params) -> bool:
        return not getattr(thing, "_deleted", False) and all(
            getattr(thing, name) == value for name, value in params.items() if name not in PAGE
        )

    return lambda params, _: page(kind, params, lambda thing: keep(thing, params))


def list_events(params: Params, _: str) -> Params:
    types = params.get("types") or ([params["type"]] if params.get("type") else [])

    def keep(event: Any) -> bool:
        delivered = event._delivered or not event._wanted
        if params.get("delivery_success", delivered) != delivered:
            return False
        return not types or any(
            event.type == wanted or (wanted.endswith("*") and event.type.startswith(wanted[:-1])) for wanted in types
        )

    return page("event", params, keep)


ROUTES = [
    Route("POST", "payment_intents", sdk.PaymentIntentCreateParams, NEW_INTENT, create_intent),
    Route("GET", "payment_intents", sdk.PaymentIntentListParams, PAGE | {"customer"}, listing("payment_intent")),
    Route("GET", "payment_intents/{id}", sdk.PaymentIntentRetrieveParams, set(), on("payment_intent"), browser=True),
    Route("POST", "payment_intents/{id}", sdk.PaymentIntentUpdateParams, INTENT, on("payment_intent", intents.update)),
    Route(
        "POST",
        "payment_intents/{id}/confirm",
        sdk.PaymentIntentConfirmParams,
        CONFIRM,
        on("payment_intent", intents.confirm),
        browser=True,
    ),
    Route(
        "POST",
        "payment_intents/{id}/cancel",
        sdk.PaymentIntentCancelParams,
        {"cancellation_reason"},
        on("payment_intent", intents.cancel),
    ),
    Route("GET", "charges", sdk.ChargeListParams, PAGE | {"customer", "payment_intent"}, listing("charge")),
    Route("GET", "charges/{id}", sdk.ChargeRetrieveParams, set(), on("charge")),
    Route("POST", "refunds", sdk.RefundCreateParams, REFUND, create_refund),
    Route("GET", "refunds", sdk.RefundListParams, PAGE | {"charge", "payment_intent"}, listing("refund")),
    Route("GET", "refunds/{id}", sdk.RefundRetrieveParams, set(), on("refund")),
    Route("POST", "refunds/{id}", sdk.RefundUpdateParams, {"metadata"}, on("refund", refunds.update)),
    Route("POST", "refunds/{id}/cancel", sdk.RefundCancelParams, set(), on("refund", refunds.cancel)),
    Route("GET", "disputes", sdk.DisputeListParams, PAGE | {"charge", "payment_intent"}, listing("dispute")),
    Route("GET", "disputes/{id}", sdk.DisputeRetrieveParams, set(), on("dispute")),
    Route("POST", "disputes/{id}/close", sdk.DisputeCloseParams, set(), on("dispute", disputes.accept)),
    Route("POST", "customers", sdk.CustomerCreateParams, CUSTOMER, create_customer),
    Route("GET", "customers", sdk.CustomerListParams, PAGE | {"email"}, listing("customer")),
    Route("GET", "customers/{id}", sdk.CustomerRetrieveParams, set(), on("customer")),
    Route("POST", "customers/{id}", sdk.CustomerUpdateParams, CUSTOMER, on("customer", update_customer)),
    Route("DELETE", "customers/{id}", sdk.CustomerDeleteParams, set(), on("customer", delete_customer)),
    Route("GET", "webhook_endpoints", sdk.WebhookEndpointListParams, PAGE - {"created"}, endpoints.listing),
    Route("GET", "webhook_endpoints/{id}", sdk.WebhookEndpointRetrieveParams, set(), endpoints.retrieve),
    Route("GET", "events", sdk.EventListParams, PAGE | {"type", "types", "delivery_success"}, list_events),
    Route("GET", "events/{id}", sdk.EventRetrieveParams, set(), on("event")),
]


def serve(route: Route) -> Callable[[web.Request], Any]:
    async def handler(request: web.Request) -> web.Response:
        call, id = request["call"], request.match_info.get("id", "")
        params = dict(call.params)
        secret = params.pop("client_secret", None) if route.browser else None
        if call.browser:
            _check_secret(id, secret)
        # Raw cards are no part of the SDK's types; methods.from_data() checks them.
        data = params.pop("payment_method_data", None)
        params = check(params, route.schema, route.supported)
        if data is not None:
            params["payment_method_data"] = data
        paths = params.pop("expand", None) or []
        answer = route.answer(params, id)
        if call.browser:
            return json_response(intents.public_view(answer))
        return json_response(expand(answer if isinstance(answer, dict) else export(answer), paths))

    return handler


async def authenticate_intent(request: web.Request) -> web.Response:
    """POST /v1/payment_intents/{id}/_authenticate: the answer of the box in the browser."""
    call, id = request["call"], request.match_info["id"]
    _check_secret(id, call.params.get("client_secret"))
    success = str(call.params.get("success", request.query.get("success"))).lower() == "true"
    return json_response(intents.public_view(intents.authenticate(intents.find_intent(id), success)))


async def script(_: web.Request) -> web.FileResponse:
    """GET /js.stripe.com/v3/: our stand-in for Stripe.js, for pages that name it in a script tag."""
    headers = {"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-cache"}
    return web.FileResponse(STRIPE_JS, headers=headers)


def _check_secret(id: str, secret: Any) -> None:
    if intents.find_intent(id).client_secret != secret:
        text = "The client_secret provided does not match the client_secret associated with the PaymentIntent."
        raise Refusal(400, text, saved=False, code="payment_intent_invalid_parameter", param="client_secret")


def add_routes(app: web.Application) -> set[str]:
    """Ours first, then those of localstripe that fit beside them; returns the paths a publishable key may call."""
    for route in ROUTES:
        app.router.add_route(route.method, f"/v1/{route.path}", serve(route))
    app.router.add_post("/v1/payment_intents/{id}/_authenticate", authenticate_intent)
    app.router.add_get("/js.stripe.com/v3/", script)
    for resource in localstripe_app.router.resources():
        if resource.canonical.startswith(LOCALSTRIPE):
            app.router.register_resource(resource)
    browser = {f"/v1/{route.path}" for route in ROUTES if route.browser}
    return browser | {"/v1/payment_intents/{id}/_authenticate", "/v1/tokens", "/v1/sources", "/v1/payment_methods"}
