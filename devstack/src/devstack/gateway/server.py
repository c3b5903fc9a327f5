"""The HTTP side of a stand-in: keys, outages, idempotency, errors and the request log around every call of its API."""

import asyncio
import contextlib
import contextvars
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from aiohttp import web

from .deliveries import Deliveries
from .outages import Outage, drop
from .state import State, random_id

log = logging.getLogger("devstack.gateway")

# (request id, idempotency key) of the API call being served; (None, None) when the gateway acts by itself.
caller: contextvars.ContextVar[tuple[str | None, str | None]] = contextvars.ContextVar("caller", default=(None, None))


class Refusal(Exception):
    """An error answer. `saved` is False where it is not kept under the idempotency key (no work was begun)."""

    def __init__(self, status: int, body: dict[str, Any], *, saved: bool = True) -> None:
        super().__init__(f"{status} {body}")
        self.status, self.body, self.saved = status, body, saved

    def to_response(self) -> web.Response:
        return web.json_response(self.body, status=self.status)


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
    """One stand-in. A gateway derives from it, adds its routes to `app`, and says in the methods of the first part
    what is its own; a method that may refuse raises one of `refusals`.

    `api`: the paths that outages, keys and the log are about; the rest is pages, scripts and the control API.
    `idempotency_header`: None for a gateway that has none.
    """

    name: ClassVar[str]
    api: ClassVar[tuple[str, ...]] = ("/v1/",)
    idempotency_header: ClassVar[str | None] = None
    cors: ClassVar[Mapping[str, str]] = {}
    refusals: ClassVar[tuple[type[Exception], ...]] = (Refusal,)
    desk: Any = None  # its methods are the verbs of client.Control, with JSON in and out

    def __init__(self, store: State, deliveries: Deliveries) -> None:
        self.store, self.deliveries = store, deliveries
        self.outages: list[Outage] = []
        # The (API key, idempotency key) of calls that have arrived and are not answered yet.
        self.keys_in_use: set[tuple[str, str]] = set()
        self.app = web.Application(middlewares=[self.middleware], client_max_size=2**20)

    # --- what is the gateway's own

    def refuse(self, status: int, text: str, reason: str) -> Exception:
        """The gateway's error for `reason`: unreadable, unmodelled, fault, key_in_use, key_too_long, key_reused,
        outage. `text` says it in plain words."""
        raise NotImplementedError

    def as_response(self, error: Exception) -> web.Response:
        return error.to_response()  # type: ignore[attr-defined]

    async def read_params(self, request: web.Request) -> dict[str, Any]:
        """Query and body, a JSON object."""
        params: dict[str, Any] = dict(request.query)
        if await request.read():
            try:
                body = json.loads(await request.read())
            except ValueError:
                body = None
            if not isinstance(body, dict):
                raise self.refuse(400, "The request body could not be read.", "unreadable")
            params |= body
        return params

    def api_key(self, request: web.Request, call: Call) -> str:
        """What the caller says to be allowed by; idempotency keys are apart by it."""
        return request.headers.get("Authorization", "")

    def is_call(self, path: str) -> bool:
        return path.startswith(self.api)

    def idempotency_key(self, request: web.Request) -> str | None:
        return request.headers.get(self.idempotency_header) if self.idempotency_header else None

    def authenticate(self, call: Call, request: web.Request) -> None:
        """Set `call.api_key`, or refuse."""
        raise NotImplementedError

    def outage_body(self, outage: Outage) -> dict[str, Any]:
        raise NotImplementedError

    def answer_headers(self, call: Call) -> Mapping[str, str]:
        return self.cors

    def export(self, thing: Any) -> Any:
        return thing.export()

    def by_id(self, id: str) -> Any:
        """Any object; refuses an unknown id."""
        for key in list(self.store):
            if key.endswith(f":{id}"):
                return self.store.get(key)
        raise self.refuse(404, f"There is no object '{id}'.", "missing")

    def record_event(self, type: str, thing: dict[str, Any]) -> Any:
        """An event of any type about any object, as if it had happened."""
        raise NotImplementedError

    def shown_event(self, event: Any) -> dict[str, Any]:
        return self.export(event)

    def is_about(self, event: Any, id: str) -> bool:
        """Whether an event tells of this object."""
        return f'"{id}"' in json.dumps(self.export(event))

    def ledger(self) -> dict[str, Any]:
        """All objects, and totals."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget what is in memory alone; more than outages, where there is more."""

    # --- a call from its arrival to its answer

    @web.middleware
    async def middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if not self.is_call(request.path):
            return await self.plain(request, handler)
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=self.cors)
        call = Call(
            id="req_" + random_id(14),
            method=request.method,
            path=request.path,
            at=time.time(),
            idempotency_key=self.idempotency_key(request),
        )
        request["call"] = call
        await request.read()
        with contextlib.suppress(*self.refusals):
            call.params = await self.read_params(request)
        key = self.api_key(request, call), call.idempotency_key or ""
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
        response = self.as_response(self.refuse(409, text, "key_in_use"))
        self.finish(call, response)
        return response

    async def suffer(self, outage: Outage, call: Call, request: web.Request, handler: Any) -> web.Response:
        if outage.when == "after":
            return await self.spoil(outage, request, await self.answer(call, request, handler))
        if outage.remember:

            async def fail(_: web.Request) -> web.Response:
                return self.fail(outage)

            return await self.answer(call, request, fail)
        self.log(call, outage.status if outage.kind == "error" else None)
        return await self.spoil(outage, request, web.Response())

    def fail(self, outage: Outage) -> web.Response:
        return web.json_response(self.outage_body(outage), status=outage.status, headers=self.cors)

    async def spoil(self, outage: Outage, request: web.Request, response: web.Response) -> web.Response:
        """What the caller gets in place of `response`."""
        if outage.kind == "error":
            return self.fail(outage)
        if outage.kind == "reset":
            return drop(request, response)
        await asyncio.sleep(outage.seconds if outage.kind == "delay" else 24 * 3600)
        return response

    async def plain(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """The control API, pages and scripts: JSON errors, changes kept, nothing else."""
        try:
            return await handler(request)
        except self.refusals as error:
            return self.as_response(error)
        except (TypeError, ValueError, KeyError) as error:
            return web.json_response({"error": {"message": f"{type(error).__name__}: {error}"}}, status=400)
        finally:
            self.store.commit()

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
            call.params = await self.read_params(request)
            self.authenticate(call, request)
            replayed = self.replay(call)
            token = caller.set((call.id, call.idempotency_key))
            try:
                response = replayed or await handler(request)
            finally:
                caller.reset(token)
        except self.refusals as error:
            response, saved = self.as_response(error), getattr(error, "saved", True)
        except web.HTTPException as error:
            text = f"Unrecognized request URL ({call.method}: {call.path}): the local {self.name} does not model it."
            response, saved = self.as_response(self.refuse(error.status, text, "unmodelled")), False
        except Exception:
            log.exception("%s %s failed", call.method, call.path)
            text = f"The local {self.name} has a fault; see its log."
            response, saved = self.as_response(self.refuse(500, text, "fault")), False
        if call.method == "POST" and call.idempotency_key and saved and replayed is None and call.api_key:
            answered = call.path, canonical(call.params), response.status, response.body, call.id
            self.store.remember(call.api_key, call.idempotency_key, *answered)
        self.finish(call, response, replayed is not None)
        return response

    def replay(self, call: Call) -> web.Response | None:
        """The stored answer of an idempotency key; the same key for something else is an error (400)."""
        if call.method != "POST" or not call.idempotency_key:
            return None
        if len(call.idempotency_key) > 255:
            raise self.refuse(400, "Idempotency keys hold at most 255 characters.", "key_too_long")
        known = self.store.recall(call.api_key, call.idempotency_key)
        if known is None:
            return None
        path, params, status, body, first = known
        if (path, params) != (call.path, canonical(call.params)):
            same = "parameters they were" if path == call.path else f"endpoint they were ('{path}')"
            text = f"Keys for idempotent requests can only be used with the same {same} first used with."
            raise self.refuse(400, text, "key_reused")
        headers = {"Idempotent-Replayed": "true", "Original-Request": first}
        return web.Response(body=body, status=status, content_type="application/json", headers=headers)

    def finish(self, call: Call, response: web.Response, replayed: bool = False) -> None:
        """Headers, log line, and everything on disk before the answer goes out."""
        response.headers.update(self.answer_headers(call))
        self.log(call, response.status, replayed)

    def log(self, call: Call, status: int | None, replayed: bool = False) -> None:
        entry = asdict(call) | {"status": status, "replayed": replayed}
        del entry["api_key"]
        self.store.log(entry)
        self.store.commit()


def canonical(params: dict[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)
