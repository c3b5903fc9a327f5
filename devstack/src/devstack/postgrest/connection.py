"""Connections that run a whole transaction in one network trip (libpq's pipeline mode).

psycopg opens the connections; the statements go straight to its libpq wrapper: prepared once for each connection,
parameters untyped and as text, so that Postgres itself says what is wrong with a value.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

import psycopg
from psycopg import pq

from devstack.postgrest.errors import ApiError

log = logging.getLogger("devstack.postgrest")
MAX_PREPARED = 300
BYTEA = 17

Step = tuple[str, Sequence["bytes | None | Binary"]]


class Binary(bytes):
    """A parameter that goes as bytea, not as text."""


class DatabaseError(Exception):
    """An error that Postgres reported."""

    def __init__(self, sqlstate: str, message: str, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate, self.message, self.detail, self.hint = sqlstate, message, detail, hint


def connection_lost(code: str = "PGRST001") -> ApiError:
    """Return the answer for a database that cannot be reached (PGRST000) or went away (PGRST001)."""
    return ApiError(503, code, "Database client error. Retrying the connection.")


class Connection:
    """One connection in pipeline mode; used by one request at a time."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection, self._pg = connection, connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._prepared: OrderedDict[str, bytes] = OrderedDict()
        self._waiter: asyncio.Future[None] | None = None
        self._fresh: dict[str, bytes] = {}
        self._stale = False
        self._names, self._syncs = 0, 0
        self._socket = self._pg.socket
        self.broken = False
        self.generation = 0
        self.on_notify: Callable[[str], None] | None = None
        self.on_break: Callable[[], None] | None = None
        self._pg.nonblocking = 1
        self._pg.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._readable)

    @classmethod
    async def open(cls, uri: str) -> "Connection":
        """Connect; raise ApiError PGRST000 when that fails."""
        try:
            connection = await asyncio.wait_for(psycopg.AsyncConnection.connect(uri, autocommit=True), 10)
        except (psycopg.Error, OSError, TimeoutError) as error:
            log.warning("cannot connect to the database: %s", error)
            raise connection_lost("PGRST000") from None
        return cls(connection)

    def close(self) -> None:
        if self._socket >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = -1
        self.broken = True
        self._pg.finish()
        self._wake()

    async def run(self, steps: Sequence[Step]) -> list[pq.abc.PGresult]:
        """Run the statements up to the first error; return their results in order.

        Raises DatabaseError for what Postgres refuses (the connection is left in the transaction it was in) and
        ApiError 503 when the connection is lost.
        """
        try:
            plan = self._send(steps)
            await self._flush()
            return await self._collect(plan)
        except psycopg.Error:
            self.close()
            raise connection_lost() from None
        except asyncio.CancelledError:
            self.close()
            raise

    def forget_prepared(self) -> None:
        """Have the statements planned anew, after the schema changed."""
        self._prepared.clear()
        self._stale = True

    def _send(self, steps: Sequence[Step]) -> list[str | None]:
        """Queue the steps; return for each expected result the SQL it prepares, or None for an execution."""
        plan: list[str | None] = self._send_housekeeping()
        fresh = self._fresh = {}
        for sql, parameters in steps:
            name = self._prepared.get(sql) or fresh.get(sql)
            binary = any(isinstance(value, Binary) for value in parameters)
            if name is None:
                self._names += 1
                name = fresh[sql] = b"p%d" % self._names
                types = [BYTEA if isinstance(value, Binary) else 0 for value in parameters] if binary else None
                self._pg.send_prepare(name, sql.encode(), types)
                plan.append(sql)
            formats = [int(isinstance(value, Binary)) for value in parameters] if binary else None
            self._pg.send_query_prepared(name, parameters or None, formats)
            plan.append(None)
        self._pg.pipeline_sync()
        return plan

    def _send_housekeeping(self) -> list[str | None]:
        """Queue the end of prepared statements that are not to be kept, as a transaction of its own.

        In one with the request it would take the snapshot that an isolation level has to be set before; and only
        between transactions: in a failed one it would be refused, and the ROLLBACK behind it with it.
        """
        commands = []
        if self._pg.transaction_status == pq.TransactionStatus.IDLE:
            commands = [b"DEALLOCATE ALL"] if self._stale else []
            self._stale = False
            while len(self._prepared) > MAX_PREPARED:
                commands.append(b"DEALLOCATE " + self._prepared.popitem(last=False)[1])
        for command in commands:
            self._pg.send_query_params(command, None)
        if commands:
            self._pg.pipeline_sync()
        self._syncs = 2 if commands else 1
        return [""] * len(commands)

    async def _flush(self) -> None:
        while self._pg.flush():
            waiter = self._waiter = self._loop.create_future()
            self._loop.add_writer(self._socket, self._wake)
            try:
                await waiter
            finally:
                if self._socket >= 0:
                    self._loop.remove_writer(self._socket)
            self._check()

    async def _collect(self, plan: list[str | None]) -> list[pq.abc.PGresult]:
        results: list[pq.abc.PGresult] = []
        error: pq.abc.PGresult | None = None
        expected = iter(plan)
        while self._syncs:
            result = await self._next_result()
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                self._syncs -= 1
                continue
            prepared = next(expected)
            if result.status == pq.ExecStatus.FATAL_ERROR:
                error = error or result
                self._check()
            elif result.status == pq.ExecStatus.PIPELINE_ABORTED:
                pass
            elif prepared is None:
                results.append(result)
            elif prepared:
                self._prepared[prepared] = self._fresh[prepared]
        self._hand_on_notifications()  # those that came between the results
        if error is not None:
            raise _database_error(error)
        return results

    async def _next_result(self) -> pq.abc.PGresult:
        while True:
            while self._pg.is_busy():
                waiter = self._waiter = self._loop.create_future()
                await waiter
                self._check()
            result = self._pg.get_result()
            if result is not None:
                return result

    def _readable(self) -> None:
        try:
            self._pg.consume_input()
            self._hand_on_notifications()
        except psycopg.Error:
            self.broken = True
        if self._pg.status != pq.ConnStatus.OK:
            self.broken = True
        if self.broken and self._waiter is None:
            self.close()
            if self.on_break:
                self.on_break()
        self._wake()

    def _hand_on_notifications(self) -> None:
        while self.on_notify and (notification := self._pg.notifies()):
            self.on_notify(notification.extra.decode("utf-8", "replace"))

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter and not waiter.done():
            waiter.set_result(None)

    def _check(self) -> None:
        if self.broken:
            raise self._lost()

    def _lost(self) -> psycopg.OperationalError:
        return psycopg.OperationalError("the connection was lost")


def _database_error(result: pq.abc.PGresult) -> DatabaseError:
    def text(which: pq.DiagnosticField) -> str | None:
        value = result.error_field(which)
        return value.decode("utf-8", "replace") if value is not None else None

    diagnostic = pq.DiagnosticField
    sqlstate, message = text(diagnostic.SQLSTATE), text(diagnostic.MESSAGE_PRIMARY)
    return DatabaseError(
        sqlstate or "08006", message or "", text(diagnostic.MESSAGE_DETAIL), text(diagnostic.MESSAGE_HINT)
    )
