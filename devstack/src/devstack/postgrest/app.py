"""The ASGI application: receives a request, knows who asks, has it planned and run, and sends the answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from devstack.postgrest.answers import Answer, error_answer
from devstack.postgrest.auth import identify
from devstack.postgrest.catalog import Catalog
from devstack.postgrest.connection import DatabaseError
from devstack.postgrest.errors import ApiError, Panic, from_postgres
from devstack.postgrest.handlers import Request, Task, allowed, plan_request
from devstack.postgrest.keeper import Keeper
from devstack.postgrest.openapi import describe
from devstack.postgrest.pool import Pool
from devstack.postgrest.preferences import Preferences, parse_preferences
from devstack.postgrest.settings import Settings
from devstack.postgrest.statement import Context, Outcome, run_statement

log = logging.getLogger("devstack.postgrest")
BODY_TIMEOUT = 30  # seconds a client may take to send its body

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Application:
    """PostgREST over one database; use it as an ASGI application, or `start` and `stop` it and call `respond`."""

    def __init__(self, settings: Settings) -> None:
        self._pool = Pool(settings.db_uri, settings.db_pool, settings.db_pool_acquisition_timeout)
        self._keeper = Keeper(settings, self._changed)
        self._timezones: frozenset[str] = frozenset()

    @property
    def settings(self) -> Settings:
        return self._keeper.settings

    def start(self) -> None:
        """Begin to load the schema cache; must be called inside the event loop."""
        self._keeper.start()

    async def stop(self) -> None:
        await self._keeper.stop()
        self._pool.close()

    async def is_ready(self) -> bool:
        """Whether the database answers and its schema is known."""
        try:
            await self._keeper.catalog()
            connection = await self._pool.acquire()
            try:
                await connection.run([("SELECT 1", ())])
            finally:
                self._pool.release(connection)
        except (ApiError, DatabaseError):
            return False
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            request = build_request(scope)
            answer = await self.respond(request, receive, len(scope["query_string"]) + len(scope["raw_path"]))
            await send_answer(answer, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def respond(self, request: Request, receive: Receive, url_length: int = 0) -> Answer:
        """Answer one request; never raises but for cancellation."""
        try:
            if url_length > self.settings.max_url:
                raise ApiError(414, "PGRST100", f"The URL is longer than {self.settings.max_url} bytes")
            request.body = await read_body(request, receive, self.settings.max_body)
            return await self._answer(request)
        except ApiError as error:
            answer = error_answer(error)
        except Panic:
            answer = Answer(500, [("Content-Type", "text/plain; charset=utf-8")], b"Something went wrong")
        except RecursionError:
            answer = error_answer(ApiError(400, "PGRST100", "The request is nested too deeply"))
        except Exception:
            log.exception("a request failed: %s %s", request.method, request.path)
            answer = error_answer(ApiError(500, "PGRSTX00", "Internal error"))
        if request.method == "HEAD":
            answer.body = b""
        return answer

    async def _answer(self, request: Request) -> Answer:
        settings = self.settings
        role, claims = identify(request.headers.get("authorization"), settings)
        catalog = await self._keeper.catalog()
        schema = self._schema(request, settings)
        preferences = await self._preferences(request, settings)
        context = Context(
            role, claims, request.method, request.path, _told_headers(request), _cookies(request), schema,
            preferences["timezone"],
        )  # fmt: skip
        if request.path in ("", "/"):
            return await self._root(request, context, catalog)
        task = plan_request(request, schema, preferences, catalog, settings)
        if isinstance(task, Answer):
            return task
        outcome = await self._run(task, context, catalog)
        answer = task.answer(outcome)
        if "content-profile" in request.headers or "accept-profile" in request.headers:
            answer.headers.append(("Content-Profile", schema))
        return answer

    async def _run(self, task: Task, context: Context, catalog: Catalog) -> Outcome:
        try:
            return await self._attempt(task, context, catalog)
        except ApiError as error:
            if error.code != "PGRST001" or not task.statement.read_only:
                raise
        return await self._attempt(task, context, catalog)  # a read may be tried again on a new connection

    async def _attempt(self, task: Task, context: Context, catalog: Catalog) -> Outcome:
        connection = await self._pool.acquire()
        try:
            return await run_statement(connection, task.statement, context, self.settings, catalog)
        except DatabaseError as error:
            anonymous = context.role == self.settings.db_anon_role
            raise from_postgres(error.sqlstate, error.message, error.detail, error.hint, anonymous) from None
        finally:
            self._pool.release(connection)

    async def _root(self, request: Request, context: Context, catalog: Catalog) -> Answer:
        if request.method == "OPTIONS":
            return allowed("OPTIONS,GET,HEAD")
        if request.method not in ("GET", "HEAD"):
            raise ApiError(405, "PGRST117", f"Unsupported HTTP method: {request.method}")
        task = describe(request, context.schema, catalog)
        return task.answer(await self._run(task, context, catalog))

    @staticmethod
    def _schema(request: Request, settings: Settings) -> str:
        header = "content-profile" if request.method in ("POST", "PATCH", "PUT", "DELETE") else "accept-profile"
        name = request.headers.get(header, settings.db_schemas[0])
        if name not in settings.db_schemas:
            hint = "Only the following schemas are exposed: " + ", ".join(settings.db_schemas)
            raise ApiError(406, "PGRST106", f"Invalid schema: {name}", hint=hint)
        return name

    async def _preferences(self, request: Request, settings: Settings) -> Preferences:
        if any("timezone=" in header for header in request.prefer) and not self._timezones:
            connection = await self._pool.acquire()
            try:
                (result,) = await connection.run([("SELECT name FROM pg_timezone_names", ())])
            finally:
                self._pool.release(connection)
            self._timezones = frozenset((result.get_value(at, 0) or b"").decode() for at in range(result.ntuples))
        return parse_preferences(request.prefer, settings.db_tx_end.endswith("override"), self._timezones)

    def _changed(self) -> None:
        self._pool.generation += 1


def build_request(scope: Scope, prefix: str = "") -> Request:
    """Make a request of an ASGI scope, without the part of the path that the application is mounted at."""
    headers: dict[str, str] = {}
    prefer = []
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("utf-8", "replace").replace("\0", "")
        headers[key] = text
        if key == "prefer":
            prefer.append(text)
    path = scope["raw_path"].decode("latin-1").partition("?")[0].removeprefix(prefix)
    return Request(scope["method"], path, scope["query_string"], headers, prefer)


async def read_body(request: Request, receive: Receive, limit: int) -> bytes:
    """Return the body; raise 413 for one that is too long and 408 for one that does not come."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return b""
    too_long = ApiError(413, "PGRST102", f"The request body is longer than {limit} bytes")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise too_long
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ApiError(400, "PGRST102", "The client went away")
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise too_long
                chunks.append(chunk)
                if not message.get("more_body"):
                    return b"".join(chunks)
    except TimeoutError:
        raise ApiError(408, "PGRST102", "The request body did not arrive in time") from None


async def send_answer(answer: Answer, send: Send, more: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """Send an answer with its length."""
    headers = [(name.encode("latin-1", "replace"), value.encode("utf-8")) for name, value in answer.headers]
    if answer.status != 204 and (answer.body or answer.status not in (200, 206)):
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": [*headers, *more]})
    await send({"type": "http.response.body", "body": b"" if answer.status == 204 else answer.body})


def _told_headers(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name != "cookie"}


def _cookies(request: Request) -> dict[str, str]:
    if "cookie" not in request.headers:
        return {}
    try:
        jar: SimpleCookie = SimpleCookie(request.headers["cookie"])
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}
