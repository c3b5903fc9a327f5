"""SIGTERM: who has been let in is served, and who comes while a proxy still sends people here."""

import itertools
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.server.service import Service
from tests.server.sockets import HEAD, answer_of, open_socket
from tools.stack import Stack

PATHS = itertools.cycle(["/api/health", "/api/settings", "/api/bookings/1", "/rest/v1/packages?select=id"])
NOTICE = 0.5  # seconds until the proxy sends nobody any more


@pytest.fixture
def service(served: Stack) -> Iterator[Service]:
    started = Service(served)
    yield started
    started.end()


def stop_under_load(service: Service, clients: int = 16) -> tuple[list[str], int]:
    """What failed and how many were answered, while clients came at all times, half of them on connections they keep.

    No call is made twice: a connection that the service announced to close is left, as a proxy leaves it.
    """
    failures: list[str] = []
    answered = itertools.count()
    left = threading.Event()

    def call(keeps: bool) -> None:
        headers = {} if keeps else {"Connection": "close"}
        with httpx.Client(base_url=service.url, timeout=30, headers=headers) as http:
            while not left.is_set():
                try:
                    answer = http.get(next(PATHS))
                    if answer.status_code >= 500:
                        failures.append(answer.text)
                    next(answered)
                except httpx.HTTPError as error:
                    failures.append(repr(error))

    threads = [threading.Thread(target=call, args=[n % 2 == 0]) for n in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    service.terminate()
    time.sleep(NOTICE)
    left.set()
    for thread in threads:
        thread.join()
    assert service.process.wait(30) == 0
    return failures, next(answered)


def test_nobody_is_cut_off(service: Service):
    failures, answered = stop_under_load(service)
    assert failures == [] and answered > 16  # each once at least


def test_a_request_that_is_on_its_way_is_awaited(service: Service):
    """Whoever was let in before, with half a body, has the time that everybody has."""
    body = b'{"email": "late@example.com", "password": "x"}'
    head = (HEAD.format(path="/api/customers/login") + f"Content-Length: {len(body)}\r\n\r\n").encode()
    client = open_socket(service, head + body[:9])
    service.terminate()
    time.sleep(3)
    client.sendall(body[9:])
    answer = answer_of(client)
    assert answer.startswith(b"HTTP/1.1 401 ") and b"Connection: close" in answer


def test_an_idle_service_stops_at_once(service: Service):
    with httpx.Client(base_url=service.url) as kept:
        kept.get("/api/health")
        begun = time.monotonic()
        service.terminate()
        assert service.process.wait(30) == 0
        assert time.monotonic() - begun < 10  # where a client that is awaited has it take 20
