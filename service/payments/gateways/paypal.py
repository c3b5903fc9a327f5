"""PayPal behind the port (developer.paypal.com): with the two files beside this one all that knows its words.

The payer approves an order on PayPal's page and comes back to the site's; the money moves by our capture.
"""

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from urllib.parse import quote, urlencode, urlsplit

from service.config import Config
from service.errors import NotFound
from service.payments.flights import Flights
from service.payments.gateway import EventRefused, GatewayError, Hosts, Payment, PaymentsNotConfigured
from service.payments.gateways.client import Reply
from service.payments.gateways.paypal_client import (
    BUSY,
    IN_USE_PATIENCE,
    IN_USE_STEP,
    MISSING,
    PayPalClient,
    issue_of,
    request_id,
    translated,
)
from service.payments.gateways.paypal_events import (
    KINDS,
    AmountRefused,
    PayPalObject,
    canceled_fact,
    failed_fact,
    find_capture,
    from_money,
    payment_facts,
    read_event,
    refund_event,
    refunds_of,
    state_of,
    to_money,
)
from service.payments.shapes import CaptureTask, GatewayEvent, PaymentTask, RefundTask

log = logging.getLogger(__name__)

API, WEBHOOK = "https://api-m.paypal.com", "/api/payments/process-webhook/paypal"
ORDERS, EVENTS = "/v2/checkout/orders", "/v1/notifications/webhooks-events"
VERIFY_TIMEOUT = 1.5  # seconds to reach PayPal, and again for its answer: PayPal waits for ours meanwhile
KEPT_FOR, PAGE = timedelta(days=30), 100  # events: how long PayPal knows them, how many it is asked for at once
# Why a capture is refused of an order that stands otherwise than it did a moment ago.
NOT_NOW = ("ORDER_ALREADY_CAPTURED", "ORDER_NOT_APPROVED", "INVALID_RESOURCE_ID")
# By header, its field in the request to verify and the most characters that PayPal's schema lets it have.
TRANSMISSION = {
    "paypal-auth-algo": ("auth_algo", 100),
    "paypal-cert-url": ("cert_url", 500),
    "paypal-transmission-id": ("transmission_id", 50),
    "paypal-transmission-sig": ("transmission_sig", 500),
    "paypal-transmission-time": ("transmission_time", 100),
}


