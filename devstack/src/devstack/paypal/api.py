"""The routes under /v1 and /v2."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from . import errors, orders, refunds, schema
from .account import Capture, Dispute, Order, Refund
from .events import CERTIFICATE, Event
from .server import TOKEN, Server, prefers_all
from .signature import ALGORITHM, mark, raw_field

MOST_EVENTS = 300  # of a page


class Api:
    def __init__(self, server: Server) -> None:
        self.server, self.account = server, server.account

    def add_routes(self) -> None:
        router = self.server.app.router
        router.add_post(TOKEN, self.grant_token)
        router.add_post("/v2/checkout/orders", self.create_order)
        router.add_get("/v2/checkout/orders/{id}", self.show(Order))
        router.add_post("/v2/checkout/orders/{id}/capture", self.capture_order)
        router.add_get("/v2/payments/captures/{id}", self.show(Capture))
        router.add_post("/v2/payments/captures/{id}/refund", self.refund_capture)
        router.add_get("/v2/payments/refunds/{id}", self.show(Refund))
        router.add_get("/v1/customer/disputes", self.list_disputes)
        router.add_get("/v1/customer/disputes/{id}", self.show(Dispute))
        router.add_get("/v1/notifications/webhooks", self.list_webhooks)
        router.add_get("/v1/notifications/webhooks/{id}", self.show_webhook)
        router.add_get("/v1/notifications/webhooks-events", self.list_events)
        router.add_get("/v1/notifications/webhooks-events/{id}", self.show_event)
        router.add_post("/v1/notifications/webhooks-events/{id}/resend", self.resend_event)
        router.add_post("/v1/notifications/verify-webhook-signature", self.verify_signature)

    async def grant_token(self, request: web.Request) -> web.Response:
        header = request.headers.get("Authorization", "")
        return web.json_response(self.server.tokens.grant(header, request["call"].params))

    # --- orders, captures, refunds

    async def create_order(self, request: web.Request) -> web.Response:
        call = request["call"]
        order = orders.create(self.account, call.params, call.idempotency_key)
        return self._order(request, order, 201)

    async def capture_order(self, request: web.Request) -> web.Response:
        order = self._find(Order, request)
        return self._order(request, orders.capture(self.account, order, request["call"].params), 201)

    async def refund_capture(self, request: web.Request) -> web.Response:
        made = refunds.create(self.account, self._find(Capture, request), request["call"].params)
        shown = self.account.show(made)
        brief = {name: shown[name] for name in ("id", "status", "links")}
        return web.json_response(shown if prefers_all(request) else brief, status=201)

    def show(self, kind: type) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            return web.json_response(self.account.show(self._find(kind, request)))

        return handler

    def _order(self, request: web.Request, order: Order, status: int) -> web.Response:
        shown = self.account.show(order) if prefers_all(request) else orders.brief(self.account, order)
        return web.json_response(shown, status=status)

    def _find(self, kind: type, request: web.Request) -> Any:
        return self.account.find(kind, request.match_info["id"])

    # --- disputes

    async def list_disputes(self, request: web.Request) -> web.Response:
        wanted = _query(request, "disputed_transaction_id", "page_size")
        capture_id = wanted.get("disputed_transaction_id")
        found = [each for each in self.account.all(Dispute) if capture_id in (None, each.capture)]
        items = [self.account.show(each) for each in reversed(found)]
        return web.json_response({"items": items, "links": []})

    # --- webhooks and their events

    def _webhook(self) -> dict[str, Any]:
        endpoint = self.account.deliveries.endpoint
        types = [{"name": name, "status": "ENABLED"} for name in endpoint["event_types"]]
        path = f"/v1/notifications/webhooks/{endpoint['id']}"
        links = [self.account.link("self", path)]
        return {"id": endpoint["id"], "url": endpoint.get("url") or "", "event_types": types, "links": links}

    async def list_webhooks(self, request: web.Request) -> web.Response:
        _query(request)
        known = self._webhook()
        return web.json_response({"webhooks": [known] if known["url"] else []})

    async def show_webhook(self, request: web.Request) -> web.Response:
        known = self._webhook()
        if request.match_info["id"] != known["id"] or not known["url"]:
            raise errors.missing()
        return web.json_response(known)

    async def list_events(self, request: web.Request) -> web.Response:
        """Newest first; the next page begins where `start_index`, which is ours, says."""
        wanted = _query(request, "page_size", "start_time", "end_time", "event_type", "transaction_id", "start_index")
        size, start = _number(wanted, "page_size", 10), _number(wanted, "start_index", 0)
        since, until = _time(wanted, "start_time"), _time(wanted, "end_time")
        found = [
            event
            for event in reversed(self.account.all(Event))
            if (since is None or _created(event) >= since)
            and (until is None or _created(event) <= until)
            and wanted.get("event_type") in (None, event.type)
            and ("transaction_id" not in wanted or wanted["transaction_id"] in event._about)
        ]
        page = [self._event(event) for event in found[start : start + size]]
        links = []
        if len(found) > start + size:
            query = request.url.update_query(start_index=str(start + size)).query_string
            links.append(self.account.link("next", f"/v1/notifications/webhooks-events?{query}"))
        return web.json_response({"events": page, "count": len(page), "links": links})

    async def show_event(self, request: web.Request) -> web.Response:
        return web.json_response(self._event(self._find(Event, request)))

    async def resend_event(self, request: web.Request) -> web.Response:
        """Once more, though it was taken; nothing where it is on its way already."""
        schema.RESEND(request["call"].params, "")
        event = self._find(Event, request)
        event._given_up, event._delivered = False, False
        self.account.deliveries.start(event.id)
        return web.json_response(self._event(event), status=202)

    def _event(self, event: Event) -> dict[str, Any]:
        """PayPal says of an event in its list how its transmissions went."""
        went = [
            {"webhook_url": attempt["url"], "http_status": attempt["status"], "status": _word(attempt["status"])}
            for attempt in event._attempts
        ]
        status = "SUCCESS" if event._delivered else "PENDING" if event._waits else "FAILURE"
        return event.export() | {"status": status, "transmissions": went}

    async def verify_signature(self, request: web.Request) -> web.Response:
        params = request["call"].params
        schema.VERIFY(params, "")
        event = raw_field(await request.text(), "webhook_event").encode()
        endpoint, key = self.account.deliveries.endpoint, self.account.deliveries.key
        expected = mark(event, key, endpoint["id"], params["transmission_id"], params["transmission_time"])
        is_good = (
            params["transmission_sig"] == expected
            and params["webhook_id"] == endpoint["id"]
            and params["auth_algo"] == ALGORITHM
            and params["cert_url"] == self.account.url + CERTIFICATE
        )
        return web.json_response({"verification_status": "SUCCESS" if is_good else "FAILURE"})


def _word(status: int | None) -> str:
    return "SUCCESS" if status and 200 <= status < 300 else "FAILURE"


def _query(request: web.Request, *known: str) -> dict[str, str]:
    """The query, which asks for nothing else than what is known here."""
    for name in request.query:
        if name not in known:
            raise errors.unmodelled(f"the query '{name}'", name)
    return dict(request.query)


def _number(query: dict[str, str], name: str, default: int) -> int:
    value = query.get(name, str(default))
    if not value.isascii() or not value.isdigit() or int(value) > MOST_EVENTS and name == "page_size":
        raise errors.invalid(name, "This is a number of events.", value=value)
    return int(value)


def _time(query: dict[str, str], name: str) -> datetime | None:
    try:
        told = datetime.fromisoformat(query[name]) if name in query else None
    except ValueError:
        told = datetime.min
    if told is not None and told.tzinfo is None:
        raise errors.invalid(name, "This is a time with its zone (RFC 3339).", "INVALID_PARAMETER_SYNTAX")
    return told


def _created(event: Event) -> datetime:
    return datetime.fromisoformat(event.export()["create_time"]).astimezone(UTC)
