"""Keeps the schema cache: loads it, listens for `NOTIFY pgrst`, and reconnects when the database comes back."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from devstack.postgrest.catalog import Catalog, load_catalog, load_configuration
from devstack.postgrest.connection import Connection, DatabaseError
from devstack.postgrest.errors import ApiError
from devstack.postgrest.settings import Settings

log = logging.getLogger("devstack.postgrest")
RETRY_DELAYS = (0.1, 0.2, 0.5, 1.0, 2.0)


class Keeper:
    """Holds the current catalog and settings; `on_change` is called after each load."""

    def __init__(self, settings: Settings, on_change: Callable[[], None]) -> None:
        self._base, self.settings = settings, settings
        self._on_change = on_change
        self._catalog: Catalog | None = None
        self._fresh = asyncio.Event()
        self._wake = asyncio.Event()
        self._pending = True
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def catalog(self) -> Catalog:
        """Return the catalog, waiting while it is loaded anew; raise PGRST002 when there is none."""
        if not self._fresh.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._fresh.wait(), 5 if self._catalog is None else 2)
        if self._catalog is None:
            raise ApiError(503, "PGRST002", "Could not query the database for the schema cache. Retrying.")
        return self._catalog

    async def _keep(self) -> None:
        failures = 0
        while True:
            try:
                await self._listen()
                failures = 0
            except (ApiError, DatabaseError) as error:
                log.warning("the schema cache could not be loaded: %s", error)
                failures += 1
                self._fresh.set()  # go on with what is known
            await asyncio.sleep(RETRY_DELAYS[min(failures, len(RETRY_DELAYS) - 1)])

    async def _listen(self) -> None:
        """Load and listen until the connection is lost."""
        connection = await Connection.open(self._base.db_uri)
        connection.on_notify, connection.on_break = self._notified, self._wake.set
        try:
            channel = self._base.db_channel.replace('"', '""')
            await connection.run([(f'LISTEN "{channel}"', ())])
            self._pending = True
            while not connection.broken:
                self._wake.clear()
                if self._pending:
                    await self._load(connection)
                else:
                    await self._wake.wait()
        finally:
            if not connection.broken:
                connection.close()

    def _notified(self, payload: str) -> None:
        if payload in ("", "reload schema", "reload config"):
            self._pending = True
            self._fresh.clear()
            self._wake.set()

    async def _load(self, connection: Connection) -> None:
        self._pending = False  # a notification during the load sets it again
        try:
            settings = self._base.changed(await load_configuration(connection))
            catalog = await load_catalog(connection, settings)
        except DatabaseError:
            await connection.run([("ROLLBACK", ())])
            raise
        except ValueError as error:
            log.error("the configuration in the database is ignored: %s", error)
            settings, catalog = self._base, await load_catalog(connection, self._base)
        self.settings, self._catalog = settings, catalog
        self._on_change()
        if not self._pending:
            self._fresh.set()
