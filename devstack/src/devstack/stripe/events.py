"""Events: written down when something happens, signed and sent to the webhook endpoint until it takes them."""

import asyncio
import contextvars
import json
import time
from typing import Any

import aiohttp
import stripe
from localstripe import resources

from . import account
from .signature import sign

# (request id, idempotency key) of the API call being served; (None, None) when Stripe acts by itself.
caller: contextvars.ContextVar[tuple[str | None, str | None]] = contextvars.ContextVar("caller", default=(None, None))

GIVE_UP_AFTER = 3 * 24 * 3600  # Stripe's own patience, in seconds
KEPT_ATTEMPTS = 25


class Event(resources.StripeObject):
    """One event. `data.object` is a copy of the object as it was at that moment; `_…` is the delivery's state."""

    object = "event"
    _id_prefix = "evt_"
    _wanted = True  # whether it is one that the webhook endpoint is told of

    def __init__(self, type: str, data: Any, previous: dict[str, Any] | None = None) -> None:
        super().__init__()
        subject = data if isinstance(data, dict) else data._export()
        self.type = type
        self.api_version = stripe.api_version
        self.data = {"object": json.loads(json.dumps(subject))}
        if previous:
            self.data["previous_attributes"] = previous
        request_id, key = caller.get()
        self.request = {"id": request_id, "idempotency_key": key}
        self._wanted = account.hears_of(type)
        self.pending_webhooks = int(self._wanted)
        self._delivered = self._given_up = False
        self._tries = 0
        self._attempts: list[dict[str, Any]] = []
        if self._wanted:
            deliveries.start(self.id)

    def _waits(self) -> bool:
        """Whether it is still to be delivered."""
        return self._wanted and not self._delivered and not self._given_up


def emit(type: str, thing: Any, **previous: Any) -> Event:
    """Record that `type` happened to `thing`; `previous` holds the former values of what changed."""
    return Event(type, thing, previous)


class Deliveries:
    """Sends each event until a 2xx; order is not kept. Without a URL, or switched off, events wait."""

    def __init__(self, endpoint: dict[str, Any], backoff: float, max_backoff: float, timeout: float) -> None:
        self.endpoint = endpoint  # {url, secret (one, or a list while rolling), enabled}
        self.backoff, self.max_backoff, self.timeout = backoff, max_backoff, timeout
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._at_once = asyncio.Semaphore(16)

    @property
    def on(self) -> bool:
        enabled = self.endpoint.get("enabled") and account.current.endpoint["status"] == "enabled"
        return bool(self.endpoint.get("url") and enabled)

    def set(self, **changes: Any) -> None:
        self.endpoint.update(changes)
        resources.store.set("webhook", self.endpoint)
        self.start_pending()

    def start_pending(self) -> None:
        for event in resources.store.of_kind("event"):
            if event._waits():
                self.start(event.id)

    def start(self, event_id: str) -> None:
        if self.on and event_id not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._until_taken(event_id))
            self._tasks[event_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(event_id, None))

    def forget_pending(self) -> int:
        """Give the waiting events up: no more tries. They stay undelivered in GET /v1/events."""
        waiting = [event for event in resources.store.of_kind("event") if event._waits()]
        for event in waiting:
            resources.store.get(f"event:{event.id}")._given_up = True
        resources.store.commit()
        return len(waiting)

    async def _until_taken(self, event_id: str) -> None:
        wait = self.backoff
        while self.on:
            event = resources.store.get(f"event:{event_id}")
            if event is None or not event._waits():
                return
            if time.time() - event.created > GIVE_UP_AFTER:
                return
            async with self._at_once:
                await self.send(event)
            if event._delivered:
                return
            await asyncio.sleep(wait)
            wait = min(wait * 2, self.max_backoff)

    async def send(self, event: Event, timestamp: int | None = None) -> dict[str, Any]:
        """One attempt, written to the delivery log: {event, at, url, status or error, ms, body}."""
        body = event._export() | {"api_version": account.current.endpoint["api_version"]}
        payload = json.dumps(body, indent=2).encode()
        secret = self.endpoint.get("secret") or ""
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": sign(payload, secret if isinstance(secret, list) else [secret], timestamp),
        }
        started = time.time()
        attempt: dict[str, Any] = {"event": event.id, "type": event.type, "at": started, "url": self.endpoint["url"]}
        try:
            attempt |= await self._post(payload, headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            attempt |= {"status": None, "error": f"{type(error).__name__}: {error}"}
        attempt["ms"] = round((time.time() - started) * 1000, 1)
        self._note(event.id, attempt)
        return attempt

    async def _post(self, payload: bytes, headers: dict[str, str]) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.timeout))
        async with self._session.post(
            self.endpoint["url"], data=payload, headers=headers, allow_redirects=False
        ) as answer:
            return {"status": answer.status, "body": (await answer.text(errors="replace"))[:500]}

    def _note(self, event_id: str, attempt: dict[str, Any]) -> None:
        event = resources.store.get(f"event:{event_id}")  # none when all was reset meanwhile
        if event is None:
            return
        event._tries += 1
        event._attempts = [*event._attempts, attempt][-KEPT_ATTEMPTS:]
        if attempt["status"] and 200 <= attempt["status"] < 300:
            event._delivered, event.pending_webhooks = True, 0
        resources.store.commit()


# The one sender of this process: the server sets another before it serves. This one sends nothing.
deliveries = Deliveries({}, 1, 1, 1)
