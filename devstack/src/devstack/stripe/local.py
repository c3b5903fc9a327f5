"""Stripe's part of the control API under /_local: what Stripe does by itself, provoked by tests and demonstrations."""

from typing import Any

from aiohttp import web
from localstripe import resources

from devstack.gateway.local import body_of

from . import account, charges, disputes, endpoints, intents, refunds
from .lookup import export, find
from .parameters import Refusal

routes = web.RouteTableDef()


def answer(thing: Any) -> web.Response:
    return web.json_response(export(thing) if isinstance(thing, resources.StripeObject) else thing)


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
