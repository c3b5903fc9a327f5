"""Stripe behind the port: the only file that knows its SDK, its words and its errors."""

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import stripe

from service.config import Config
from service.errors import NotFound
from service.payments.bulkhead import AT_ONCE, Bulkhead
from service.payments.flights import Flights
from service.payments.gateway import EventRefused, GatewayError, Hosts, Payment, PaymentsNotConfigured, PaymentState
from service.payments.gateways.stripe_account import find_webhook_faults
from service.payments.gateways.stripe_events import (
    DECLINED,
    KINDS,
    StripeObject,
    payment_facts,
    read_event,
    refund_event,
)
from service.payments.shapes import CaptureTask, GatewayEvent, PaymentTask, RefundTask

log = logging.getLogger(__name__)

# Two tries of ten seconds stay under the thirty after which Heroku's router answers in our place (H12).
CONNECT_TIMEOUT, READ_TIMEOUT, RETRIES = 3, 10, 1  # seconds, seconds, times
IN_USE_PATIENCE, IN_USE_STEP = 15, 0.3  # seconds to wait while another process holds the same idempotency key
TOLERANCE = 300  # seconds a signature is good for, before and after; Stripe's own default
REASONS = {"duplicate", "fraudulent", "requested_by_customer"}  # docs.stripe.com/api/refunds/create, "reason"

MISSING, UNEXPECTED_STATE, IN_USE = "resource_missing", "payment_intent_unexpected_state", "idempotency_key_in_use"
# docs.stripe.com/payments/paymentintents/lifecycle; what is not here may be money on its way
STATES: dict[str, PaymentState] = {
    "requires_payment_method": "payable",
    "requires_confirmation": "unconfirmed",
    "requires_action": "unconfirmed",
    "succeeded": "paid",
    "canceled": "canceled",
}
# Refusals of a refund that staff can do something about (docs.stripe.com/error-codes).
CONFLICTS = {
    "charge_already_refunded": "This payment was refunded already.",
    "charge_disputed": "The payer disputes this payment; until that is decided it cannot be refunded.",
}


