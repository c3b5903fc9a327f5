"""Connections to Supabase for requests that are passed on as they are.

On http.client, because it costs a third of what httpx does for a request whose headers and body are not looked at.
"""

import http.client
import select
import ssl
import time
from collections import deque
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

CONNECT_TIMEOUT = 2  # seconds
TIMEOUT = 10  # as service/database.py; above what Supabase lets a statement take
MAX_IDLE = 50
MAX_IDLE_SECONDS = 30
CHUNK = 65536

Body = bytes | Iterable[bytes] | None


class UpstreamError(Exception):
    """Supabase could not be reached or broke off before it answered."""


class Answer:
    """An answer whose body is read piece by piece; its connection is free again when it is used up or closed."""

    def __init__(self, upstream: "Upstream", connection: http.client.HTTPConnection, response: Any) -> None:
        self.status: int = response.status
        self.headers = response.headers
        self._upstream, self._connection, self._response = upstream, connection, response
        if response.isclosed() or response.length == 0:  # no body, as to HEAD
            self._release()

    def __iter__(self) -> "Answer":
        return self

    def __next__(self) -> bytes:
        if self._connection is None:
            raise StopIteration
        try:
            if piece := self._response.read1(CHUNK):
                return piece
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise UpstreamError(repr(error)) from error
        if self._response.length:
            self.close()
            raise UpstreamError("the answer broke off")
        self._release()
        raise StopIteration

    def close(self) -> None:
        """Give up the rest of the body."""
        if self._connection is not None:
            self._response.close()
            self._connection.close()
            self._connection = None

    def _release(self) -> None:
        self._response.close()
        self._upstream.keep(self._connection, self._response)
        self._connection = None


class Upstream:
    """A pool of kept connections to one address; used by all threads of the process."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port
        self._tls = ssl.create_default_context() if address.scheme == "https" else None
        self._idle: deque[tuple[float, http.client.HTTPConnection]] = deque()

    def send(self, method: str, target: str, headers: dict[str, str], body: Body) -> Answer:
        """Make one request. Raises ``UpstreamError``."""
        connection = self._connection()
        try:
            connection.request(method, target, body, headers)
            return Answer(self, connection, connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise UpstreamError(repr(error)) from error
        except BaseException:  # the caller's body broke off
            connection.close()
            raise

    def keep(self, connection: http.client.HTTPConnection, response: Any) -> None:
        """Take back the connection of an answer that was read to its end."""
        if response.will_close or len(self._idle) >= MAX_IDLE:
            connection.close()
        else:
            self._idle.append((time.monotonic(), connection))

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.pop()[1].close()

    def _connection(self) -> http.client.HTTPConnection:
        while self._idle:
            try:
                since, connection = self._idle.pop()
            except IndexError:
                break
            is_readable = select.select([connection.sock], [], [], 0)[0]  # the other side has closed it
            if not is_readable and time.monotonic() - since < MAX_IDLE_SECONDS:
                return connection
            connection.close()
        return self._open()

    def _open(self) -> http.client.HTTPConnection:
        if self._tls:
            connection: Any = http.client.HTTPSConnection(
                self._host, self._port, timeout=CONNECT_TIMEOUT, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_TIMEOUT)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise UpstreamError(repr(error)) from error
        connection.sock.settimeout(TIMEOUT)
        return connection
