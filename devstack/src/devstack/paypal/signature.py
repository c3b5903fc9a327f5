"""The signature of an event: of its transmission, the webhook's id and the CRC-32 of the body's bytes.

PayPal signs by an RSA key; to whom asks POST /v1/notifications/verify-webhook-signature the signature is but a text,
and here it is an HMAC.
"""

import base64
import hashlib
import hmac
import json
import re
import uuid
import zlib
from datetime import UTC, datetime

ALGORITHM = "SHA256withRSA"
BLANK = re.compile(r"[ \t\r\n]*")


def sign(payload: bytes, key: str, webhook_id: str, cert_url: str, timestamp: float | None = None) -> dict[str, str]:
    """The headers that a transmission of this body carries."""
    at = datetime.now(UTC) if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
    transmission_id, time = str(uuid.uuid1()), at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "PAYPAL-TRANSMISSION-ID": transmission_id,
        "PAYPAL-TRANSMISSION-TIME": time,
        "PAYPAL-TRANSMISSION-SIG": mark(payload, key, webhook_id, transmission_id, time),
        "PAYPAL-CERT-URL": cert_url,
        "PAYPAL-AUTH-ALGO": ALGORITHM,
    }


def mark(payload: bytes, key: str, webhook_id: str, transmission_id: str, time: str) -> str:
    signed = f"{transmission_id}|{time}|{webhook_id}|{zlib.crc32(payload)}"
    return base64.b64encode(hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()).decode()


def raw_field(text: str, name: str) -> str:
    """The text of one field of a JSON object as it stands there: what was re-serialised has another one."""
    decoder = json.JSONDecoder()
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # over the colon
        _, end = decoder.raw_decode(text, at)
        if key == name:
            return text[at:end]
        at = _skip(text, end)
        at = _skip(text, at + 1) if text[at] == "," else at
    raise KeyError(name)


def _skip(text: str, at: int) -> int:
    found = BLANK.match(text, at)
    return found.end() if found else at