class StripeGateway:
    """A client with time-outs of its own: the SDK's default lets a request wait for minutes."""

    name, label = "stripe", "Stripe"
    lists_events = has_customers = True
    verifies_by_asking = False

    @staticmethod
    def is_configured(config: Config) -> bool:
        return bool(config.stripe_secret_key)

    @staticmethod
    def find_gaps(config: Config) -> list[str]:
        if config.stripe_webhook_secrets:
            return []
        return ["STRIPE_WEBHOOK_SECRET is missing: payments are noted late, by reconciliation"]

    @staticmethod
    def find_hosts(config: Config) -> Hosts:
        """https://docs.stripe.com/security/guide#content-security-policy"""
        scripts: tuple[str, ...] = ("https://js.stripe.com", "https://*.js.stripe.com")
        if config.stripe_api_base and not config.is_production:
            scripts += (config.stripe_api_base,)
        return {"script-src": scripts, "connect-src": ("https://api.stripe.com", *scripts), "frame-src": scripts}

    def __init__(self, config: Config) -> None:
        self.session = _session()
        self.client = stripe.StripeClient(
            config.stripe_secret_key or "",
            http_client=stripe.RequestsClient(timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), session=self.session),
            max_network_retries=RETRIES,
            base_addresses={"api": config.stripe_api_base} if config.stripe_api_base else None,
        )
        self.bulkhead = Bulkhead()
        self.flights = Flights()
        self.publishable_key = config.stripe_publishable_key
        self.secrets = config.stripe_webhook_secrets
        self.is_live = "_live_" in (config.stripe_secret_key or "")

    def create_payment(self, task: PaymentTask) -> Payment:
        key = f"{task['transaction_id']}:{task['attempt']}"
        return self.flights.share(key, lambda: self._create_payment(task))

    def _create_payment(self, task: PaymentTask) -> Payment:
        known = task["gateway_customer_id"]
        try:
            return self._create_intent(task, known)
        except GatewayError as error:
            if error.code != MISSING or not known:
                raise
            # Deleted in the dashboard, or made in the other mode (test or live).
            return self._create_intent(task, self._create_customer(task, instead_of=known))

    def _create_intent(self, task: PaymentTask, customer_id: str | None) -> Payment:
        params: dict[str, Any] = {
            "amount": task["amount"],
            "currency": task["currency"],
            # The site confirms without a return_url, which Stripe asks for where a way to pay leaves the page.
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "description": f"Booking {task['booking_id']}",
            "metadata": {"booking_id": str(task["booking_id"]), "transaction_id": task["transaction_id"]},
        }
        key = f"pi:{task['transaction_id']}:{task['attempt']}"
        if customer_id:
            params["customer"] = customer_id
            key += f":{customer_id}"
        return _payment(self._call_once(self.client.v1.payment_intents.create, key, params))

    def create_customer(self, task: PaymentTask) -> str:
        return self.flights.share(f"cus:{task['customer_id']}", lambda: self._create_customer(task))

    def _create_customer(self, task: PaymentTask, instead_of: str = "") -> str:
        params = {
            "name": task["customer_name"],
            "email": task["customer_email"],
            "metadata": {"customer_id": task["customer_id"]},
        }
        # A key stands for one request: who has another name by now is another one.
        said = hashlib.sha256(json.dumps(params).encode()).hexdigest()[:16]
        key = f"cus:{task['customer_id']}:{instead_of}:{said}"
        return str(self._call_once(self.client.v1.customers.create, key, params).id)

    def delete_customer(self, gateway_customer_id: str) -> None:
        try:
            self._call(self.client.v1.customers.delete, gateway_customer_id)
        except GatewayError as error:
            if error.code != MISSING:
                raise

    def retrieve_payment(self, payment_id: str, *, with_refunds: bool = False) -> Payment:
        key = f"{payment_id}:{with_refunds}"
        return self.flights.share(key, lambda: self._retrieve_payment(payment_id, with_refunds))

    def _retrieve_payment(self, payment_id: str, with_refunds: bool) -> Payment:
        try:
            intent = self._call(
                self.client.v1.payment_intents.retrieve, payment_id, params={"expand": ["latest_charge"]}
            ).to_dict()
        except GatewayError as error:
            if error.code != MISSING:
                raise
            return _unknown_payment(payment_id)
        refunds = self._refunds(payment_id) if with_refunds and intent["status"] == "succeeded" else []
        return _payment(intent, refunds)

    def check_proof(self, payment_id: str, proof: Mapping[str, str] | None) -> None:
        """Stripe hands the page nothing that it signed."""

    def capture_payment(self, task: CaptureTask) -> Payment:
        """Stripe takes the money by itself, so nothing is ever approved and waiting."""
        return self.retrieve_payment(task["payment_id"])

    def cancel_payment(self, payment_id: str) -> Payment:
        try:
            return _payment(self._call(self.client.v1.payment_intents.cancel, payment_id))
        except GatewayError as error:
            if error.code not in (UNEXPECTED_STATE, MISSING):
                raise
            return self.retrieve_payment(payment_id)

    def refund_payment(self, task: RefundTask) -> GatewayEvent:
        if task["is_resumed"] and (found := self._find_refund(task)):
            return found  # made before its answer was lost
        params: dict[str, Any] = {
            "payment_intent": task["payment_id"],
            "amount": task["amount"],
            "metadata": {"refund_id": task["refund_id"]},
        }
        if task["reason"] in REASONS:
            params["reason"] = task["reason"]
        key = f"re:{task['refund_id']}:{task['attempt']}"
        return refund_event(self._call_once(self.client.v1.refunds.create, key, params).to_dict())

    def _find_refund(self, task: RefundTask) -> GatewayEvent | None:
        try:
            made = self._refunds(task["payment_id"])
        except GatewayError as error:
            error.is_final = False  # nobody knows yet whether it was made
            raise
        for refund in made:
            if (refund.get("metadata") or {}).get("refund_id") == task["refund_id"]:
                return refund_event(refund)
        return None

    def verify_event(self, body: bytes, headers: Mapping[str, str]) -> str:
        if not self.secrets:
            raise PaymentsNotConfigured(retry_after=3600)
        try:
            payload = body.decode()
            header = headers.get("stripe-signature", "")
            if not header.isascii() or not any(_is_signed(payload, header, secret) for secret in self.secrets):
                raise EventRefused()
            signed_at = next(int(part[2:]) for part in header.split(",") if part.startswith("t="))
        except (UnicodeError, ValueError, StopIteration) as error:
            raise EventRefused() from error
        # The SDK refuses only what is too old; a time in the future would keep a signature good for long.
        if abs(time.time() - signed_at) > TOLERANCE:
            raise EventRefused("The signature is too old.")
        return payload

    def read_event(self, payload: str) -> GatewayEvent | None:
        return read_event(payload, is_live=self.is_live)

    def retrieve_event(self, event_id: str) -> str:
        try:
            return _text(self._call(self.client.v1.events.retrieve, event_id))
        except GatewayError as error:
            if error.code != MISSING:
                raise
            raise NotFound.of("Event") from error

    def list_events(self, since: datetime, *, is_undelivered: bool) -> Iterator[tuple[str, str]]:
        params: dict[str, Any] = {"types": list(KINDS), "created": {"gte": int(since.timestamp())}, "limit": 100}
        if is_undelivered:
            params["delivery_success"] = False
        while True:
            page = self._call(self.client.v1.events.list, params=params)
            for event in page.data:
                yield event.id, _text(event)
            if not page.has_more:
                return
            params["starting_after"] = page.data[-1].id

    def find_faults(self, amount: int, currency: str) -> list[str]:
        try:
            params = {"amount": amount, "currency": currency, "description": "Test of the connection, canceled at once"}
            intent = self._call(self.client.v1.payment_intents.create, params=params)
            self.retrieve_payment(intent.id)
            if self.cancel_payment(intent.id).state != "canceled":
                return [f"The test payment {intent.id} could not be canceled: please look at it in the dashboard."]
            endpoints = self._call(self.client.v1.webhook_endpoints.list, params={"limit": 100})
        except GatewayError as error:
            return [f"Stripe refused the test payment: {error.code}. The log has its words."]
        return find_webhook_faults([endpoint.to_dict() for endpoint in endpoints.data])

    def _refunds(self, payment_id: str) -> list[StripeObject]:
        page = self._call(self.client.v1.refunds.list, params={"payment_intent": payment_id, "limit": 100})
        return [refund.to_dict() for refund in page.data]

    def _call_once(self, method: Callable[..., Any], key: str, params: dict[str, Any]) -> Any:
        """Ask Stripe to make something under an idempotency key, and wait while another process does so."""
        until = time.monotonic() + IN_USE_PATIENCE
        while True:
            try:
                return self._call(method, params=params, options={"idempotency_key": key})
            except GatewayError as error:
                if error.code != IN_USE or time.monotonic() > until:
                    raise
            time.sleep(IN_USE_STEP)

    def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Ask Stripe. Raises ``GatewayError``."""
        with self.bulkhead.enter() as is_through:
            if not is_through:
                raise GatewayError(code="payment_gateway_busy", status=503, retry_after=5)
            try:
                return method(*args, **kwargs)
            except stripe.StripeError as error:
                raise _translated(error) from error


def _session() -> requests.Session:
    """Connections that all threads share: the SDK's own are one per thread. Without cookies there is no other state."""
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=AT_ONCE))
    session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=AT_ONCE))
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def _payment(intent: Any, refunds: list[StripeObject] | None = None) -> Payment:
    intent = intent if isinstance(intent, dict) else intent.to_dict()
    return Payment(
        id=intent["id"],
        checkout={"clientSecret": intent["client_secret"]},
        status=intent["status"],
        state=STATES.get(intent["status"], "under_way"),
        amount=intent["amount"],
        currency=intent["currency"],
        customer_id=intent.get("customer"),
        facts=payment_facts(intent, refunds or [], datetime.now(UTC)),
    )


