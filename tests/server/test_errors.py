"""What the server itself refuses is told as the application tells it, and nobody is cut off."""

import json

import httpx
import pytest

from tests.server.sockets import HEAD, answer_of, open_socket
from tools.stack import Stack

UUIDS = [f"00000000-0000-4000-8000-{n:012d}" for n in range(110)]


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"no http at all\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n", 400, "bad_request"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 9000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: 1\r\n" * 20_000, 431, "headers_too_large"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: much\r\n\r\n", 400, "bad_request"),
    ],
)
def test_refusals_are_json_with_a_request_id(served: Stack, request_: bytes, status: int, code: str):
    head, _, body = answer_of(open_socket(served, request_)).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["code"] == code and json.loads(body)["error"]
    assert (headers["Content-Type"], headers["Connection"]) == ("application/json", "close")
    assert headers["X-Request-Id"] in (served.directory / "service.log").read_text()


def test_a_filter_may_name_a_hundred_ids(served: Stack):
    answer = httpx.get(f"{served.url('service')}/rest/v1/packages", params={"id": f"in.({','.join(UUIDS)})"})
    assert answer.status_code != 414 and answer.headers["X-Request-Id"]


def test_a_refused_body_does_not_cut_the_connection(served: Stack):
    """It is read all the same, as the next request comes behind it."""
    with httpx.Client(base_url=served.url("service")) as http:
        for size in (1000, 64_000, 200_000, 900_000):
            answer = http.post("/api/customers/change-password", content=b" " * size)
            assert (answer.status_code, answer.headers["Connection"]) == (401, "keep-alive"), size
            with http.stream("GET", "/api/health") as health:
                assert health.status_code == 200 and health.read()
                port = health.extensions["network_stream"].get_extra_info("client_addr")[1]
            if size == 1000:
                first = port
            assert port == first, size


@pytest.mark.parametrize("size", [1_000_001, 1_500_000, 6_000_000])
def test_a_body_over_the_limit_is_answered_and_then_closed(served: Stack, size: int):
    head = HEAD.format(path="/api/customers/login") + f"Content-Length: {size}\r\n\r\n"
    client = open_socket(served, head.encode())
    client.sendall(b" " * size)  # all of it, before the answer is looked at
    answer = answer_of(client)
    assert answer.startswith(b"HTTP/1.1 413 ") and b"too_large" in answer and b"Connection: close" in answer


def test_a_body_in_chunks_over_the_limit_likewise(served: Stack):
    client = open_socket(
        served, (HEAD.format(path="/api/customers/login") + "Transfer-Encoding: chunked\r\n\r\n").encode()
    )
    client.sendall((b"1000\r\n" + b" " * 0x1000 + b"\r\n") * 400)
    answer = answer_of(client)
    assert answer.startswith(b"HTTP/1.1 413 ") and b"too_large" in answer


def test_chunks_arrive_as_one_body_however_they_are_cut(served: Stack):
    body = b'{"email": "nobody@example.com", "password": "over the hills 1843"}'
    head = (
        HEAD.format(path="/api/customers/login") + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    ).encode()
    chunks = b"".join(b"%x;a=b\r\n%c\r\n" % (1, byte) for byte in body) + b"0\r\nX-Trailer: 1\r\n\r\n"
    for step in (1, 7, len(chunks)):
        client = open_socket(served, head)
        for start in range(0, len(chunks), step):
            client.sendall(chunks[start : start + step])
        assert answer_of(client).startswith(b"HTTP/1.1 401 "), step


def test_requests_that_come_together_are_answered_in_turn(served: Stack):
    get, last = b"GET /api/health HTTP/1.1\r\nHost: x\r\n", b"Connection: close\r\n\r\n"
    post = (HEAD.format(path="/api/customers/login") + "Content-Length: 2\r\n\r\n{}").encode()
    client = open_socket(served, get + b"\r\n" + post + get + last)
    answer = answer_of(client)
    assert [line.split()[1] for line in answer.split(b"\n") if line.startswith(b"HTTP/1.1 ")] == [
        b"200",
        b"400",
        b"200",
    ]


def test_who_asks_first_is_told_to_continue(served: Stack):
    head = (
        HEAD.format(path="/api/customers/login")
        + "Expect: 100-continue\r\nConnection: close\r\nContent-Length: {}\r\n\r\n"
    )
    client = open_socket(served, head.format(2).encode())
    assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(b"{}")
    assert answer_of(client).startswith(b"HTTP/1.1 400 ")
    assert answer_of(open_socket(served, head.format(2_000_000).encode())).startswith(b"HTTP/1.1 413 ")
