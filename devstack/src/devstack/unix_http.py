"""HTTP/1.1 to a server on a Unix socket, over connections that are kept: what handing requests on needs and no more.

A client for everything costs more time than the server behind it takes to answer.
"""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import httptools

KEEP = 20  # seconds that a connection may lie idle: servers close theirs after 30

Headers = list[tuple[bytes, bytes]]


class NoAnswer(Exception):
    """The server is not there, went away or took too long."""


@dataclass(slots=True)
class Received:
    """An answer in the making, and at the end a whole one."""

    status: int = 0
    headers: Headers = field(default_factory=list)
    body: bytes = b""


class UnixClient:
    """Sends requests to the server at a socket, any number at once."""

    def __init__(self, socket: Path, timeout: float = 60) -> None:
        self._socket, self._timeout = str(socket), timeout
        self._idle: list[_Connection] = []

    async def request(self, method: str, target: bytes, headers: Headers, body: bytes = b"") -> Received:
        """Send one request and return its answer. Raises ``NoAnswer``."""
        lines = [method.encode() + b" " + target + b" HTTP/1.1\r\nhost: localhost\r\n"]
        lines += [name + b": " + value + b"\r\n" for name, value in headers]
        if body or method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
            lines.append(b"content-length: %d\r\n" % len(body))
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._take()
                answer = await connection.exchange(b"".join([*lines, b"\r\n", body]), method == "HEAD")
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            raise NoAnswer(str(error) or type(error).__name__) from None
        if connection.keeps:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def _take(self) -> "_Connection":
        while self._idle:
            connection = self._idle.pop()
            if connection.keeps and time.monotonic() - connection.used_at < KEEP:
                return connection
            connection.close()
        loop = asyncio.get_running_loop()
        return (await loop.create_unix_connection(_Connection, self._socket))[1]


class _Connection(asyncio.Protocol):
    """One connection; one request at a time. The methods that begin with on_ are called by the parser."""

    def __init__(self) -> None:
        self.keeps, self.used_at = True, 0.0
        self._transport: asyncio.WriteTransport | None = None
        self._waiter: asyncio.Future[Received] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._received, self._chunks = Received(), [b""]
        self._is_head = False

    async def exchange(self, request: bytes, is_head: bool) -> Received:
        """Send a request and wait for its answer; a caller that gives up leaves the connection unusable."""
        assert self._transport
        if not self.keeps:
            raise ConnectionResetError("the connection was closed")
        self._received, self._chunks, self._is_head = Received(), [], is_head
        self._parser = httptools.HttpResponseParser(self)
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter, self.used_at = None, time.monotonic()

    def close(self) -> None:
        self.keeps = False
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            assert self._parser
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        told = {name for name, _ in self._received.headers}
        if exc is None and self._received.status and not told & {b"content-length", b"transfer-encoding"}:
            self._finish()  # an answer that ends with its connection
        self._fail(exc or ConnectionResetError("the connection was closed"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._received.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        assert self._parser
        self._received.status = self._parser.get_status_code()
        if self._is_head:  # whatever length the answer names, no body follows
            self._finish()

    def on_body(self, data: bytes) -> None:
        self._chunks.append(data)

    def on_message_complete(self) -> None:
        if not self._is_head:
            self._finish()

    def _finish(self) -> None:
        assert self._parser
        self.keeps = self.keeps and self._parser.should_keep_alive()
        if self._waiter and not self._waiter.done():
            self._received.body = b"".join(self._chunks)
            self._waiter.set_result(self._received)

    def _fail(self, error: Exception) -> None:
        self.keeps = False
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(error)
