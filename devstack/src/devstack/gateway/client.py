"""A control client for tests and demonstrations: what every gateway has, with the verbs that payers and banks do."""

import time
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import httpx

How = Literal["paid", "declined", "slow", "approved"]


class GatewayRefused(Exception):
    """An error answer of the control API; `.error` is its body's error object, `.status` its HTTP status."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(f"{status} {error.get('message') or error.get('description')}")
        self.status, self.error = status, error


class Control:
    """Turns the stand-in at `url`, untouched by outages.

    The verbs of the first part are every gateway's, so that a proof may run over each. A payment is named by the id
    that its gateway's adapter calls the payment's: Stripe's PaymentIntent, Razorpay's and PayPal's order. Amounts are
    minor units as Stripe counts them. What a gateway does not have it refuses.
    """

    refused: ClassVar[type[GatewayRefused]] = GatewayRefused

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=60)

    def call(self, method: str, path: str, body: Any = None, /, **query: Any) -> Any:
        answer = self.http.request(method, path, json=body, params=query or None)
        if answer.is_error:
            error = answer.json()
            raise self.refused(answer.status_code, error.get("error") or error)
        return answer.json()

    def do(self, verb: str, /, **body: Any) -> Any:
        return self.call("POST", f"/_local/do/{verb}", body)

    # --- what payers, banks and the dashboard do

    def pay(self, payment_id: str, how: How = "paid") -> dict[str, Any]:
        """All that the payer does at the gateway's page: {status, proof}; the proof is what the page is handed.

        slow: the money is under way until settled; approved: agreed, and the window closed before it was taken.
        """
        return self.do("pay", payment_id=payment_id, how=how)

    def settle(self, payment_id: str, outcome: str = "succeeded") -> dict[str, Any]:
        """End what is slow: succeeded or failed."""
        return self.do("settle", payment_id=payment_id, outcome=outcome)

    def refund(self, payment_id: str, amount: int | None = None) -> dict[str, Any]:
        """A refund made in the dashboard, past the application; `amount` by default all that is left."""
        return self.do("refund", payment_id=payment_id, amount=amount)

    def change_refund(self, refund_id: str, status: str) -> dict[str, Any]:
        """Let a refund succeed or fail."""
        return self.do("change_refund", refund_id=refund_id, status=status)

    def next_refunds(self, status: str | None, count: int | None = None) -> None:
        """Refunds made from now on (`count` of them, default all) begin as `status`; None: as usual."""
        self.do("next_refunds", status=status, count=count)

    def dispute(self, payment_id: str, amount: int | None = None, inquiry: bool = False) -> dict[str, Any]:
        """The payer's bank takes a payment back, or with `inquiry` only asks about it; gives the dispute."""
        return self.do("dispute", payment_id=payment_id, amount=amount, inquiry=inquiry)

    def respond(self, dispute_id: str) -> dict[str, Any]:
        """Evidence is handed in."""
        return self.do("respond", dispute_id=dispute_id)

    def escalate(self, dispute_id: str) -> dict[str, Any]:
        """An inquiry becomes a chargeback."""
        return self.do("escalate", dispute_id=dispute_id)

    def close_dispute(self, dispute_id: str, status: str = "won") -> dict[str, Any]:
        """won or lost."""
        return self.do("close_dispute", dispute_id=dispute_id, status=status)

    def appeal(self, dispute_id: str, status: str = "won") -> dict[str, Any]:
        """The end is turned round: lost -> won, won -> lost."""
        return self.do("appeal", dispute_id=dispute_id, status=status)

    def books(self) -> dict[str, dict[str, Any]]:
        """The money as the gateway has it, by payment: {currency, paid, refunded, withdrawn}; unpaid ones too."""
        return self.do("books")

    def refunds(self) -> list[dict[str, Any]]:
        """All of them: {id, payment_id, amount, status, reference}.

        status: pending, succeeded, failed or canceled; reference: the application's own name of it, where it gave one.
        """
        found: list[dict[str, Any]] = self.do("refunds")
        return found

    def get(self, id: str) -> dict[str, Any]:
        """Any object as it is now."""
        return self.call("GET", f"/_local/objects/{id}")

    # --- events and their deliveries

    def events(self, *types: str, about: str | None = None) -> list[dict[str, Any]]:
        """Events oldest first, of these types, about this object; with `id`, `type`, `delivered` and `tries`."""
        query: dict[str, Any] = {"type": types} if types else {}
        return self.call("GET", "/_local/events", **query | ({"about": about} if about else {}))

    def make_event(self, type: str, thing: dict[str, Any], created: int | None = None) -> dict[str, Any]:
        """Record an event of any type about any object, as of now or that second, as if the gateway had sent it."""
        return self.call("POST", "/_local/events", {"type": type, "object": thing, "created": created})

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
        """kind: delay, timeout, reset or error; see outages.Outage for the options: seconds, status, count …"""
        self.call("POST", "/_local/outages", {"kind": kind} | options)

    def end_outages(self) -> None:
        self.call("DELETE", "/_local/outages")

    def ledger(self) -> dict[str, Any]:
        """All objects in lists by kind, and totals {currency: {paid, refunded, …}}."""
        return self.call("GET", "/_local/ledger")

    def requests(self, method: str | None = None, path: str | None = None) -> list[dict[str, Any]]:
        """API calls oldest first: method, path, params, idempotency_key, status, replayed, outage, at."""
        wanted = {"method": method, "path": path}
        return self.call("GET", "/_local/requests", **{name: value for name, value in wanted.items() if value})

    def forget_keys(self) -> None:
        """Drop all idempotency keys, as the gateway may in time."""
        self.call("DELETE", "/_local/idempotency_keys")

    def reset(self) -> None:
        self.call("POST", "/_local/reset")


def wait_for(done: Callable[[], Any], seconds: float, complaint: str) -> Any:
    """The first true value of `done()`, asked every 20 ms; raises TimeoutError."""
    limit = time.monotonic() + seconds
    while not (value := done()):
        if time.monotonic() > limit:
            raise TimeoutError(complaint)
        time.sleep(0.02)
    return value
