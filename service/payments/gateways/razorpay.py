"""Razorpay behind the port (razorpay.com/docs/api): the only file that knows its routes, its words and its errors."""

import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from service.config import Config
from service.errors import NotFound
from service.payments.flights import Flights
from service.payments.gateway import (
    EventRefused,
    GatewayError,
    Hosts,
    Payment,
    PaymentsNotConfigured,
    ProofRefused,
)
from service.payments.gateways.client import GatewayClient, Reply
from service.payments.gateways.razorpay_events import (
    Entity,
    canceled_fact,
    find_taken,
    payment_facts,
    read_event,
    refund_event,
    state_of,
)
from service.payments.shapes import CaptureTask, GatewayEvent, PaymentTask, RefundTask

log = logging.getLogger(__name__)

API, PAGES = "https://api.razorpay.com", "https://*.razorpay.com"
CHECKOUT_JS = "https://checkout.razorpay.com/v1/checkout.js"
IN_USE_PATIENCE, IN_USE_STEP = 15, 0.3  # seconds to wait while another process holds the same idempotency key
MISSING, IN_USE = "missing", "idempotency_key_in_use"
REPEATED, UNKNOWN_FIELD = "receipt_repeated", "extra_field_sent"
PAGE, PAGES_AT_MOST = 100, 10  # of disputes, which cannot be asked for by their payment
# What its sentences say, for its codes do not (razorpay.com/docs/errors): pattern, our code and status, what is said.
REFUSALS = (
    (r"does not exist|is not a valid id", MISSING, 502, None),
    (r"receipt should be unique", REPEATED, 502, None),
    (r"already been captured|already done for this order", "payment_already_captured", 409, None),
    (r"fully refunded", "charge_already_refunded", 409, "This payment was refunded already."),
    (
        r"disput",
        "charge_disputed",
        409,
        "The payer disputes this payment; until that is decided it cannot be refunded.",
    ),
)


