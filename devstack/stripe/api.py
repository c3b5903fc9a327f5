"""The routes under /v1: what each takes (by the SDK's own parameter types) and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from localstripe import resources
from localstripe.server import app as localstripe_app
from localstripe.server import json_response
from stripe import params as sdk

from . import intents, refunds
from .events import emit
from .parameters import Refusal, check, invalid, merge_metadata, missing

Params = dict[str, Any]

KINDS = {
    "pi_": "payment_intent",
    "ch_": "charge",
    "re_": "refund",
    "dp_": "dispute",
    "cus_": "customer",
    "pm_": "payment_method",
    "evt_": "event",
}
EXPANDABLE = {"customer", "latest_charge", "payment_method", "payment_intent", "charge"}
INTENT = set(
    """amount currency description automatic_payment_methods payment_method_types receipt_email metadata customer
    statement_descriptor_suffix payment_method payment_method_data setup_future_usage shipping off_session
    payment_method_options""".split()
)
CONFIRM = set("payment_method payment_method_data return_url off_session use_stripe_sdk receipt_email".split())
REFUND = {"charge", "payment_intent", "amount", "reason", "metadata"}
CUSTOMER = set("name email phone description metadata address preferred_locales shipping".split())
PAGE = {"limit", "starting_after", "ending_before", "created"}
# Resources of localstripe's own that its routes may serve beside ours.
LOCALSTRIPE = ("/v1/payment_methods", "/v1/tokens", "/v1/sources", "/v1/setup_intents", "/js.stripe.com/")


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
    if "metadata" in params:
        customer.metadata = merge_metadata(customer.metadata, params.pop("metadata"))
    for name, value in params.items():
        setattr(customer, name, value)
    emit("customer.updated", customer)
    return customer


def find(kind: str, id: str) -> Any:
    thing = resources.store.get(f"{kind}:{id}")
    if thing is None:
        raise missing(kind, id)
    return thing


def on(kind: str, operation: Callable[[Any, Params], Any] | None = None) -> Callable[[Params, str], Any]:
    """The route of one object: find it, do `operation` to it."""
    return lambda params, id: operation(find(kind, id), params) if operation else find(kind, id)


def listing(kind: str) -> Callable[[Params, str], Any]:
    """The list route of a kind; parameters other than the paging must equal the objects' own values."""

    def keep(thing: Any, params: Params) -> bool:
        return all(getattr(thing, name) == value for name, value in params.items() if name not in PAGE)

    return lambda params, _: page(kind, params, lambda thing: keep(thing, params))


def list_events(params: Params, _: str) -> Params:
    types = params.get("types") or ([params["type"]] if params.get("type") else [])

    def keep(event: Any) -> bool:
        if params.get("delivery_success", event._delivered) != event._delivered:
            return False
        return not types or any(
            event.type == wanted or (wanted.endswith("*") and event.type.startswith(wanted[:-1])) for wanted in types
        )

    return page("event", params, keep)


def page(kind: str, params: Params, keep: Callable[[Any], bool]) -> Params:
    """Newest first, `limit` (1–100, default 10) after or before the named object (docs.stripe.com/api/pagination)."""
    limit = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid("This value must be between 1 and 100.", "limit", "parameter_invalid_integer")
    found = [thing for thing in resources.store.of_kind(kind) if keep(thing) and _within(thing, params.get("created"))]
    found.reverse()
    if cursor := params.get("starting_after"):
        found = found[_place(found, kind, cursor, "starting_after") + 1 :]
    shown = found[:limit]
    if cursor := params.get("ending_before"):
        found = found[: _place(found, kind, cursor, "ending_before")]
        shown = found[-limit:]
    path = f"/v1/{kind}s"
    return {
        "object": "list",
        "url": path,
        "has_more": len(found) > limit,
        "data": [thing._export() for thing in shown],
    }


def _place(found: list[Any], kind: str, id: str, param: str) -> int:
    for place, thing in enumerate(found):
        if thing.id == id:
            return place
    raise missing(kind, id, param)


def _within(thing: Any, created: Any) -> bool:
    if created is None:
        return True
    if isinstance(created, int):
        return thing.created == created
    tests = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
    return all(tests[name](thing.created, limit) for name, limit in created.items())


def expand(document: Any, paths: list[str]) -> Any:
    """Replace ids by their objects: latest_charge, data.customer, latest_charge.refunds …"""
    for path in paths:
        head, _, rest = path.partition(".")
        if isinstance(document, list):
            for item in document:
                expand(item, [path])
            continue
        if head == "refunds" and document.get("object") == "charge":
            document[head] = listing("refund")({"charge": document["id"], "limit": 100}, "")
        elif head not in document or (isinstance(document[head], str) and head not in EXPANDABLE):
            raise invalid(f"This property cannot be expanded ({path}).", "expand")
        elif isinstance(document[head], str):
            document[head] = by_id(document[head])._export()
        if rest and document[head] is not None:
            expand(document[head], [rest])
    return document


def by_id(id: str) -> Any:
    """Any object, its kind told by the id's prefix."""
    kind = KINDS.get(id[: id.find("_") + 1])
    if kind is None:
        raise missing("object", id)
    return find(kind, id)


ROUTES = [
    Route("POST", "payment_intents", sdk.PaymentIntentCreateParams, INTENT | {"confirm"}, create_intent),
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
    Route("GET", "disputes", sdk.DisputeListParams, PAGE | {"charge", "payment_intent"}, listing("dispute")),
    Route("GET", "disputes/{id}", sdk.DisputeRetrieveParams, set(), on("dispute")),
    Route("POST", "disputes/{id}/close", sdk.DisputeCloseParams, set(), on("dispute", refunds.accept)),
    Route("POST", "customers", sdk.CustomerCreateParams, CUSTOMER, create_customer),
    Route("GET", "customers", sdk.CustomerListParams, PAGE | {"email"}, listing("customer")),
    Route("GET", "customers/{id}", sdk.CustomerRetrieveParams, set(), on("customer")),
    Route("POST", "customers/{id}", sdk.CustomerUpdateParams, CUSTOMER, on("customer", update_customer)),
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
        return json_response(expand(answer if isinstance(answer, dict) else answer._export(), paths))

    return handler


async def authenticate_intent(request: web.Request) -> web.Response:
    """POST /v1/payment_intents/{id}/_authenticate: localstripe's own js.stripe.com asks for it."""
    call, id = request["call"], request.match_info["id"]
    _check_secret(id, call.params.get("client_secret"))
    success = str(call.params.get("success", request.query.get("success"))).lower() == "true"
    return json_response(intents.public_view(intents.authenticate(intents.find_intent(id), success)))


def _check_secret(id: str, secret: Any) -> None:
    if intents.find_intent(id).client_secret != secret:
        text = "The client_secret provided does not match the client_secret associated with the PaymentIntent."
        raise Refusal(400, text, saved=False, code="payment_intent_invalid_parameter", param="client_secret")


def add_routes(app: web.Application) -> set[str]:
    """Ours first, then those of localstripe that fit beside them; returns the paths a publishable key may call."""
    for route in ROUTES:
        app.router.add_route(route.method, f"/v1/{route.path}", serve(route))
    app.router.add_post("/v1/payment_intents/{id}/_authenticate", authenticate_intent)
    for resource in localstripe_app.router.resources():
        if resource.canonical.startswith(LOCALSTRIPE):
            app.router.register_resource(resource)
    browser = {f"/v1/{route.path}" for route in ROUTES if route.browser}
    return browser | {"/v1/payment_intents/{id}/_authenticate", "/v1/tokens", "/v1/sources", "/v1/payment_methods"}
