"""A control client for tests and demonstrations, over the control API and the routes Stripe.js uses."""

import time
from typing import Any

from devstack import gateway
from devstack.gateway.client import How, wait_for

from .signature import sign

__all__ = ["Control", "StripeRefused", "signed", "wait_for"]


METHODS: dict[How, str] = {
    "paid": "pm_card_visa",
    "approved": "pm_card_visa",
    "declined": "pm_card_chargeDeclined",
    "slow": "pm_usBankAccount_processing",
}


class StripeRefused(gateway.GatewayRefused):
    """An error answer of the control API; `.error` is its body's error object, `.status` its HTTP status."""


class Control(gateway.Control):
    """Turns the local Stripe at `url`, untouched by outages. Intents are named by their id or their client secret."""

    refused = StripeRefused

    # --- payments

    def confirm(self, intent: str, card: str = "pm_card_visa", return_url: str | None = None) -> dict[str, Any]:
        """Pay an intent by a test method or card number; returns it, with `last_payment_error` when declined.

        Raises StripeRefused; 400 where the intent's automatic methods allow redirects and there is no `return_url`.
        """
        body: dict[str, Any] = {"payment_method": card}
        if card.isdigit():
            data = {"number": card, "exp_month": 12, "exp_year": time.gmtime().tm_year + 4, "cvc": "123"}
            body = {"payment_method_data": {"type": "card", "card": data}}
        body |= {"return_url": return_url} if return_url else {}
        try:
            return self.call("POST", f"/_local/payment_intents/{_id(intent)}/confirm", body)
        except StripeRefused as refused:
            if refused.status != 402 or "payment_intent" not in refused.error:
                raise
            return refused.error["payment_intent"]

    def pay(self, payment_id: str, how: How = "paid") -> dict[str, Any]:
        """See the base; Stripe hands the page no proof, and takes what is approved. slow: a bank debit."""
        paid = self.confirm(payment_id, METHODS[how], return_url="https://example.com/paid")
        return {"status": paid["status"], "proof": None}

    def settle(self, payment_id: str, outcome: str = "succeeded") -> dict[str, Any]:
        """End a processing intent: succeeded or failed."""
        return self.call("POST", f"/_local/payment_intents/{_id(payment_id)}/settle", {"outcome": outcome})

    def authenticate(self, intent: str, success: bool = True) -> dict[str, Any]:
        return self.call("POST", f"/_local/payment_intents/{_id(intent)}/authenticate", {"success": success})

    def method_types(self, *types: str) -> None:
        """What the account's automatic payment methods offer from now on, in this order (card, link, klarna …)."""
        self.call("PUT", "/_local/method_types", {"types": types})

    def foreign_charge(self, amount: int, currency: str) -> dict[str, Any]:
        """A charge without an intent, paid in the dashboard or by the API of old; minor units. Gives the charge."""
        return self.call("POST", "/_local/foreign_charges", {"amount": amount, "currency": currency})

    def foreign_payment(
        self, amount: int, currency: str, metadata: dict[str, str] | None = None, pay: bool = True
    ) -> dict[str, Any]:
        """An intent of another program on the same account, paid unless `pay` is false; minor units."""
        body = {"amount": amount, "currency": currency, "metadata": metadata, "pay": pay}
        return self.call("POST", "/_local/foreign_payments", body)

    def get(self, id: str) -> dict[str, Any]:
        """Any object as it is now; a client secret names its intent."""
        return self.call("GET", f"/_local/objects/{_id(id)}")

    # --- money back

    def refund(self, payment_id: str, amount: int | None = None) -> dict[str, Any]:
        """A refund made in Stripe's dashboard, past the application, of an intent or a charge.

        `amount` in minor units, default all that is left.
        """
        body = _paid(payment_id) | ({} if amount is None else {"amount": amount})
        return self.call("POST", "/_local/refunds", body)

    def change_refund(self, refund_id: str, status: str) -> dict[str, Any]:
        """pending -> succeeded, failed or canceled; requires_action -> those or pending; succeeded -> failed.

        Events: refund.updated, refund.failed if it failed, and charge.refund.updated.
        """
        return self.call("POST", f"/_local/refunds/{refund_id}", {"status": status})

    def next_refunds(self, status: str | None, count: int | None = None) -> None:
        """Refunds made from now on (`count` of them, default all) begin as `status`; None: as usual.

        `status`: succeeded, pending, requires_action, or failed, which is pending and fails at once.
        """
        self.call("PUT", "/_local/next_refunds", {"status": status, "count": count})

    def failed_refunds(self, keep_total: bool) -> None:
        """Whether charge.amount_refunded goes on counting failed and canceled refunds; as a rule it does not."""
        self.call("PUT", "/_local/failed_refunds", {"keep_total": keep_total})

    def dispute(
        self, payment_id: str, amount: int | None = None, inquiry: bool = False, reason: str = "fraudulent"
    ) -> dict[str, Any]:
        """The payer's bank takes an intent or a charge back, or with `inquiry` only asks about it; gives the dispute.

        `amount` in minor units, default what is left of the charge; it can be another one, also a higher one. Pending
        refunds of the charge fail. Events: charge.dispute.created and, but for an inquiry, .funds_withdrawn.
        """
        body = _paid(payment_id) | {"amount": amount, "reason": reason, "inquiry": inquiry}
        return self.call("POST", "/_local/disputes", body)

    def escalate(self, dispute_id: str) -> dict[str, Any]:
        """An inquiry becomes a chargeback. Events: charge.dispute.updated and .funds_withdrawn."""
        return self.call("POST", f"/_local/disputes/{dispute_id}/escalate")

    def respond(self, dispute_id: str) -> dict[str, Any]:
        """Evidence is handed in: under_review, or warning_under_review. Event: charge.dispute.updated."""
        return self.call("POST", f"/_local/disputes/{dispute_id}/respond")

    def close_dispute(self, dispute_id: str, status: str = "won") -> dict[str, Any]:
        """won or lost, or warning_closed of an inquiry. Events: .funds_reinstated if won, and charge.dispute.closed."""
        return self.call("POST", f"/_local/disputes/{dispute_id}/close", {"status": status})

    def appeal(self, dispute_id: str, status: str = "won") -> dict[str, Any]:
        """The end is turned round: lost -> won, won -> lost.

        Events: charge.dispute.updated, and .funds_reinstated or .funds_withdrawn.
        """
        return self.call("POST", f"/_local/disputes/{dispute_id}/appeal", {"status": status})

    def books(self) -> dict[str, dict[str, Any]]:
        ledger = self.ledger()
        books = {
            intent["id"]: {
                "currency": intent["currency"],
                "paid": intent["amount_received"],
                "refunded": 0,
                "withdrawn": 0,
            }
            for intent in ledger["payment_intents"]
        }
        for refund in ledger["refunds"]:
            if refund["payment_intent"] and refund["status"] not in ("failed", "canceled"):
                books[refund["payment_intent"]]["refunded"] += refund["amount"]
        for dispute in ledger["disputes"]:
            if dispute["payment_intent"]:
                moved = sum(entry["amount"] for entry in dispute["balance_transactions"])
                books[dispute["payment_intent"]]["withdrawn"] -= moved
        return books

    def refunds(self) -> list[dict[str, Any]]:
        return [
            {
                "id": refund["id"],
                "payment_id": refund["payment_intent"],
                "amount": refund["amount"],
                "status": {"requires_action": "pending"}.get(refund["status"], refund["status"]),
                "reference": (refund["metadata"] or {}).get("refund_id"),
            }
            for refund in self.ledger()["refunds"]
        ]

    # --- events and their deliveries

    def events(self, *types: str, about: str | None = None) -> list[dict[str, Any]]:
        """Events oldest first, of these types, about this object, charge or intent; with `delivered` and `tries`."""
        query: dict[str, Any] = {"type": types} if types else {}
        return self.call("GET", "/_local/events", **query | ({"about": _id(about)} if about else {}))

    def endpoint(self, **changes: Any) -> dict[str, Any] | None:
        """Set the webhook endpoint up as in the dashboard; gives it as GET /v1/webhook_endpoints does.

        url, enabled_events (a list), api_version, status (enabled or disabled), description, metadata. Events of
        other types, and those of while it is disabled, are recorded and never sent.
        """
        return self.call("PUT", "/_local/endpoint", changes)

    def foreign_endpoint(self, url: str, **settings: Any) -> dict[str, Any]:
        """Another program's webhook endpoint, which is listed beside the own one; settings as in endpoint()."""
        return self.call("POST", "/_local/foreign_endpoints", {"url": url} | settings)


def signed(payload: bytes, secret: str, timestamp: int | None = None) -> dict[str, str]:
    """Headers with which `payload` passes as Stripe's."""
    return {"Content-Type": "application/json", "Stripe-Signature": sign(payload, [secret], timestamp)}


def _paid(id: str) -> dict[str, str]:
    """Names a charge or an intent as the API's parameters do."""
    return {"charge": id} if id.startswith("ch_") else {"payment_intent": _id(id)}


def _id(intent: str) -> str:
    return intent.partition("_secret_")[0]