class RazorpayGateway:
    """A payment is an order; its amounts are minor units as ours are, in all currencies that it takes."""

    name, label = "razorpay", "Razorpay"
    lists_events = has_customers = verifies_by_asking = False

    @staticmethod
    def is_configured(config: Config) -> bool:
        return bool(config.razorpay_key_id)

    @staticmethod
    def find_gaps(config: Config) -> list[str]:
        if config.razorpay_webhook_secrets:
            return []
        return ["RAZORPAY_WEBHOOK_SECRET is missing: payments are noted late, by reconciliation"]

    @staticmethod
    def find_hosts(config: Config) -> Hosts:
        hosts = (PAGES, config.razorpay_api_base) if config.razorpay_api_base and not config.is_production else (PAGES,)
        return {"script-src": hosts, "connect-src": hosts, "frame-src": hosts}

    def __init__(self, config: Config) -> None:
        self.publishable_key, self.secret = config.razorpay_key_id, config.razorpay_key_secret or ""
        self.client = GatewayClient(config.razorpay_api_base or API, (self.publishable_key or "", self.secret))
        self.session = self.client.http
        self.flights = Flights()
        self.webhook_secrets = config.razorpay_webhook_secrets
        self.business = config.smtp_from_name
        base = config.razorpay_api_base
        self.script = f"{base}/v1/checkout.js" if base and not config.is_production else CHECKOUT_JS

    def create_payment(self, task: PaymentTask) -> Payment:
        receipt = f"{task['transaction_id']}:{task['attempt']}"
        order = self.flights.share(receipt, lambda: self._create_order(task, receipt))
        return self._payment(order, [], task=task)

    def _create_order(self, task: PaymentTask, receipt: str) -> Entity:
        """The order of that receipt, made once: asked for again, Razorpay answers it or refuses it as repeated."""
        params: dict[str, Any] = {
            "amount": task["amount"],
            "currency": task["currency"].upper(),
            "receipt": receipt,
            "payment_capture": True,
            "notes": {"booking_id": str(task["booking_id"]), "transaction_id": task["transaction_id"]},
        }
        try:
            return self._call("POST", "/v1/orders", {**params, "unique_receipt": True}, is_repeatable=True)
        except GatewayError as error:
            if error.code not in (REPEATED, UNKNOWN_FIELD):
                raise
        found: list[Entity] = self._call("GET", "/v1/orders", params={"receipt": receipt})["items"]
        same = [each for each in found if (each["amount"], each["currency"]) == (params["amount"], params["currency"])]
        return same[-1] if same else self._call("POST", "/v1/orders", params)

    def retrieve_payment(self, payment_id: str, *, with_refunds: bool = False) -> Payment:
        key = f"{payment_id}:{with_refunds}"
        return self.flights.share(key, lambda: self._retrieve_payment(payment_id, with_refunds))

    def _retrieve_payment(self, payment_id: str, with_refunds: bool) -> Payment:
        try:
            order = self._call("GET", f"/v1/orders/{payment_id}")
        except GatewayError as error:
            if error.code != MISSING:
                raise
            # Not known with our key, as after a change from test to live: as good as canceled.
            order = {"id": payment_id, "status": "canceled", "amount": 0, "currency": "XXX"}
            return self._canceled(order)
        payments = self._attempts(order["id"])
        taken = find_taken(payments)
        if not with_refunds or not taken:
            return self._payment(order, payments)
        refunds = self._refunds(taken["id"])
        return self._payment(order, payments, refunds, self._disputes(taken))

    def check_proof(self, payment_id: str, proof: Mapping[str, str] | None) -> None:
        if proof is None:
            return
        paid, marked = proof.get("razorpay_payment_id"), proof.get("razorpay_signature")
        if not isinstance(paid, str) or not isinstance(marked, str):
            raise ProofRefused
        if proof.get("razorpay_order_id", payment_id) != payment_id:
            raise ProofRefused
        if not _is_signed(f"{payment_id}|{paid}".encode(), marked, self.secret):
            raise ProofRefused

    def capture_payment(self, task: CaptureTask) -> Payment:
        payment = self.retrieve_payment(task["payment_id"])
        if payment.state != "approved":
            return payment
        agreed = next(fact["charge_id"] for fact in payment.facts if fact["kind"] == "payment.approved")
        try:
            body = {"amount": payment.amount, "currency": payment.currency.upper()}
            self._call("POST", f"/v1/payments/{agreed}/capture", body, is_repeatable=True)
        except GatewayError as error:
            if not error.is_final:
                raise
            log.warning("razorpay did not capture", extra={"payment": agreed, "cause": error.code})
        return self.retrieve_payment(task["payment_id"])

    def cancel_payment(self, payment_id: str) -> Payment:
        """Razorpay cancels no orders. What the bank has agreed to goes back by itself, for we do not take it."""
        payment = self.retrieve_payment(payment_id)
        if payment.state in ("paid", "under_way", "canceled"):
            return payment
        return self._canceled({"id": payment.id, "amount": payment.amount, "currency": payment.currency})

    def refund_payment(self, task: RefundTask) -> GatewayEvent:
        taken = self._charge(task)
        if task["is_resumed"] and (found := self._find_refund(task, taken)):
            return found  # made before its answer was lost
        body = {"amount": task["amount"], "speed": "normal", "notes": {"refund_id": task["refund_id"]}}
        headers = {"X-Refund-Idempotency": f"{task['refund_id']}-{task['attempt']}"}
        until = time.monotonic() + IN_USE_PATIENCE
        while True:
            try:
                path = f"/v1/payments/{taken['id']}/refund"
                return refund_event(self._call("POST", path, body, is_repeatable=True, headers=headers), taken)
            except GatewayError as error:
                if error.code != IN_USE or time.monotonic() > until:
                    raise
            time.sleep(IN_USE_STEP)

    def _charge(self, task: RefundTask) -> Entity:
        """The attempt whose money was taken, as far as a refund of it has to know it."""
        if task["charge_id"]:
            known = {"id": task["charge_id"], "order_id": task["payment_id"], "currency": task["currency"]}
            return {**known, "captured": True}
        try:
            taken = find_taken(self._attempts(task["payment_id"]))
        except GatewayError as error:
            error.is_final = not task["is_resumed"] and error.is_final
            raise
        if taken is None:
            raise GatewayError(is_final=not task["is_resumed"])
        return taken

    def _find_refund(self, task: RefundTask, taken: Entity) -> GatewayEvent | None:
        try:
            made = self._refunds(taken["id"])
        except GatewayError as error:
            error.is_final = False  # nobody knows yet whether it was made
            raise
        for refund in made:
            if isinstance(refund["notes"], dict) and refund["notes"].get("refund_id") == task["refund_id"]:
                return refund_event(refund, taken)
        return None

    def verify_event(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Its id is a header, which is not signed: who changes it sends the same news again, and nothing is changed."""
        if not self.webhook_secrets:
            raise PaymentsNotConfigured(retry_after=3600)
        marked = headers.get("x-razorpay-signature", "")
        if not any(_is_signed(body, marked, secret) for secret in self.webhook_secrets):
            raise EventRefused
        try:
            event = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise EventRefused from error
        if not isinstance(event, dict):
            raise EventRefused
        said = headers.get("x-razorpay-event-id", "")
        known = re.fullmatch(r"[A-Za-z0-9_]{1,64}", said, re.ASCII)
        return json.dumps({**event, "id": said if known else hashlib.sha256(body).hexdigest()})

    def read_event(self, payload: str) -> GatewayEvent | None:
        return read_event(payload)

    def create_customer(self, task: PaymentTask) -> str:
        raise NotImplementedError  # has_customers

    def delete_customer(self, gateway_customer_id: str) -> None:
        raise NotImplementedError

    def retrieve_event(self, event_id: str) -> str:
        raise NotFound.of("Event")

    def list_events(self, since: datetime, *, is_undelivered: bool) -> Iterator[tuple[str, str]]:
        return iter(())

    def find_faults(self, amount: int, currency: str) -> list[str]:
        """An order that nobody pays costs nothing and needs no end. The webhooks are seen in the dashboard alone."""
        try:
            made = self._call("POST", "/v1/orders", {"amount": amount, "currency": currency.upper()})
            self.retrieve_payment(made["id"])
        except GatewayError as error:
            return [f"Razorpay refused the test payment: {error.code}. The log has its words."]
        return []

    def _attempts(self, order_id: str) -> list[Entity]:
        return list(self._call("GET", f"/v1/orders/{order_id}/payments")["items"])

    def _refunds(self, charge_id: str) -> list[Entity]:
        return list(self._call("GET", f"/v1/payments/{charge_id}/refunds", params={"count": PAGE})["items"])

    def _disputes(self, taken: Entity) -> list[Entity]:
        found: list[Entity] = []
        for page in range(PAGES_AT_MOST):
            params = {"from": taken["created_at"], "count": PAGE, "skip": page * PAGE}
            listed = self._call("GET", "/v1/disputes", params=params)["items"]
            found += [each for each in listed if each["payment_id"] == taken["id"]]
            if len(listed) < PAGE:
                return found
        log.warning("not all disputes were looked at", extra={"payment": taken["id"]})
        return found

    def _payment(
        self,
        order: Entity,
        payments: list[Entity],
        refunds: list[Entity] | None = None,
        disputes: list[Entity] | None = None,
        task: PaymentTask | None = None,
    ) -> Payment:
        now = datetime.now(UTC)
        options: dict[str, Any] = {
            "key": self.publishable_key,
            "order_id": order["id"],
            "amount": order["amount"],
            "currency": order["currency"],
            "name": self.business,
            "script": self.script,
        }
        if task:
            prefill = {"name": task["customer_name"], "email": task["customer_email"]}
            options["prefill"] = {name: value for name, value in prefill.items() if value}
        return Payment(
            id=order["id"],
            status=order["status"],
            state=state_of(payments, now),
            amount=order["amount"],
            currency=order["currency"].lower(),
            checkout=options,
            facts=payment_facts(order, payments, refunds or [], disputes or [], now),
        )

    def _canceled(self, order: Entity) -> Payment:
        amount, currency = order["amount"], order["currency"].lower()
        fact = canceled_fact(order, datetime.now(UTC))
        return Payment(order["id"], "canceled", "canceled", amount, currency, checkout={}, facts=[fact])

    def _call(self, method: str, path: str, body: Entity | None = None, **options: Any) -> Entity:
        reply = self.client.call(method, path, body, **options)
        if reply.is_refusal:
            raise _translated(reply)
        return reply.body


def _is_signed(message: bytes, marked: str, secret: str) -> bool:
    mark = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    return hmac.compare_digest(mark.encode(), marked.encode())


def _translated(reply: Reply) -> GatewayError:
    """What is sure, what may have happened, and what may be said of it."""
    told = reply.body.get("error")
    error: Entity = told if isinstance(told, dict) else {}
    said, reason, field = (str(error.get(name) or "") for name in ("description", "reason", "field"))
    log.warning("razorpay refused", extra={"cause": f"{reply.status} {error.get('code')} {reason} {said}"[:500]})
    if reply.status in (401, 403):
        return GatewayError(retry_after=60)
    if reply.status == 409:
        return GatewayError(code=IN_USE, status=503, retry_after=5)
    for pattern, code, status, message in REFUSALS:
        if re.search(pattern, said, re.IGNORECASE):
            return GatewayError(message, code=code, status=status, is_final=True)
    if field in ("amount", "currency") or reason == "amount_less_than_minimum_amount":
        message = "The payment service refused this amount."
        return GatewayError(message, code="amount_refused", status=400, is_final=True, is_replayed=True)
    code = re.sub(r"[^a-z_]", "", reason)[:64]
    return GatewayError(code=code or None, retry_after=60, is_final=True, is_replayed=True)


ADAPTER = RazorpayGateway
