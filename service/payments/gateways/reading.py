"""How values of a gateway's objects are read: what has another form than expected is nothing, or no event at all."""

import re
from datetime import UTC, datetime
from typing import Any

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def read_id(value: Any) -> str:
    """An id. Raises ``ValueError``."""
    if found := match(r"[A-Za-z0-9_-]{1,255}", value):
        return found
    raise ValueError("no id")


def match(pattern: str, value: Any) -> str | None:
    """The value where it is text of that pattern."""
    return value if isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) else None


def time_of(seconds: float) -> str:
    """A time in ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()
