"""Events on their way: sent to the webhook endpoint until it takes them."""

import asyncio
import json
import time
from typing import Any

import aiohttp

from .state import State, Thing

KEPT_ATTEMPTS = 25


class Delivery:
    """What an event knows of its delivery, no part of what is shown.

    `_wanted`: whether the webhook endpoint is told of it at all.
    """

    _wanted = True
    _delivered = _given_up = False
    _tries = 0
    _attempts: list[dict[str, Any]] = []

    @property
    def _waits(self) -> bool:
        """Whether it is still to be delivered."""
        return self._wanted and not self._delivered and not self._given_up

    def _note(self, attempt: dict[str, Any]) -> None:
        self._tries += 1
        self._attempts = [*self._attempts, attempt][-KEPT_ATTEMPTS:]
        if attempt["status"] and 200 <= attempt["status"] < 300:
            self._delivered = True


class Event(Thing, Delivery):
    """Something that happened, with the text of it as the endpoint is told: `payload` is a copy of that moment."""

    object = "event"

    def __init__(self, id: str, type: str, payload: dict[str, Any], created: int | None = None) -> None:
        self.id, self.type = id, type
        self.created = int(time.time()) if created is None else created
        self._payload = json.loads(json.dumps(payload))

    def export(self) -> dict[str, Any]:
        return self._payload


class Deliveries:
    """Sends each event until a 2xx; order is not kept. Without a URL, or switched off, events wait.

    A gateway says in `message` how it writes and signs one, and by `patience` how many seconds it goes on trying.
    """

    patience: float = 3 * 24 * 3600

    def __init__(
        self, store: State, endpoint: dict[str, Any], backoff: float, max_backoff: float, timeout: float
    ) -> None:
        self.store, self.endpoint = store, endpoint  # {url, secret (one, or a list while rolling), enabled}
        self.backoff, self.max_backoff, self.timeout = backoff, max_backoff, timeout
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._at_once = asyncio.Semaphore(16)

    def message(self, event: Any, timestamp: int | None) -> tuple[bytes, dict[str, str]]:
        """The body and the headers of an attempt, signed as of `timestamp` or now."""
        raise NotImplementedError

    def gave_up(self, event: Any) -> None:
        """What follows when the patience with an event has ended."""

    @property
    def secrets(self) -> list[str]:
        secret = self.endpoint.get("secret") or ""
        return secret if isinstance(secret, list) else [secret]

    @property
    def on(self) -> bool:
        return bool(self.endpoint.get("url") and self.endpoint.get("enabled"))

    def set(self, **changes: Any) -> None:
        self.endpoint.update(changes)
        self.store.set("webhook", self.endpoint)
        self.start_pending()

    def pending(self) -> list[Any]:
        return [event for event in self.store.of_kind("event") if event._waits]

    def start_pending(self) -> None:
        for event in self.pending():
            self.start(event.id)

    def start(self, event_id: str) -> None:
        if self.on and event_id not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._until_taken(event_id))
            self._tasks[event_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(event_id, None))

    def forget_pending(self) -> int:
        """Give the waiting events up: no more tries. They stay undelivered."""
        waiting = self.pending()
        for event in waiting:
            self.store.get(f"event:{event.id}")._given_up = True
        self.store.commit()
        return len(waiting)

    async def _until_taken(self, event_id: str) -> None:
        wait = self.backoff
        while self.on:
            event = self.store.get(f"event:{event_id}")
            if event is None or not event._waits:
                return
            if time.time() - event.created > self.patience:
                return self.gave_up(event)
            async with self._at_once:
                await self.send(event)
            if event._delivered:
                return
            await asyncio.sleep(wait)
            wait = min(wait * 2, self.max_backoff)

    async def send(self, event: Any, timestamp: int | None = None) -> dict[str, Any]:
        """One attempt, written to the delivery log: {event, type, at, url, status or error, ms, body}."""
        payload, headers = self.message(event, timestamp)
        started = time.time()
        attempt: dict[str, Any] = {"event": event.id, "type": event.type, "at": started, "url": self.endpoint["url"]}
        try:
            attempt |= await self._post(payload, headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            attempt |= {"status": None, "error": f"{type(error).__name__}: {error}"}
        attempt["ms"] = round((time.time() - started) * 1000, 1)
        known = self.store.get(f"event:{event.id}")  # none when all was reset meanwhile
        if known is not None:
            known._note(attempt)
            self.store.commit()
        return attempt

    async def _post(self, payload: bytes, headers: dict[str, str]) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.timeout))
        async with self._session.post(
            self.endpoint["url"], data=payload, headers=headers, allow_redirects=False
        ) as answer:
            return {"status": answer.status, "body": (await answer.text(errors="replace"))[:500]}
