"""Nobody who sends slowly, reads slowly or does neither takes the service from others."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx

from tests.server.service import Service
from tests.server.sockets import (
    GET,
    HALF_BODY,
    HALF_CHUNK,
    HALF_HEAD,
    HEAD,
    KINDS,
    LONG_ANSWER,
    SILENT,
    SLOW_READER,
    answer_of,
    closed_by_server,
    drip,
    holding,
    open_socket,
)
from tests.test_outages import frozen
from tools.stack import Stack

MANY = "10000 per hour"
PROMISED = 1.0  # seconds until health answers
LIMIT = 10  # seconds that a head and a body may take


def slowest(url: str, path: str, seconds: float) -> float:
    """The longest that an answer took, of as many as fit into that time."""
    longest, until = 0.0, time.monotonic() + seconds
    with httpx.Client(base_url=url, timeout=10, headers={"Connection": "close"}) as http:
        while time.monotonic() < until:
            begun = time.monotonic()
            assert http.get(path).status_code == 200
            longest = max(longest, time.monotonic() - begun)
    return longest


@contextmanager
def calling(url: str, count: int, call: Callable[[httpx.Client], httpx.Response]) -> Iterator[list[httpx.Response]]:
    """So many threads that do the same again and again, and what they were answered."""
    answers: list[httpx.Response] = []
    stop = threading.Event()

    def work(http: httpx.Client) -> None:
        while not stop.is_set():
            answers.append(call(http))

    with ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=url, timeout=60)) for _ in range(count)]
        threads = [threading.Thread(target=work, args=[http]) for http in clients]
        for thread in threads:
            thread.start()
        try:
            yield answers
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_held_sockets_keep_nobody_out_and_are_closed(served: Stack):
    with holding(served, KINDS, 500) as held:
        begun = time.monotonic()
        assert slowest(served.url("service"), "/api/health", 2) < PROMISED
        assert slowest(served.url("service"), "/api/settings", 2) < 2
        until = begun + LIMIT + 3
        senders = [client for n, client in enumerate(held) if KINDS[n % len(KINDS)] is not SLOW_READER]
        assert all(closed_by_server(client, until) for client in senders)


def test_who_drips_is_not_waited_for(served: Stack):
    """A byte a second is no sign of good will: all of a head, and of a small body, is due after ten seconds."""
    with holding(served, (HALF_HEAD, HALF_BODY, HALF_CHUNK), 60) as held:
        begun = time.monotonic()
        dripping = threading.Thread(target=drip, args=(held, b" ", begun + LIMIT + 2))
        dripping.start()
        assert slowest(served.url("service"), "/api/health", 2) < PROMISED
        answers = [answer_of(client) for client in held[:3]]
        assert time.monotonic() - begun < LIMIT + 2
        dripping.join()
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 408 ") and b'"code": "request_timeout"' in answer


def test_connections_that_say_nothing_make_room(served: Stack):
    """More than the server holds at once: the oldest go, and whoever has something to say is heard."""
    with holding(served, (SILENT,), 5000):
        assert slowest(served.url("service"), "/api/health", 2) < PROMISED


def test_whoever_reads_slowly_gets_all_or_is_closed(served: Stack):
    whole = httpx.get(served.url("service") + LONG_ANSWER, headers={"Accept-Encoding": "identity"}).content
    request = (GET.format(path=LONG_ANSWER) + "Connection: close\r\n\r\n").encode()
    with holding(served, (request,), 2) as (slow, idle):
        begun, got = time.monotonic(), bytearray()
        while part := slow.recv(4096):
            got += part
            time.sleep(4096 / 60_000)  # about 60 kB a second, longer than ten seconds in all
        assert time.monotonic() - begun > LIMIT + 5
        assert got.endswith(whole)
        # The other has taken nothing all the while: what lies in its window is all it gets.
        assert len(answer_of(idle)) < len(whole)


def test_a_large_body_may_take_longer_at_a_fair_pace(served: Stack):
    size = 400_000
    head = HEAD.format(path="/api/customers/login") + f"Content-Length: {size}\r\nConnection: close\r\n\r\n"
    client = open_socket(served, head.encode())
    for _ in range(14):
        client.sendall(b" " * (size // 14))
        time.sleep(0.9)
    client.sendall(b" " * (size % 14))
    assert answer_of(client).startswith(b"HTTP/1.1 400 ")


def test_health_does_not_queue_behind_logins(served: Stack):
    """bcrypt keeps all cores busy; health has a thread of its own."""
    login = {"email": "sleepless@example.com", "password": "over the hills 1843"}
    service = Service(served, LIMIT_LOGIN=MANY, LIMIT_LOGIN_ACCOUNT=MANY, LIMIT_FAILED_LOGIN=MANY)
    try:
        with calling(service.url, 32, lambda http: http.post("/api/customers/login", json=login)) as answers:
            assert slowest(service.url, "/api/health", 3) < PROMISED
        assert {answer.status_code for answer in answers} == {401}
    finally:
        service.end()


def test_health_does_not_queue_behind_reads_of_a_frozen_database(served: Stack):
    url = served.url("service")
    with frozen(served, "api"), calling(url, 48, lambda http: http.get("/api/settings")) as answers:
        assert slowest(served.url("service"), "/api/health", 6) < PROMISED
    assert [answer for answer in answers if answer.status_code != 503 or answer.elapsed.total_seconds() > 8] == []
    assert len(answers) > 200  # with the breaker open