def _unknown_payment(payment_id: str) -> Payment:
    """A payment that Stripe does not know with our key, as after a change from test to live: as good as canceled."""
    intent = {"object": "payment_intent", "id": payment_id, "status": "canceled", "amount": 0, "currency": "xxx"}
    return _payment({**intent, "client_secret": "", "metadata": {}})  # nosec B105 # none


def _is_signed(payload: str, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(payload, header, secret))
    except stripe.SignatureVerificationError:
        return False


def _text(event: Any) -> str:
    return json.dumps(event.to_dict())


def _translated(error: stripe.StripeError) -> GatewayError:
    """docs.stripe.com/error-handling: what is sure, what may have happened, and what may be said of it."""
    status = error.http_status or 0
    # The SDK sets no code on errors that it has no class for, as on a 409.
    code = str(error.code or getattr(error.error, "code", None) or "")
    log.warning("stripe refused", extra={"cause": f"{type(error).__name__} {status} {code} {error.user_message}"})
    if isinstance(error, stripe.CardError):
        said = re.sub(r"[^a-z_]", "", str(getattr(error.error, "decline_code", None) or code)) or "card_declined"
        return GatewayError(DECLINED, code=said, status=402, is_final=True, is_replayed=True)
    if isinstance(error, stripe.RateLimitError):
        return GatewayError(code="payment_gateway_busy", status=503, retry_after=5)
    if code == IN_USE:
        return GatewayError(code=IN_USE, status=503, retry_after=5)
    if isinstance(error, stripe.IdempotencyError):
        return GatewayError(retry_after=5, is_replayed=True)
    if code in CONFLICTS:
        return GatewayError(CONFLICTS[code], code=code, status=409, is_final=True)
    if isinstance(error, stripe.InvalidRequestError) and error.param in ("amount", "currency"):
        message = "The payment service refused this amount."
        return GatewayError(message, code="amount_refused", status=400, is_final=True, is_replayed=True)
    if isinstance(error, stripe.InvalidRequestError):
        return GatewayError(code=code or None, retry_after=60, is_final=status != 409, is_replayed=True)
    if isinstance(error, (stripe.AuthenticationError, stripe.PermissionError)):
        return GatewayError(code=code or None, retry_after=60)
    if status >= 500:
        # Only Stripe itself says so; what stands before it may answer while the call still runs.
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        return GatewayError(retry_after=5, is_replayed=headers.get("idempotent-replayed") == "true")
    return GatewayError(code="payment_gateway_unreachable", status=503, retry_after=5)


ADAPTER = StripeGateway
