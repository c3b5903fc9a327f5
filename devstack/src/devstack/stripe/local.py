"""The control API under /_local: what tests and demonstrations turn to provoke what Stripe does by itself."""

import asyncio
from collections import defaultdict
from dataclasses import asdict
from typing import Any

from aiohttp import web
from localstripe import resources

from . import account, charges, disputes, endpoints, events, intents, refunds
from .lookup import by_id, export, find
from .parameters import Refusal
from .server import Outage, Server

routes = web.RouteTableDef()
server_key: web.AppKey[Server] = web.AppKey("server", Server)


async def body_of(request: web.Request) -> dict[str, Any]:
    body = await request.json() if await request.read() else {}
    if not isinstance(body, dict):
        raise Refusal(400, "The body is a JSON object")
    return body


def answer(thing: Any) -> web.Response:
    return web.json_response(export(thing) if isinstance(thing, resources.StripeObject) else thing)


@routes.get("/_local/health")
async def health(request: web.Request) -> web.Response:
    return answer({"status": "ok", "objects": len(resources.store)})


@routes.get("/_local/webhook")
async def show_webhook(request: web.Request) -> web.Response:
    waiting = [event.id for event in resources.store.of_kind("event") if event._waits()]
    return answer(events.deliveries.endpoint | {"waiting": waiting})


@routes.put("/_local/webhook")
async def set_webhook(request: web.Request) -> web.Response:
    changes = await body_of(request)
    if unknown := changes.keys() - {"url", "secret", "enabled", "forget"}:
        raise Refusal(400, f"Unknown: {', '.join(unknown)}")
    if changes.pop("forget", False):
        events.deliveries.forget_pending()
    events.deliveries.set(**changes)
    return answer(events.deliveries.endpoint)


@routes.get("/_local/deliveries")
async def list_deliveries(request: web.Request) -> web.Response:
    attempts = [attempt for event in resources.store.of_kind("event") for attempt in event._attempts]
    wanted = request.query.get("event")
    found = [attempt for attempt in attempts if wanted in (None, attempt["event"])]
    return answer(sorted(found, key=lambda attempt: attempt["at"]))


@routes.get("/_local/objects/{id}")
async def show_object(request: web.Request) -> web.Response:
    return answer(by_id(request.match_info["id"]))


@routes.get("/_local/events")
async def list_events(request: web.Request) -> web.Response:
    types, about = request.query.getall("type", []), request.query.get("about")
    found = []
    for event in resources.store.of_kind("event"):
        subject = event.data["object"]
        named = (subject.get("id"), subject.get("payment_intent"), subject.get("charge"))
        if (not types or event.type in types) and (about is None or about in named):
            found.append(event._export() | {"delivered": event._delivered, "tries": event._tries})
    return answer(found)


@routes.post("/_local/events")
async def make_event(request: web.Request) -> web.Response:
    body = await body_of(request)
    made = events.emit(body["type"], body["object"])
    made.created = int(body.get("created") or made.created)
    return answer(made)


@routes.post("/_local/events/{id}/deliver")
async def deliver(request: web.Request) -> web.Response:
    body = await body_of(request)
    event = find("event", request.match_info["id"])
    if not events.deliveries.endpoint.get("url"):
        raise Refusal(400, "No webhook endpoint is set")
    copies = range(int(body.get("copies", 1)))
    sending = (events.deliveries.send(event, body.get("timestamp")) for _ in copies)
    return answer(list(await asyncio.gather(*sending)))


@routes.post("/_local/payment_intents/{id}/confirm")
async def confirm(request: web.Request) -> web.Response:
    body = await body_of(request)
    return answer(intents.confirm(intents.find_intent(request.match_info["id"]), body))


@routes.post("/_local/payment_intents/{id}/authenticate")
async def authenticate(request: web.Request) -> web.Response:
    success = (await body_of(request)).get("success", True)
    return answer(intents.authenticate(intents.find_intent(request.match_info["id"]), success))


@routes.post("/_local/payment_intents/{id}/settle")
async def settle(request: web.Request) -> web.Response:
    outcome = (await body_of(request)).get("outcome", "succeeded")
    return answer(intents.settle(intents.find_intent(request.match_info["id"]), outcome))


@routes.post("/_local/refunds")
async def make_refund(request: web.Request) -> web.Response:
    return answer(refunds.create(await body_of(request)))


@routes.post("/_local/refunds/{id}")
async def change_refund(request: web.Request) -> web.Response:
    status = (await body_of(request))["status"]
    return answer(refunds.change(find("refund", request.match_info["id"]), status))


