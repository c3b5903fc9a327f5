"""The part of the control API under /_local that every gateway has."""

import asyncio
from dataclasses import asdict
from typing import Any

from aiohttp import web

from .outages import Outage
from .server import Server

routes = web.RouteTableDef()
server_key: web.AppKey[Server] = web.AppKey("server", Server)


async def body_of(request: web.Request) -> dict[str, Any]:
    body = await request.json() if await request.read() else {}
    if not isinstance(body, dict):
        raise ValueError("the body is a JSON object")
    return body


@routes.get("/_local/health")
async def health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "objects": len(request.app[server_key].store)})


@routes.get("/_local/webhook")
async def show_webhook(request: web.Request) -> web.Response:
    deliveries = request.app[server_key].deliveries
    return web.json_response(deliveries.endpoint | {"waiting": [event.id for event in deliveries.pending()]})


@routes.put("/_local/webhook")
async def set_webhook(request: web.Request) -> web.Response:
    deliveries, changes = request.app[server_key].deliveries, await body_of(request)
    if unknown := changes.keys() - {"url", "secret", "enabled", "forget"}:
        raise ValueError(f"unknown: {', '.join(unknown)}")
    if changes.pop("forget", False):
        deliveries.forget_pending()
    deliveries.set(**changes)
    return web.json_response(deliveries.endpoint)


@routes.get("/_local/deliveries")
async def list_deliveries(request: web.Request) -> web.Response:
    events = request.app[server_key].store.of_kind("event")
    wanted = request.query.get("event")
    found = [attempt for event in events for attempt in event._attempts if wanted in (None, event.id)]
    return web.json_response(sorted(found, key=lambda attempt: attempt["at"]))


@routes.get("/_local/objects/{id}")
async def show_object(request: web.Request) -> web.Response:
    server = request.app[server_key]
    return web.json_response(server.export(server.by_id(request.match_info["id"])))


@routes.get("/_local/events")
async def list_events(request: web.Request) -> web.Response:
    server = request.app[server_key]
    types, about = request.query.getall("type", []), request.query.get("about")
    found = [
        server.shown_event(event) | {"delivered": event._delivered, "tries": event._tries}
        for event in server.store.of_kind("event")
        if (not types or event.type in types) and (about is None or server.is_about(event, about))
    ]
    return web.json_response(found)


@routes.post("/_local/events")
async def make_event(request: web.Request) -> web.Response:
    server, body = request.app[server_key], await body_of(request)
    made = server.record_event(body["type"], body["object"])
    made.created = int(body.get("created") or made.created)
    return web.json_response(server.shown_event(made))


@routes.post("/_local/events/{id}/deliver")
async def deliver(request: web.Request) -> web.Response:
    server, body = request.app[server_key], await body_of(request)
    event = server.store.get(f"event:{request.match_info['id']}")
    if event is None:
        raise server.refuse(404, f"There is no event '{request.match_info['id']}'.", "missing")
    if not server.deliveries.endpoint.get("url"):
        raise ValueError("no webhook endpoint is set")
    copies = range(int(body.get("copies", 1)))
    sending = (server.deliveries.send(event, body.get("timestamp")) for _ in copies)
    return web.json_response(list(await asyncio.gather(*sending)))


@routes.post("/_local/do/{verb}")
async def do(request: web.Request) -> web.Response:
    server, verb = request.app[server_key], request.match_info["verb"]
    method = None if verb.startswith("_") else getattr(server.desk, verb, None)
    if method is None:
        raise ValueError(f"the local {server.name} has no {verb}")
    return web.json_response(method(**await body_of(request)))


@routes.get("/_local/outages")
async def list_outages(request: web.Request) -> web.Response:
    return web.json_response([asdict(outage) for outage in request.app[server_key].outages])


@routes.post("/_local/outages")
async def add_outage(request: web.Request) -> web.Response:
    outage = Outage(**await body_of(request))
    request.app[server_key].outages.append(outage)
    return web.json_response(asdict(outage))


@routes.delete("/_local/outages")
async def end_outages(request: web.Request) -> web.Response:
    request.app[server_key].outages.clear()
    return web.json_response([])


@routes.get("/_local/ledger")
async def ledger(request: web.Request) -> web.Response:
    return web.json_response(request.app[server_key].ledger())


@routes.get("/_local/requests")
async def list_requests(request: web.Request) -> web.Response:
    wanted = {name: value for name, value in request.query.items() if name in ("method", "path", "idempotency_key")}
    found = request.app[server_key].store.requests()
    return web.json_response([entry for entry in found if all(entry[name] == value for name, value in wanted.items())])


@routes.delete("/_local/idempotency_keys")
async def forget_keys(request: web.Request) -> web.Response:
    request.app[server_key].store.forget_keys()
    return web.json_response({})


@routes.post("/_local/reset")
async def reset(request: web.Request) -> web.Response:
    server = request.app[server_key]
    server.store.reset()
    server.outages.clear()
    server.reset()
    return web.json_response({})
