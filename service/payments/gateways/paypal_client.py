"""How PayPal is spoken to: its tokens, its request ids, and what its refusals mean."""

import base64
import logging
import re
import time
from collections.abc import Mapping
from typing import Any

from service.payments.gateway import GatewayError
from service.payments.gateways.client import GatewayClient, Json, Reply

log = logging.getLogger(__name__)

EXPIRY_MARGIN = 60  # seconds before its end that a token is not used any more
IN_USE_PATIENCE, IN_USE_STEP = 15, 0.3  # seconds to wait while another process is at the same
WHOLE = {"Prefer": "return=representation"}
MISSING, IN_USE, DENIED = "resource_missing", "idempotency_key_in_use", "authentication_failed"
BUSY = ("PREVIOUS_REQUEST_IN_PROGRESS", "ORDER_COMPLETION_IN_PROGRESS")
# Refusals of a refund that staff can do something about (developer.paypal.com/api/rest/reference/payments/v2/errors).
DISPUTED = ("charge_disputed", "The payer disputes this payment; until that is decided it cannot be refunded.")
REFUNDED = ("charge_already_refunded", "This payment was refunded already.")
CONFLICTS = {
    "CAPTURE_FULLY_REFUNDED": REFUNDED,
    "REFUND_AMOUNT_EXCEEDED": REFUNDED,
    "TRANSACTION_DISPUTED": DISPUTED,
    "REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK": DISPUTED,
}


class PayPalClient:
    """Calls with the access token of this process, which is renewed a little before its end."""

    def __init__(self, base: str, client_id: str, secret: str) -> None:
        self.http = GatewayClient(base)
        self.basic = "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        self.token: str | None = None
        self.good_until = 0.0

    def make(self, path: str, key: str, body: Json) -> Json:
        """Make something once, and wait while another process does so."""
        until = time.monotonic() + IN_USE_PATIENCE
        while True:
            try:
                return self.call("POST", path, body, is_repeatable=True, headers=request_id(key))
            except GatewayError as error:
                if error.code != IN_USE or time.monotonic() > until:
                    raise
            time.sleep(IN_USE_STEP)

    def call(self, method: str, path: str, body: Json | None = None, **options: Any) -> Json:
        reply = self.ask(method, path, body, **options)
        if reply.is_refusal:
            raise translated(reply)
        return reply.body

    def ask(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Reply:
        """What PayPal says, be it a refusal; once more with a new token where it does not take the known one.

        A ``timeout`` (seconds to reach it, and again for its answer) holds for the token as well.
        """
        limits = {name: value for name, value in options.items() if name == "timeout"}
        for is_last in (False, True):
            token = self._token(**limits)
            sent = {**(headers or {}), "Authorization": f"Bearer {token}"}
            reply = self.http.call(method, path, body, headers=sent, **options)
            if reply.status != 401 or is_last:
                break
            if self.token == token:
                self.token = None
        return reply

    def _token(self, **options: Any) -> str:
        if self.token and time.monotonic() < self.good_until:
            return self.token
        headers, form = {"Authorization": self.basic}, {"grant_type": "client_credentials"}
        reply = self.http.call("POST", "/v1/oauth2/token", is_repeatable=True, headers=headers, data=form, **options)
        if reply.is_refusal:
            log.warning("paypal refused", extra={"cause": f"{reply.status} {reply.body.get('error')}"})
            raise GatewayError(code=DENIED, retry_after=60)
        self.good_until = time.monotonic() + float(reply.body["expires_in"]) - EXPIRY_MARGIN
        self.token = str(reply.body["access_token"])
        return self.token


def request_id(key: str) -> dict[str, str]:
    return {**WHOLE, "PayPal-Request-Id": key}


def issue_of(reply: Reply) -> str:
    """The code of a refusal, which says more than its name."""
    details = reply.body.get("details")
    first = details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}
    return re.sub(r"[^A-Z0-9_]", "", str(first.get("issue") or reply.body.get("name") or ""))[:64]


def translated(reply: Reply) -> GatewayError:
    """What is sure, what may have happened, and what may be said of it."""
    issue = issue_of(reply)
    log.warning("paypal refused", extra={"cause": f"{reply.status} {issue} {reply.body.get('debug_id')}"})
    if reply.status in (401, 403):
        return GatewayError(code=DENIED, retry_after=60)
    if reply.status == 404:
        return GatewayError(code=MISSING, retry_after=60, is_final=True, is_replayed=True)
    if reply.status == 409 or issue in BUSY:
        return GatewayError(code=IN_USE, status=503, retry_after=5)
    if issue in CONFLICTS:
        code, message = CONFLICTS[issue]
        return GatewayError(message, code=code, status=409, is_final=True, is_replayed=True)
    if "CURRENCY" in issue or "DECIMAL" in issue or issue in ("CANNOT_BE_ZERO_OR_NEGATIVE", "MAX_VALUE_EXCEEDED"):
        message = "The payment service refused this amount."
        return GatewayError(message, code="amount_refused", status=400, is_final=True, is_replayed=True)
    return GatewayError(code=issue.lower() or None, retry_after=60, is_final=True, is_replayed=True)