@routes.put("/_local/next_refunds")
async def set_next_refunds(request: web.Request) -> web.Response:
    body = await body_of(request)
    if body.get("status") not in ("succeeded", "pending", "requires_action", "failed", None):
        raise Refusal(400, "status is succeeded, pending, requires_action, failed or null")
    refunds.next_outcome.clear()
    if body.get("status"):
        refunds.next_outcome.update(body)
    return answer(refunds.next_outcome)


@routes.post("/_local/disputes")
async def make_dispute(request: web.Request) -> web.Response:
    body = await body_of(request)
    charge = body.pop("charge", None) or intents.find_intent(body.pop("payment_intent", "")).latest_charge
    return answer(disputes.create(find("charge", charge or ""), **body))


@routes.post("/_local/disputes/{id}/close")
async def close_dispute(request: web.Request) -> web.Response:
    status = (await body_of(request)).get("status", "won")
    return answer(disputes.close(find("dispute", request.match_info["id"]), status))


@routes.post("/_local/disputes/{id}/escalate")
async def escalate(request: web.Request) -> web.Response:
    return answer(disputes.escalate(find("dispute", request.match_info["id"])))


@routes.post("/_local/disputes/{id}/respond")
async def respond(request: web.Request) -> web.Response:
    return answer(disputes.respond(find("dispute", request.match_info["id"])))


@routes.post("/_local/disputes/{id}/appeal")
async def appeal(request: web.Request) -> web.Response:
    status = (await body_of(request)).get("status", "won")
    return answer(disputes.appeal(find("dispute", request.match_info["id"]), status))


@routes.post("/_local/foreign_charges")
async def foreign_charge(request: web.Request) -> web.Response:
    return answer(charges.foreign(**await body_of(request)))


@routes.post("/_local/foreign_payments")
async def foreign_payment(request: web.Request) -> web.Response:
    return answer(intents.foreign(**await body_of(request)))


@routes.post("/_local/foreign_endpoints")
async def foreign_endpoint(request: web.Request) -> web.Response:
    return answer(endpoints.foreign(**await body_of(request)))


@routes.put("/_local/endpoint")
async def set_endpoint(request: web.Request) -> web.Response:
    return answer(endpoints.change(**await body_of(request)))


@routes.put("/_local/method_types")
async def set_method_types(request: web.Request) -> web.Response:
    return answer(account.set_method_types((await body_of(request))["types"]))


@routes.put("/_local/failed_refunds")
async def set_failed_refunds(request: web.Request) -> web.Response:
    account.current.keeps_failed_refunds = bool((await body_of(request))["keep_total"])
    return answer({"keep_total": account.current.keeps_failed_refunds})


@routes.get("/_local/outages")
async def list_outages(request: web.Request) -> web.Response:
    return answer([asdict(outage) for outage in request.app[server_key].outages])


@routes.post("/_local/outages")
async def add_outage(request: web.Request) -> web.Response:
    outage = Outage(**await body_of(request))
    request.app[server_key].outages.append(outage)
    return answer(asdict(outage))


@routes.delete("/_local/outages")
async def end_outages(request: web.Request) -> web.Response:
    request.app[server_key].outages.clear()
    return answer([])


@routes.get("/_local/ledger")
async def ledger(request: web.Request) -> web.Response:
    store = resources.store
    totals: dict[str, dict[str, int]] = defaultdict(lambda: {"paid": 0, "refunded": 0, "disputed": 0, "net": 0})
    for charge in store.of_kind("charge"):
        if charge.paid:
            totals[charge.currency]["paid"] += charge.amount
    for refund in store.of_kind("refund"):
        totals[refund.currency]["refunded"] += refund.amount if charges.is_live(refund) else 0
    for dispute in store.of_kind("dispute"):
        totals[dispute.currency]["disputed"] += dispute._withdrawn()
    for total in totals.values():
        total["net"] = total["paid"] - total["refunded"] - total["disputed"]
    lists = {f"{kind}s": store.of_kind(kind) for kind in ("payment_intent", "charge", "refund", "dispute", "customer")}
    return answer({name: [export(thing) for thing in found] for name, found in lists.items()} | {"totals": totals})


@routes.get("/_local/requests")
async def list_requests(request: web.Request) -> web.Response:
    wanted = {name: value for name, value in request.query.items() if name in ("method", "path", "idempotency_key")}
    found = resources.store.requests()
    return answer([entry for entry in found if all(entry[name] == value for name, value in wanted.items())])


@routes.delete("/_local/idempotency_keys")
async def forget_keys(request: web.Request) -> web.Response:
    resources.store.forget_keys()
    return answer({})


@routes.post("/_local/reset")
async def reset(request: web.Request) -> web.Response:
    resources.store.reset()
    refunds.next_outcome.clear()
    account.reset()
    request.app[server_key].outages.clear()
    return answer({})