class PayPalGateway:
    """A payment is an order with one purchase unit, whose ``custom_id`` is our transaction."""

    name, label = "paypal", "PayPal"
    lists_events = verifies_by_asking = True
    has_customers = False

    @staticmethod
    def is_configured(config: Config) -> bool:
        return bool(config.paypal_client_id)

    @staticmethod
    def find_gaps(config: Config) -> list[str]:
        if config.paypal_webhook_id:
            return []
        return ["PAYPAL_WEBHOOK_ID is missing: payments are noted late, by reconciliation"]

    @staticmethod
    def find_hosts(config: Config) -> Hosts:
        return {}  # the payer goes to PayPal's page; nothing of it is loaded here

    def __init__(self, config: Config) -> None:
        self.publishable_key, self.webhook_id = config.paypal_client_id, config.paypal_webhook_id
        self.site, self.brand = config.frontend_url, config.smtp_from_name
        secret = config.paypal_client_secret or ""
        self.client = PayPalClient(config.paypal_api_base or API, self.publishable_key or "", secret)
        self.session = self.client.http.http  # for who ends its connections
        self.flights = Flights()

    def create_payment(self, task: PaymentTask) -> Payment:
        key = f"order:{task['transaction_id']}:{task['attempt']}"
        return self.flights.share(key, lambda: self._create_order(task, key))

    def _create_order(self, task: PaymentTask, key: str) -> Payment:
        page = f"{self.site}/payment/{quote(str(task['booking_id']), safe='')}"
        unit = {
            "custom_id": task["transaction_id"],
            "description": f"Booking {task['booking_id']}",
            "amount": _money(task["amount"], task["currency"]),
        }
        context = {
            "brand_name": self.brand[:127],
            "shipping_preference": "NO_SHIPPING",
            "user_action": "PAY_NOW",
            "return_url": f"{page}?transaction={task['transaction_id']}",
            "cancel_url": f"{page}?canceled=yes",
        }
        body = {
            "intent": "CAPTURE",
            "purchase_units": [unit],
            "payment_source": {"paypal": {"experience_context": context}},
        }
        return _payment(self.client.make(ORDERS, key, body))

    def retrieve_payment(self, payment_id: str, *, with_refunds: bool = False) -> Payment:
        key = f"{payment_id}:{with_refunds}"
        return self.flights.share(key, lambda: self._retrieve_payment(payment_id, with_refunds))

    def _retrieve_payment(self, payment_id: str, with_refunds: bool) -> Payment:
        try:
            return _payment(self.client.call("GET", f"{ORDERS}/{payment_id}"), with_refunds=with_refunds)
        except GatewayError as error:
            if error.code != MISSING:
                raise
            # Expired, or of other credentials, as after a change from sandbox to live: nobody can pay by it any more.
            return _unknown_payment(payment_id)

    def check_proof(self, payment_id: str, proof: Mapping[str, str] | None) -> None:
        """The page is handed nothing that is signed; the capture itself asks PayPal whether the payer approved."""

    def capture_payment(self, task: CaptureTask) -> Payment:
        path, until = f"{ORDERS}/{task['payment_id']}", time.monotonic() + IN_USE_PATIENCE
        while True:
            payment = self._retrieve_payment(task["payment_id"], with_refunds=False)
            if payment.state != "approved":
                return payment
            # A declined request is answered the same again: each approval has a request of its own.
            approval = re.sub(r"\D", "", payment.facts[0]["occurred_at"])
            key = f"capture:{task['transaction_id']}:{task['attempt']}:{approval}"
            reply = self.client.ask("POST", f"{path}/capture", {}, is_repeatable=True, headers=request_id(key))
            if not reply.is_refusal:
                return _payment(reply.body)
            issue = issue_of(reply)
            if issue not in (*BUSY, *NOT_NOW):
                return self._decline(task, reply, issue)
            if time.monotonic() > until:
                raise translated(reply)
            time.sleep(IN_USE_STEP)

    def _decline(self, task: CaptureTask, reply: Reply, issue: str) -> Payment:
        """The payment as it is after its instrument was declined: to be approved again. Nothing was taken."""
        if reply.status != 422:
            raise translated(reply)
        order = self.client.call("GET", f"{ORDERS}/{task['payment_id']}")
        payment, code = _payment(order), issue.lower()
        log.warning("paypal declined", extra={"payment": payment.id, "cause": code})
        if payment.state not in ("payable", "approved"):
            return payment
        fact = failed_fact(order, code, datetime.now(UTC))
        links = [link["href"] for link in reply.body.get("links") or [] if link.get("rel") == "redirect"]
        checkout = {"approveUrl": links[0]} if links else payment.checkout
        amount, currency = payment.amount, payment.currency
        return Payment(payment.id, payment.status, "payable", amount, currency, checkout, facts=[fact])

    def cancel_payment(self, payment_id: str) -> Payment:
        """PayPal cancels no orders. What was approved lapses within hours, for we do not take it."""
        try:
            order = self.client.call("GET", f"{ORDERS}/{payment_id}")
        except GatewayError as error:
            if error.code != MISSING:
                raise
            return _unknown_payment(payment_id)
        payment = _payment(order)
        if payment.state in ("paid", "under_way", "canceled"):
            return payment
        fact = canceled_fact(order, datetime.now(UTC))
        return Payment(payment.id, payment.status, "canceled", payment.amount, payment.currency, {}, facts=[fact])

    def refund_payment(self, task: RefundTask) -> GatewayEvent:
        try:
            if task["is_resumed"] or not task["charge_id"]:
                order = self.client.call("GET", f"{ORDERS}/{task['payment_id']}")
                capture = find_capture(order) or _nothing_taken(task)
                for refund in refunds_of(order):
                    if refund.get("custom_id") == task["refund_id"]:
                        return refund_event(refund, capture, datetime.now(UTC))  # made before its answer was lost
                charge_id = str(capture["id"])
            else:
                charge_id = task["charge_id"]
        except GatewayError as error:
            error.is_final = error.is_final and not task["is_resumed"]  # nobody knows yet whether it was made
            raise
        body = {"amount": _money(task["amount"], task["currency"]), "custom_id": task["refund_id"]}
        key = f"refund:{task['refund_id']}:{task['attempt']}"
        made = self.client.make(f"/v2/payments/captures/{charge_id}/refund", key, body)
        return {**refund_event(made, {"id": charge_id}, datetime.now(UTC)), "payment_id": task["payment_id"]}

    def verify_event(self, body: bytes, headers: Mapping[str, str]) -> str:
        """PayPal says whether it sent a text; it signed the bytes, so that they go to it as they came."""
        if not self.webhook_id:
            raise PaymentsNotConfigured(retry_after=3600)
        text, fields = _read_text(body), {"webhook_id": self.webhook_id}
        for header, (name, most) in TRANSMISSION.items():
            value = headers.get(header, "")
            if not 0 < len(value) <= most:
                raise EventRefused
            fields[name] = value
        # Safe to put in as text: it is one JSON value, whole.
        content = f'{json.dumps(fields)[:-1]}, "webhook_event": {text}}}'.encode()
        path, form = "/v1/notifications/verify-webhook-signature", {"Content-Type": "application/json"}
        reply = self.client.ask("POST", path, content=content, headers=form, timeout=VERIFY_TIMEOUT)
        if reply.status in (400, 422):
            raise EventRefused
        if reply.is_refusal:
            raise translated(reply)
        if reply.body.get("verification_status") != "SUCCESS":
            raise EventRefused
        return text

    def read_event(self, payload: str) -> GatewayEvent | None:
        return read_event(payload)

    def create_customer(self, task: PaymentTask) -> str:
        raise NotImplementedError  # has_customers

    def delete_customer(self, gateway_customer_id: str) -> None:
        raise NotImplementedError

    def retrieve_event(self, event_id: str) -> str:
        try:
            return _text(self.client.call("GET", f"{EVENTS}/{quote(event_id, safe='')}"))
        except GatewayError as error:
            if error.code != MISSING:
                raise
            raise NotFound.of("Event") from error

    def list_events(self, since: datetime, *, is_undelivered: bool) -> Iterator[tuple[str, str]]:
        now = datetime.now(UTC)
        span = {"start_time": _rfc3339(max(since, now - KEPT_FOR)), "end_time": _rfc3339(now + timedelta(minutes=1))}
        path: str | None = f"{EVENTS}?{urlencode({'page_size': PAGE, **span})}"
        while path:
            page = self.client.call("GET", path)
            for event in page.get("events") or []:
                if event["event_type"] in KINDS and not (is_undelivered and event.get("status") == "SUCCESS"):
                    yield event["id"], _text(event)
            more = [urlsplit(link["href"]) for link in page.get("links") or [] if link["rel"] == "next"]
            path = f"{more[0].path}?{more[0].query}" if more else None

    def find_faults(self, amount: int, currency: str) -> list[str]:
        """An order that nobody approves costs nothing and ends by itself."""
        try:
            body = {"intent": "CAPTURE", "purchase_units": [{"amount": _money(amount, currency)}]}
            self.retrieve_payment(self.client.call("POST", ORDERS, body)["id"])
            webhooks = self.client.call("GET", "/v1/notifications/webhooks").get("webhooks") or []
        except GatewayError as error:
            return [f"PayPal refused the test payment: {error.code}. The log has its words."]
        return _find_webhook_faults(webhooks, self.webhook_id)


