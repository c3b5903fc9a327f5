"""The header `Idempotency-Key`, and how the same request is known again."""

import hashlib
import json
import re
from collections.abc import Mapping

from flask import request

from service.errors import BadInput


def read_idempotency_key(body: Mapping[str, object]) -> dict[str, str]:
    """``key``, where the client gave one, and ``request_hash`` of the body. Raises idempotency_key_invalid (400)."""
    said = {"request_hash": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()}
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return said
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise BadInput("Idempotency-Key must be 1 to 255 visible characters.", code="idempotency_key_invalid")
    return {**said, "key": key}
