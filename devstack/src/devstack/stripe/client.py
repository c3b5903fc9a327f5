"""A control client for tests and demonstrations, over the control API and the routes Stripe.js uses."""

import time
from collections.abc import Callable
from typing import Any

import httpx

from .signature import sign


class StripeRefused(Exception):
    """An error answer of the control API; `.error` is its body's error object, `.status` its HTTP status."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(f"{status} {error.get('message')}")
        self.status, self.error = status, error


class Control:
    """Turns the local Stripe at `url`, untouched by outages. Intents are named by their id or their client secret."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=60)

    def call(self, method: str, path: str, body: Any = None, /, **query: Any) -> Any:
        answer = self.http.request(method, path, json=body, params=query or None)
        if answer.is_error:
            raise StripeRefused(answer.status_code, answer.json()["error"])
        return answer.json()

    # --- payments

    def confirm(self, intent: str, card: str = "pm_card_visa") -> dict[str, Any]:
        """Pay an intent by a test method or card number; returns it, with `last_payment_error` when declined."""
        body: dict[str, Any] = {"payment_method": card}
        if card.isdigit():
            data = {"number": card, "exp_month": 12, "exp_year": time.gmtime().tm_year + 4, "cvc": "123"}
            body = {"payment_method_data": {"type": "card", "card": data}}
        try:
            return self.call("POST", f"/_local/payment_intents/{_id(intent)}/confirm", body)
        except StripeRefused as refused:
            if refused.status != 402 or "payment_intent" not in refused.error:
                raise
            return refused.error["payment_intent"]

    def settle(self, intent: str, outcome: str = "succeeded") -> dict[str, Any]:
        """End a processing intent: succeeded or failed."""
        return self.call("POST", f"/_local/payment_intents/{_id(intent)}/settle", {"outcome": outcome})

    def authenticate(self, intent: str, success: bool = True) -> dict[str, Any]:
        return self.call("POST", f"/_local/payment_intents/{_id(intent)}/authenticate", {"success": success})

    def get(self, id: str) -> dict[str, Any]:
        """Any object as it is now; a client secret names its intent."""
        return self.call("GET", f"/_local/objects/{_id(id)}")

    # --- money back

    def refund(self, intent: str, amount: int | None = None) -> dict[str, Any]:
        """A refund made in Stripe's dashboard, past the application; minor units, default all that is left."""
        body = {"payment_intent": _id(intent)} | ({} if amount is None else {"amount": amount})
        return self.call("POST", "/_local/refunds", body)

    def change_refund(self, refund_id: str, status: str) -> dict[str, Any]:
        """pending -> succeeded or failed, succeeded -> failed."""
        return self.call("POST", f"/_local/refunds/{refund_id}", {"status": status})

    def next_refunds(self, status: str | None, count: int | None = None) -> None:
        """Refunds made from now on (`count` of them, default all) begin as `status`; None: as usual."""
        self.call("PUT", "/_local/next_refunds", {"status": status, "count": count})

    def dispute(self, intent: str, amount: int | None = None, reason: str = "fraudulent") -> dict[str, Any]:
        body = {"payment_intent": _id(intent), "amount": amount, "reason": reason}
        return self.call("POST", "/_local/disputes", body)

    def close_dispute(self, dispute_id: str, status: str = "won") -> dict[str, Any]:
        return self.call("POST", f"/_local/disputes/{dispute_id}/close", {"status": status})

    # --- events and their deliveries

    def events(self, *types: str, about: str | None = None) -> list[dict[str, Any]]:
        """Events oldest first, of these types, about this object, charge or intent; with `delivered` and `tries`."""
        query: dict[str, Any] = {"type": types} if types else {}
        return self.call("GET", "/_local/events", **query | ({"about": _id(about)} if about else {}))

    def make_event(self, type: str, thing: dict[str, Any]) -> dict[str, Any]:
        """Record an event of any type about any object, as if Stripe had sent it."""
        return self.call("POST", "/_local/events", {"type": type, "object": thing})

    def deliver(self, event_id: str, copies: int = 1, timestamp: int | None = None) -> list[dict[str, Any]]:
        """Send an event now, `copies` of it at once; returns the attempts: {status, body, error, ms}."""
        body = {"copies": copies, "timestamp": timestamp}
        return self.call("POST", f"/_local/events/{event_id}/deliver", body)

    def webhook(self, **changes: Any) -> dict[str, Any]:
        """Set url, secret (a list while rolling), enabled; forget=True gives the waiting events up."""
        return self.call("PUT", "/_local/webhook", changes)

    def deliveries(self, on: bool, forget: bool = False) -> None:
        """Switch automatic delivery; what waits is sent when switched on, unless forgotten."""
        self.webhook(enabled=on, forget=forget)

    def attempts(self, event_id: str | None = None) -> list[dict[str, Any]]:
        return self.call("GET", "/_local/deliveries", **({"event": event_id} if event_id else {}))

    def waiting(self) -> list[str]:
        """Ids of events that are not delivered and not given up."""
        return self.call("GET", "/_local/webhook")["waiting"]

    def wait_delivered(self, seconds: float = 10) -> None:
        """Until no event waits; raises TimeoutError."""
        wait_for(lambda: not self.waiting(), seconds, "events are still undelivered")

    # --- faults, books, state

    def outage(self, kind: str, **options: Any) -> None:
        """kind: delay, timeout, reset or error; see server.Outage for the options: seconds, status, count …"""
        self.call("POST", "/_local/outages", {"kind": kind} | options)

    def end_outages(self) -> None:
        self.call("DELETE", "/_local/outages")

    def ledger(self) -> dict[str, Any]:
        """payment_intents, charges, refunds, disputes, customers (lists) and totals {currency: {paid, refunded, …}}."""
        return self.call("GET", "/_local/ledger")

    def requests(self, method: str | None = None, path: str | None = None) -> list[dict[str, Any]]:
        """API calls oldest first: method, path, params, idempotency_key, status, replayed, outage, at."""
        wanted = {"method": method, "path": path}
        return self.call("GET", "/_local/requests", **{name: value for name, value in wanted.items() if value})

    def forget_keys(self) -> None:
        """Drop all idempotency keys, as Stripe may after 24 hours."""
        self.call("DELETE", "/_local/idempotency_keys")

    def reset(self) -> None:
        self.call("POST", "/_local/reset")


def signed(payload: bytes, secret: str, timestamp: int | None = None) -> dict[str, str]:
    """Headers with which `payload` passes as Stripe's."""
    return {"Content-Type": "application/json", "Stripe-Signature": sign(payload, [secret], timestamp)}


def wait_for(done: Callable[[], Any], seconds: float, complaint: str) -> Any:
    """The first true value of `done()`, asked every 20 ms; raises TimeoutError."""
    limit = time.monotonic() + seconds
    while not (value := done()):
        if time.monotonic() > limit:
            raise TimeoutError(complaint)
        time.sleep(0.02)
    return value


def _id(intent: str) -> str:
    return intent.partition("_secret_")[0]
