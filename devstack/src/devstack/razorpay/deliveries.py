"""Razorpay's webhooks (razorpay.com/docs/webhooks/validate-test)."""

import hashlib
import hmac
import json
from typing import Any

from devstack import gateway


def sign(payload: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


class Deliveries(gateway.Deliveries):
    """Razorpay tries for 24 hours, and then sends nothing more at all until the webhook is enabled again."""

    patience = 24 * 3600.0

    def message(self, event: Any, timestamp: int | None) -> tuple[bytes, dict[str, str]]:
        """There is no timestamp: the signature is of the body alone."""
        payload = json.dumps(event.export(), separators=(",", ":")).encode()
        return payload, {
            "Content-Type": "application/json",
            "User-Agent": "Razorpay-Webhook/v1",
            "X-Razorpay-Signature": sign(payload, self.secrets[0]),
            "x-razorpay-event-id": event.id,
        }

    def gave_up(self, event: Any) -> None:
        self.forget_pending()
        self.set(enabled=False)
