"""`python -m devstack.api`: the address of the local Supabase, with `/rest/v1` and `/storage/v1` behind it.

The first is answered by devstack's own PostgREST, or by a real one that runs as a child when a `postgrest` executable
is on PATH or POSTGREST_BIN names one; both take their settings from the same PGRST_* variables.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import Protocol

import jwt
import uvicorn

from devstack.postgrest import Application, Settings
from devstack.postgrest.answers import Answer
from devstack.postgrest.app import Receive, Scope, Send, build_request, send_answer
from devstack.postgrest.handlers import Request
from devstack.real_postgrest import RealPostgrest, configured
from devstack.storage import Storage

REST, STORAGE = "/rest/v1", "/storage/v1"
EXPOSED = (
    "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server, Transfer-Encoding,"
    " Range-Unit, Preference-Applied, Content-Profile"
)
METHODS = "GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS"


class Rest(Protocol):
    """What answers under /rest/v1."""

    def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def is_ready(self) -> bool: ...
    async def respond(self, request: Request, receive: Receive, url_length: int = 0) -> Answer: ...


class Gateway:
    """The ASGI application in front: keys, cross-origin rules, and who answers what."""

    def __init__(self, rest: Rest, storage: Storage, keys: dict[str, str]) -> None:
        self._rest, self._storage, self._keys = rest, storage, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        prefix = next((p for p in (REST, STORAGE) if scope["path"] == p or scope["path"].startswith(f"{p}/")), "")
        request = build_request(scope, prefix)
        self._use_key(request)
        if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            answer = Answer(200, [("Content-Length", "0")])
        elif prefix == REST:
            answer = await self._rest.respond(request, receive, len(scope["raw_path"]) + len(scope["query_string"]))
        elif prefix == STORAGE:
            answer = await self._storage.respond(request, receive)
        elif request.path == "/health":
            answer = _plain(200, '{"status":"ok"}') if await self._rest.is_ready() else _plain(503, '{"status":"down"}')
        else:
            answer = _plain(404, '{"message":"no Route matched with those values"}')
        more = _cross_origin(request)
        if more:  # said once, by the gateway
            answer.headers = [each for each in answer.headers if not each[0].lower().startswith("access-control-")]
        await send_answer(answer, send, more)

    def _use_key(self, request: Request) -> None:
        """Let `apikey` stand in for a missing Authorization, and turn keys that are no tokens into tokens."""
        headers = request.headers
        if "authorization" not in headers and headers.get("apikey"):
            headers["authorization"] = f"Bearer {headers['apikey']}"
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token in self._keys:
            headers["authorization"] = f"Bearer {self._keys[token]}"

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._rest.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._rest.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _plain(status: int, body: str) -> Answer:
    return Answer(status, [("Content-Type", "application/json")], body.encode())


def _cross_origin(request: Request) -> tuple[tuple[bytes, bytes], ...]:
    if "origin" not in request.headers:
        return ()
    headers = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", EXPOSED.encode())]
    if request.method == "OPTIONS":
        asked = request.headers.get("access-control-request-headers", "*")
        headers += [
            (b"access-control-allow-methods", METHODS.encode()),
            (b"access-control-allow-headers", asked.encode("latin-1", "replace")),
            (b"access-control-max-age", b"3600"),
        ]
    return tuple(headers)


def opaque_keys(secret: bytes) -> dict[str, str]:
    """Return the tokens that stand behind Supabase's newer keys (`sb_secret_…`, `sb_publishable_…`)."""
    roles = {"SUPABASE_SECRET_KEY": "service_role", "SUPABASE_PUBLISHABLE_KEY": "anon"}
    return {
        os.environ[name]: jwt.encode({"role": role, "iss": "supabase"}, secret, "HS256")
        for name, role in roles.items()
        if os.environ.get(name)
    }


def make_gateway() -> Gateway:
    """Build the gateway from the environment."""
    settings = Settings.from_env()
    executable = configured()
    rest: Rest = RealPostgrest(executable) if executable else Application(settings)
    folder = Path(os.environ.get("DEVSTACK_STORAGE_DIRECTORY", ".devstack/storage"))
    secret = settings.jwt_secret or b""
    return Gateway(rest, Storage(folder, secret), opaque_keys(secret) if secret else {})


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    server = uvicorn.Server(
        uvicorn.Config(
            make_gateway(),
            host=os.environ.get("DEVSTACK_API_HOST", "127.0.0.1"),
            port=int(os.environ.get("DEVSTACK_API_PORT", "54321")),
            loop="uvloop",
            http="httptools",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=2,
            timeout_keep_alive=75,
        )
    )
    asyncio.run(server.serve())


if __name__ == "__main__":
    main()
