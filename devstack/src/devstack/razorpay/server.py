"""The HTTP side: Razorpay's routes, keys and errors, and what its checkout.js calls."""

import base64
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from devstack import gateway
from devstack.gateway import Call, Event, Outage, Refusal

from .account import Account, Habits
from .desk import Desk
from .parameters import CAPTURE, NOTES, ORDER, ORDERS_PAGE, PAGE, REFUND, check, refusal

CHECKOUT_JS = Path(__file__).parent / "checkout.js"
KEY = re.compile(r"[A-Za-z0-9_-]{10,255}")
# What a payer types -> how it goes; everything else is paid.
OUTCOMES = {"failure@razorpay": "declined", "pending@razorpay": "slow", "4000000000000002": "declined"}
Answer = Callable[[dict[str, Any], dict[str, str]], Any]


class Server(gateway.Server):
    name = "Razorpay"
    cors = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET, POST, PATCH, OPTIONS",
        "Access-Control-Allow-Headers": "Content-Type, Accept, Authorization",
    }

    def __init__(self, account: Account) -> None:
        super().__init__(account.store, account.deliveries)
        self.account, self.desk = account, Desk(account)
        self._add_routes()

    # --- what is Razorpay's own

    def is_call(self, path: str) -> bool:
        return super().is_call(path) and not path.startswith("/v1/checkout")

    def idempotency_key(self, request: web.Request) -> str | None:
        is_refund = request.path.startswith("/v1/payments/") and request.path.endswith("/refund")
        return request.headers.get("X-Refund-Idempotency") if is_refund else None

    def replay(self, call: Call) -> web.Response | None:
        if call.idempotency_key is not None and not KEY.fullmatch(call.idempotency_key):
            raise refusal(400, "The idempotency key must be at least 10 letters, digits, hyphens and underscores.")
        return super().replay(call)

    def refuse(self, status: int, text: str, reason: str) -> Refusal:
        return refusal(status, text, reason)

    def authenticate(self, call: Call, request: web.Request) -> None:
        pair = f"{self.account.key_id}:{self.account.key_secret}"
        if request.headers.get("Authorization", "") != "Basic " + base64.b64encode(pair.encode()).decode():
            raise refusal(401, "Authentication failed", None)
        call.api_key = self.account.key_id

    def outage_body(self, outage: Outage) -> dict[str, Any]:
        text = "We are facing some trouble completing your request at the moment. Please try again shortly."
        body = refusal(outage.status, text, "server_error").body["error"]
        if outage.status == 429:
            body = refusal(429, "Request failed. Please try after sometime.", "too_many_requests").body["error"]
        return {"error": body | outage.error}

    def by_id(self, id: str) -> Any:
        kinds = {"order": "order", "pay": "payment", "rfnd": "refund", "disp": "dispute"}
        return self.account.find(kinds.get(id.partition("_")[0], "event"), id)

    def record_event(self, type: str, thing: Mapping[str, Any]) -> Event:
        """`thing` is the payload: {payment: {…}, refund: {…}}, each an entity."""
        event = self.account.tell(type)
        event._payload |= {"contains": list(thing), "payload": {kind: {"entity": each} for kind, each in thing.items()}}
        return event

    def shown_event(self, event: Event) -> dict[str, Any]:
        return {"id": event.id, "type": event.type, **event.export()}

    def ledger(self) -> dict[str, Any]:
        totals: dict[str, dict[str, int]] = defaultdict(lambda: {"paid": 0, "refunded": 0, "disputed": 0, "net": 0})
        for entry in self.desk.books().values():
            total = totals[entry["currency"]]
            total["paid"] += entry["paid"]
            total["refunded"] += entry["refunded"]
            total["disputed"] += entry["withdrawn"]
            total["net"] += entry["paid"] - entry["refunded"] - entry["withdrawn"]
        kinds = ("order", "payment", "refund", "dispute")
        return {f"{kind}s": [each.export() for each in self.store.of_kind(kind)] for kind in kinds} | {"totals": totals}

    def reset(self) -> None:
        self.account.habits = Habits()

    # --- the routes

    def _add_routes(self) -> None:
        account = self.account

        def on(kind: str, operation: Callable[[Any, dict[str, Any]], Any] | None = None) -> Answer:
            """The route of one object: find it, do `operation` to it."""
            find = account.find
            return lambda params, names: (operation or (lambda thing, _: thing))(find(kind, names["id"]), params)

        def listing(kind: str) -> Answer:
            return lambda params, _: page(account.store.of_kind(kind), params)

        def add(method: str, path: str, schema: dict[str, str], answer: Answer) -> None:
            self.app.router.add_route(method, f"/v1/{path}", serve(schema, answer))

        add("POST", "orders", ORDER, lambda params, _: account.create_order(params))
        add("GET", "orders", ORDERS_PAGE, listing("order"))
        add("GET", "orders/{id}", {}, on("order"))
        add("PATCH", "orders/{id}", NOTES, on("order", renote))
        add("GET", "orders/{id}/payments", {}, on("order", lambda it, _: collection(account.payments_of(it)[::-1])))
        add("GET", "payments", PAGE, listing("payment"))
        add("GET", "payments/{id}", {}, on("payment"))
        add("PATCH", "payments/{id}", NOTES, on("payment", renote))
        add("POST", "payments/{id}/capture", CAPTURE, on("payment", account.capture_asked))
        add("POST", "payments/{id}/refund", REFUND, on("payment", account.refund))
        add(
            "GET", "payments/{id}/refunds", PAGE, on("payment", lambda it, params: page(account.refunds_of(it), params))
        )
        add("GET", "refunds", PAGE, listing("refund"))
        add("GET", "refunds/{id}", {}, on("refund"))
        add("PATCH", "refunds/{id}", NOTES, on("refund", renote))
        add("GET", "disputes", PAGE, listing("dispute"))
        add("GET", "disputes/{id}", {}, on("dispute"))
        add("POST", "disputes/{id}/accept", {}, on("dispute", lambda it, _: account.close(it, "lost")))
        self.app.router.add_get("/v1/checkout.js", script)
        self.app.router.add_post("/v1/checkout/pay", self.pay)
        self.app.router.add_options("/v1/checkout/pay", preflight)

    async def pay(self, request: web.Request) -> web.Response:
        """What checkout.js sends: {key, order_id, amount, currency, vpa | card, …}; answers what it hands on."""
        try:
            body = await self.read_params(request)
            order = self.account.find("order", str(body.get("order_id")))
            if body.get("key") != self.account.key_id:
                raise refusal(400, "The key is not this account's.", field="key")
            if int(body.get("amount") or order.amount) != order.amount:
                raise refusal(400, "Your payment amount is different from your order amount.", field="amount")
            typed = re.sub(r"\s", "", str(body.get("vpa") or body.get("card") or ""))
            method = "upi" if body.get("vpa") else "card"
            paid = self.desk._pay(order, OUTCOMES.get(typed, "paid"), method, body)
        except Refusal as error:
            return web.json_response(error.body, status=error.status, headers=self.cors)
        if paid["status"] == "failed":
            payment = self.account.find("payment", paid["payment_id"])
            names = ("code", "description", "source", "step", "reason")
            why = {name: getattr(payment, f"error_{name}") for name in names}
            why["metadata"] = {"order_id": order.id, "payment_id": payment.id}
            return web.json_response({"error": why}, status=400, headers=self.cors)
        return web.json_response(paid["proof"] or {"status": paid["status"]}, headers=self.cors)


