"""Clients as servers fear them: sockets that are held."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.server.service import Service
from tools.stack import HOST, Stack

HEAD = "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = "GET {path} HTTP/1.1\r\nHost: x\r\n"
LONG_ANSWER = "/api/docs/assets/swagger-ui-bundle.js"  # more than a megabyte
# What each sends before it waits.
SILENT = b""
HALF_HEAD = GET.format(path="/api/settings").encode() + b"X-Half"
HALF_BODY = (HEAD.format(path="/api/customers/login") + 'Content-Length: 80\r\n\r\n{"email"').encode()
BEHIND_401 = (HEAD.format(path="/api/customers/change-password") + "Content-Length: 80\r\n\r\n{").encode()
HALF_CHUNK = (HEAD.format(path="/api/bookings") + "Transfer-Encoding: chunked\r\n\r\n50\r\n{").encode()
REST_BODY = (HEAD.format(path="/rest/v1/support_tickets") + "Content-Length: 80\r\n\r\n[").encode()
SLOW_READER = GET.format(path=LONG_ANSWER).encode() + b"\r\n"
KINDS = (HALF_HEAD, HALF_BODY, BEHIND_401, HALF_CHUNK, REST_BODY, SLOW_READER, SILENT)


def open_socket(stack: Stack | Service, sends: bytes = b"") -> socket.socket:
    """A connection that sent something, and reads little."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(5)
    client.connect((HOST, stack.ports["service"]))
    client.sendall(sends)
    return client


@contextmanager
def holding(stack: Stack, kinds: tuple[bytes, ...], count: int) -> Iterator[list[socket.socket]]:
    """So many of them, of each kind in turn."""
    held = [open_socket(stack, kinds[n % len(kinds)]) for n in range(count)]
    try:
        yield held
    finally:
        for client in held:
            client.close()


def closed_by_server(client: socket.socket, until: float) -> bool:
    """Whether the server ends the connection by then; what it still sends is read."""
    while (left := until - time.monotonic()) > 0:
        client.settimeout(left)
        try:
            if not client.recv(65536):
                return True
        except TimeoutError:
            return False
        except OSError:
            return True
    return False


def answer_of(client: socket.socket, seconds: float = 15) -> bytes:
    """All that comes until the server ends the connection, which is then closed here as well."""
    client.settimeout(seconds)
    parts = []
    with client:
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


def drip(clients: list[socket.socket], byte: bytes, until: float, every: float = 1.0) -> None:
    """Send a byte now and then on each that is still open."""
    while time.monotonic() < until:
        for client in clients:
            try:
                client.send(byte)
            except OSError:
                pass
        time.sleep(every)