def _payment(order: PayPalObject, *, with_refunds: bool = False) -> Payment:
    amount, currency = from_money(order["purchase_units"][0]["amount"])
    # "approve" where the order was made without a payment_source.
    links = [link["href"] for link in order.get("links") or [] if link["rel"] in ("payer-action", "approve")]
    return Payment(
        id=order["id"],
        status=order["status"],
        state=state_of(order),
        amount=amount,
        currency=currency,
        checkout={"approveUrl": links[0]} if links else {},
        facts=payment_facts(order, datetime.now(UTC), with_refunds=with_refunds),
    )


def _unknown_payment(payment_id: str) -> Payment:
    unit = {"amount": {"currency_code": "XXX", "value": "0"}}
    return _payment({"id": payment_id, "status": "VOIDED", "purchase_units": [unit]})


def _nothing_taken(task: RefundTask) -> NoReturn:
    raise GatewayError(code="payment_not_taken", is_final=True)


def _money(amount: int, currency: str) -> PayPalObject:
    try:
        return to_money(amount, currency)
    except AmountRefused as error:
        message = "The payment service refused this amount."
        raise GatewayError(message, code="amount_refused", status=400, is_final=True) from error


def _read_text(body: bytes) -> str:
    """The text of what may be an event. Raises ``EventRefused``."""
    try:
        text = body.decode()
        event = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise EventRefused from error
    if not isinstance(event, dict) or not all(isinstance(event.get(name), str) for name in ("id", "event_type")):
        raise EventRefused("This is not an event.")
    return text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _text(event: PayPalObject) -> str:
    """As it was sent: without how its transmissions went."""
    return json.dumps({name: value for name, value in event.items() if name not in ("status", "transmissions")})


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _find_webhook_faults(webhooks: list[PayPalObject], webhook_id: str | None) -> list[str]:
    """A sentence for each thing that keeps events from arriving."""
    for webhook in webhooks:
        if webhook["id"] != webhook_id:
            continue
        faults, names = [], {each["name"] for each in webhook["event_types"]}
        if not webhook["url"].rstrip("/").endswith(WEBHOOK):
            faults.append(f"The webhook {webhook_id} is sent to {webhook['url']}, which does not end with {WEBHOOK}.")
        # Of the two names of a refused capture the dashboard may have but one.
        missing = set() if "*" in names else KINDS.keys() - names - {"PAYMENT.CAPTURE.DECLINED"}
        if missing:
            faults.append(f"The webhook {webhook_id} is not told of: {', '.join(sorted(missing))}.")
        return faults
    return [f"The account has no webhook {webhook_id}: PAYPAL_WEBHOOK_ID is the id of one that ends with {WEBHOOK}."]


ADAPTER = PayPalGateway
