"""A real PostgREST as a child process on a Unix socket, answering in the place of devstack's own."""

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from devstack.postgrest.answers import Answer
from devstack.postgrest.app import Receive, read_body
from devstack.postgrest.errors import ApiError
from devstack.postgrest.handlers import Request

log = logging.getLogger("devstack.api")
MAX_BODY = 10_000_000
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server")


class RealPostgrest:
    """Starts the executable and hands requests on to it."""

    def __init__(self, executable: str) -> None:
        self._executable = executable
        self._folder = tempfile.TemporaryDirectory(prefix="devstack-")
        self._socket = Path(self._folder.name) / "postgrest.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx.AsyncClient | None = None

    def start(self) -> None:
        environment = {**os.environ, "PGRST_SERVER_UNIX_SOCKET": str(self._socket)}
        self._process = subprocess.Popen([self._executable], env=environment, preexec_fn=_die_with_parent)
        transport = httpx.AsyncHTTPTransport(uds=str(self._socket), limits=httpx.Limits(max_connections=200))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://postgrest", timeout=60)

    async def stop(self) -> None:
        if self._client:
            await self._client.aclose()
        if self._process:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 3)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._folder.cleanup()

    async def is_ready(self) -> bool:
        if self._client is None or not self._socket.exists():
            return False
        try:
            return (await self._client.head("/")).status_code < 500
        except httpx.HTTPError:
            return False

    async def respond(self, request: Request, receive: Receive, url_length: int = 0) -> Answer:
        """Hand one request on; a child that does not answer is a 503."""
        assert self._client is not None
        try:
            body = await read_body(request, receive, MAX_BODY)
        except ApiError as error:
            return Answer(error.status, [("Content-Type", "application/json")], error.body())
        headers = [(name, value) for name, value in request.headers.items() if name not in (*HOP_BY_HOP, "prefer")]
        headers += [("prefer", value) for value in request.prefer]
        target = (request.path or "/").encode("latin-1") + (b"?" + request.query if request.query else b"")
        url = self._client.base_url.copy_with(raw_path=target)
        try:
            sent = self._client.build_request(request.method, url, headers=headers, content=body or None)
            answer = await self._client.send(sent, stream=True)
            content = b"".join([chunk async for chunk in answer.aiter_raw()])
        except httpx.HTTPError as error:
            log.warning("PostgREST does not answer: %s", error)
            return Answer(503, [("Content-Type", "application/json")], b'{"message":"PostgREST does not answer"}')
        kept = [(name, value) for name, value in answer.headers.multi_items() if name not in HOP_BY_HOP]
        return Answer(answer.status_code, kept, content)


def _die_with_parent() -> None:
    """Ask Linux to end this child when its parent is killed, so that nothing is left over."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
