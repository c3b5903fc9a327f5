"""Stripe's webhook signature (docs.stripe.com/webhooks#verify-manually)."""

import hashlib
import hmac
import time


def sign(payload: bytes, secrets: list[str], timestamp: int | None = None) -> str:
    """The Stripe-Signature header for `payload`: one v1 for each secret, as while a secret is being rolled."""
    t = int(time.time()) if timestamp is None else timestamp
    signed = b"%d.%s" % (t, payload)
    marks = (hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets)
    return ",".join([f"t={t}", *(f"v1={mark}" for mark in marks)])
