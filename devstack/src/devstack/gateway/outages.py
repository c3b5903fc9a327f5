"""Faults on command: what a call suffers instead of, before or after its being answered."""

import fnmatch
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Outage:
    """A fault for calls that match; `after`: the work is done, and only its answer is lost.

    kind: delay (answer `seconds` late), timeout (never answer), reset (TCP RST), error (`status`, `error` in its body).
    remember: the error is kept under the call's idempotency key, as some gateways keep a 500 of their own.
    """

    kind: str
    method: str = "*"
    path: str = "*"
    count: int | None = None
    when: str = "before"
    status: int = 500
    seconds: float = 30.0
    error: dict[str, Any] = field(default_factory=dict)
    remember: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("delay", "timeout", "reset", "error") or self.when not in ("before", "after"):
            raise ValueError("kind is one of delay, timeout, reset, error; when is before or after")

    def matches(self, method: str, path: str) -> bool:
        return self.count != 0 and fnmatch.fnmatch(method, self.method) and fnmatch.fnmatch(path, self.path)


def drop(request: web.Request, response: web.Response) -> web.Response:
    """Cut the connection with a TCP RST; the response goes nowhere."""
    if (transport := request.transport) is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return response