def serve(schema: dict[str, str], answer: Answer) -> Callable[[web.Request], Any]:
    async def handler(request: web.Request) -> web.Response:
        found = answer(check(request["call"].params, schema), dict(request.match_info))
        return web.json_response(found if isinstance(found, dict) else found.export())

    return handler


def renote(thing: Any, params: dict[str, Any]) -> Any:
    thing.notes = params["notes"]
    return thing


def page(found: list[Any], params: dict[str, Any]) -> dict[str, Any]:
    """Newest first; 10 unless told, 100 at most."""
    count = params.get("count", 10)
    if not 1 <= count <= 100:
        raise refusal(400, "The count must be between 1 and 100.", field="count")
    first, last = params.get("from", 0), params.get("to", 10**12)
    kept = [each for each in reversed(found) if first <= each.created_at <= last]
    if "receipt" in params:
        kept = [each for each in kept if each.receipt == params["receipt"]]
    if "authorized" in params:
        raise refusal(400, "The local Razorpay does not model the filter authorized.", field="authorized")
    return collection(kept[params.get("skip", 0) :][:count])


def collection(shown: list[Any]) -> dict[str, Any]:
    return {"entity": "collection", "count": len(shown), "items": [each.export() for each in shown]}


async def script(_: web.Request) -> web.FileResponse:
    headers = {"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-cache"}
    return web.FileResponse(CHECKOUT_JS, headers=headers)


async def preflight(_: web.Request) -> web.Response:
    return web.Response(status=204, headers=Server.cors)
