"""The HTTP side: keys, outages, idempotency, errors and the request log around every call under /v1."""

import asyncio
import base64
import contextlib
import fnmatch
import json
import logging
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import stripe
from aiohttp import web
from localstripe import resources
from localstripe.errors import UserError
from localstripe.server import get_post_data, unflatten_data

from . import events
from .api import add_routes
from .parameters import BROWSER_EXTRAS, Refusal

log = logging.getLogger("devstack.stripe")

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS, DELETE",
    "Access-Control-Allow-Headers": "Content-Type, Accept, Authorization, Idempotency-Key, Stripe-Version",
    "Access-Control-Expose-Headers": "Request-Id, Idempotent-Replayed, Stripe-Version",
    "Access-Control-Max-Age": "300",
}


@dataclass
class Outage:
    """A fault for calls that match; `after`: the work is done, and only its answer is lost.

    kind: delay (answer `seconds` late), timeout (never answer), reset (TCP RST), error (`status`, `error` in its body).
    remember: the error is kept under the call's idempotency key, as Stripe keeps a 500 of its own.
    """

    kind: str
    method: str = "*"
    path: str = "*"
    count: int | None = None
    when: str = "before"
    status: int = 500
    seconds: float = 30.0
    error: dict[str, Any] = field(default_factory=dict)
    remember: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("delay", "timeout", "reset", "error") or self.when not in ("before", "after"):
            raise Refusal(400, "kind is one of delay, timeout, reset, error; when is before or after")

    def matches(self, method: str, path: str) -> bool:
        return self.count != 0 and fnmatch.fnmatch(method, self.method) and fnmatch.fnmatch(path, self.path)

    async def respond(self, _: web.Request) -> web.Response:
        error = {"type": "api_error", "message": "Something went wrong at Stripe."}
        if self.status == 429:
            error = {"type": "invalid_request_error", "code": "rate_limit", "message": "Request rate limit exceeded."}
        return web.json_response({"error": error | self.error}, status=self.status, headers=CORS)

    async def spoil(self, request: web.Request, response: web.Response) -> web.Response:
        """What the caller gets in place of `response`."""
        if self.kind == "error":
            return await self.respond(request)
        if self.kind == "reset":
            return drop(request, response)
        await asyncio.sleep(self.seconds if self.kind == "delay" else 24 * 3600)
        return response


def drop(request: web.Request, response: web.Response) -> web.Response:
    """Cut the connection with a TCP RST; the response goes nowhere."""
    if (transport := request.transport) is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return response


@dataclass
class Call:
    """One API call: who asks for what."""

    id: str
    method: str
    path: str
    at: float
    idempotency_key: str | None
    params: dict[str, Any] = field(default_factory=dict)
    api_key: str = ""
    browser: bool = False
    outage: str | None = None


