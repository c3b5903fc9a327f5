"""The pool of connections that requests share."""

import asyncio
from collections import deque

from devstack.postgrest.connection import Connection
from devstack.postgrest.errors import ApiError


class Pool:
    """Up to `size` connections; a request waits at most `timeout` seconds for one."""

    def __init__(self, uri: str, size: int, timeout: float) -> None:
        self._uri, self._size, self._timeout = uri, size, timeout
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._open = 0
        self._closed = False
        self.generation = 0

    async def acquire(self) -> Connection:
        """Return a connection; raise PGRST003 after the timeout, PGRST000 when none can be opened."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.broken:
                return self._current(connection)
            self._open -= 1
        if self._open < self._size:
            return await self._connect()
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            handed = await asyncio.wait_for(waiter, self._timeout)
        except TimeoutError:
            if waiter.done() and not waiter.cancelled() and (late := waiter.result()):
                return self._current(late)
            message = "Timed out acquiring connection from connection pool."
            raise ApiError(504, "PGRST003", message) from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and (late := waiter.result()):
                self.release(late)
            raise
        return self._current(handed) if handed else await self._connect()

    async def _connect(self) -> Connection:
        self._open += 1
        try:
            connection = await Connection.open(self._uri)
        except BaseException:
            self._open -= 1
            self._hand_over(None)
            raise
        connection.generation = self.generation
        return connection

    def _current(self, connection: Connection) -> Connection:
        if connection.generation != self.generation:
            connection.forget_prepared()
            connection.generation = self.generation
        return connection

    def release(self, connection: Connection) -> None:
        """Give a connection back; a broken one makes room for a new one."""
        if connection.broken or self._closed:
            if not connection.broken:
                connection.close()
            self._open -= 1
            self._hand_over(None)
        elif not self._hand_over(connection):
            self._idle.append(connection)

    def _hand_over(self, connection: Connection | None) -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()
            self._open -= 1