class Server:
    def __init__(self, secret_key: str, publishable_key: str) -> None:
        self.secret_key, self.publishable_key = secret_key, publishable_key
        self.outages: list[Outage] = []
        # The (API key, idempotency key) of calls that have arrived and are not answered yet.
        self.keys_in_use: set[tuple[str, str]] = set()
        self.app = web.Application(middlewares=[self.middleware], client_max_size=2**20)
        self.browser_paths = add_routes(self.app)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if not request.path.startswith("/v1/"):
            return await self.plain(request, handler)
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=CORS)
        call = Call(
            id="req_" + resources.random_id(14),
            method=request.method,
            path=request.path,
            at=time.time(),
            idempotency_key=request.headers.get("Idempotency-Key"),
        )
        request["call"] = call
        await request.read()
        with contextlib.suppress(Refusal):
            call.params = await read_params(request)
        key = api_key(request) or str(call.params.get("key", "")), call.idempotency_key or ""
        if key in self.keys_in_use and call.method == "POST":
            return self.refuse_key_in_use(call)
        outage = self.take_outage(request)
        if outage is None:
            return await self.answer(call, request, handler)
        call.outage = f"{outage.kind} {outage.when}"
        if outage.kind == "delay" and outage.when == "before":
            with self.holding(call, key):
                await asyncio.sleep(outage.seconds)
                return await self.answer(call, request, handler)
        return await self.suffer(outage, call, request, handler)

    @contextlib.contextmanager
    def holding(self, call: Call, key: tuple[str, str]) -> Iterator[None]:
        """Only calls that are kept waiting need it: the others are answered before the next one is looked at."""
        if call.method != "POST" or not call.idempotency_key:
            yield
            return
        self.keys_in_use.add(key)
        try:
            yield
        finally:
            self.keys_in_use.discard(key)

    def refuse_key_in_use(self, call: Call) -> web.Response:
        """409, at once and not kept: the same call again, a little later, gets the first one's answer."""
        text = "Another call with this idempotency key is being worked on. Try again when it is answered."
        refusal = Refusal(409, text, code="idempotency_key_in_use", type="idempotency_error")
        response = as_response(refusal)
        response.headers["Stripe-Should-Retry"] = "true"
        self.finish(call, response)
        return response

    async def suffer(self, outage: Outage, call: Call, request: web.Request, handler: Any) -> web.Response:
        if outage.when == "after":
            return await outage.spoil(request, await self.answer(call, request, handler))
        if outage.remember:
            return await self.answer(call, request, outage.respond)
        self.log(call, outage.status if outage.kind == "error" else None)
        return await outage.spoil(request, web.Response())

    async def plain(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """The control API and the script for browsers: JSON errors, changes kept, nothing else."""
        try:
            return await handler(request)
        except UserError as error:
            return error.to_response()
        except (TypeError, ValueError, KeyError) as error:
            return web.json_response({"error": {"message": f"{type(error).__name__}: {error}"}}, status=400)
        finally:
            resources.store.commit()

    def take_outage(self, request: web.Request) -> Outage | None:
        for outage in self.outages:
            if outage.matches(request.method, request.path):
                if outage.count is not None:
                    outage.count -= 1
                return outage
        return None

    async def answer(self, call: Call, request: web.Request, handler: Any) -> web.Response:
        """From here to the commit nothing waits for anything outside, so calls come one after the other."""
        replayed, saved = None, True
        try:
            call.params = await read_params(request)
            self.authenticate(call, request)
            replayed = self.replay(call)
            token = events.caller.set((call.id, call.idempotency_key))
            try:
                response = replayed or await handler(request)
            finally:
                events.caller.reset(token)
        except UserError as error:
            response, saved = as_response(error), getattr(error, "saved", True)
        except web.HTTPException as error:
            text = f"Unrecognized request URL ({call.method}: {call.path}): the local Stripe does not model it."
            response, saved = as_response(Refusal(error.status, text, code="local_stripe_unsupported")), False
        except Exception:
            log.exception("%s %s failed", call.method, call.path)
            fault = Refusal(500, "The local Stripe has a fault; see its log.", type="api_error")
            response, saved = as_response(fault), False
        if call.method == "POST" and call.idempotency_key and saved and replayed is None and call.api_key:
            answered = call.path, canonical(call.params), response.status, response.body, call.id
            resources.store.remember(call.api_key, call.idempotency_key, *answered)
        self.finish(call, response, replayed is not None)
        return response

    def authenticate(self, call: Call, request: web.Request) -> None:
        key = api_key(request) or str(call.params.get("key", ""))
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

    def replay(self, call: Call) -> web.Response | None:
        """The stored answer of an idempotency key; the same key for something else is an error (400)."""
        if call.method != "POST" or not call.idempotency_key:
            return None
        if len(call.idempotency_key) > 255:
            raise Refusal(400, "Idempotency keys hold at most 255 characters.", saved=False)
        known = resources.store.recall(call.api_key, call.idempotency_key)
        if known is None:
            return None
        path, params, status, body, first = known
        if (path, params) != (call.path, canonical(call.params)):
            same = "parameters they were" if path == call.path else f"endpoint they were ('{path}')"
            text = f"Keys for idempotent requests can only be used with the same {same} first used with."
            error = Refusal(400, text, saved=False)
            error.body["error"]["type"] = "idempotency_error"
            raise error
        headers = {"Idempotent-Replayed": "true", "Original-Request": first}
        return web.Response(body=body, status=status, content_type="application/json", headers=headers)

    def finish(self, call: Call, response: web.Response, replayed: bool = False) -> None:
        """Headers, log line, and everything on disk before the answer goes out."""
        response.headers.update(CORS | {"Request-Id": call.id, "Stripe-Version": stripe.api_version})
        if call.idempotency_key:
            response.headers["Idempotency-Key"] = call.idempotency_key
        self.log(call, response.status, replayed)

    def log(self, call: Call, status: int | None, replayed: bool = False) -> None:
        entry = asdict(call) | {"status": status, "replayed": replayed}
        del entry["api_key"]
        resources.store.log(entry)
        resources.store.commit()


async def read_params(request: web.Request) -> dict[str, Any]:
    try:
        params = unflatten_data(request.query)
        if request.method == "POST" and await request.read():
            params |= await get_post_data(request, remove_auth=False) or {}
        return params
    except (ValueError, TypeError, AttributeError, LookupError):
        raise Refusal(400, "The request body could not be read.", saved=False) from None


def api_key(request: web.Request) -> str:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind == "Basic":
        try:
            return base64.b64decode(value).decode().split(":")[0]
        except ValueError:
            return ""
    return value.strip() if kind == "Bearer" else ""


def canonical(params: dict[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)


def as_response(error: UserError) -> web.Response:
    """localstripe's own refusals carry little: give its 404 Stripe's code."""
    if error.code == 404 and "code" not in error.body["error"]:
        error.body["error"]["code"] = "resource_missing"
    return error.to_response()
