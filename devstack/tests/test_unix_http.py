"""Handing on over a Unix socket: connections are kept where the server keeps them, and only there."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.unix_http import NoAnswer, UnixClient

ANSWERS = {
    b"GET /length": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: 1\r\nX-A: 2\r\n\r\nabc",
    b"GET /chunks": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    b"GET /none": b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HEAD /length": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
    b"HEAD /open": b"HTTP/1.1 200 OK\r\nContent-Range: 0-3/*\r\n\r\n",  # PostgREST's; it closes then
    b"GET /until-the-end": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc",
    b"GET /nonsense": b"what?\r\n\r\n",
}
CLOSING = (b"HEAD /open", b"GET /until-the-end", b"GET /nonsense")


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:  # short, as addresses of sockets must be
        yield Path(folder) / "s"


class Server:
    """Answers by the table above; counts connections. What it does not know is never answered."""

    connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while line := await reader.readline():
            request = line.rpartition(b" HTTP/")[0]
            while (await reader.readline()).strip():
                pass
            if request == b"GET /cut":
                break
            if request in ANSWERS:
                writer.write(ANSWERS[request])
                await writer.drain()
            if request in CLOSING:
                break
        writer.close()


async def talk(socket: Path, *requests: str, timeout: float = 5) -> tuple[list[tuple[int, bytes] | None], int]:
    """What came of the requests one after the other, and over how many connections."""
    server = Server()
    client = UnixClient(socket, timeout)
    seen: list[tuple[int, bytes] | None] = []
    async with await asyncio.start_unix_server(server.serve, socket):
        for request in requests:
            method, target = request.split()
            try:
                answer = await client.request(method, target.encode(), [(b"x", b"y")])
                seen.append((answer.status, answer.body))
            except NoAnswer:
                seen.append(None)
        client.close()
        await asyncio.sleep(0.05)
    return seen, server.connections


def test_connection_is_kept_between_answers(socket: Path) -> None:
    requests = ("GET /length", "GET /chunks", "GET /none", "HEAD /length", "GET /length")
    answers = [(200, b"abc"), (201, b"abc"), (204, b""), (200, b""), (200, b"abc")]
    assert asyncio.run(talk(socket, *requests)) == (answers, 1)


def test_connection_that_the_server_closes_is_not_used_again(socket: Path) -> None:
    requests = ("HEAD /open", "GET /length", "GET /until-the-end", "GET /length")
    assert asyncio.run(talk(socket, *requests)) == ([(200, b""), (200, b"abc"), (200, b"abc"), (200, b"abc")], 3)


def test_no_answer_is_told_and_the_next_request_goes_through(socket: Path) -> None:
    requests = ("GET /cut", "GET /nonsense", "GET /silence", "GET /length")
    answers, connections = asyncio.run(talk(socket, *requests, timeout=0.5))
    assert (answers, connections) == ([None, None, None, (200, b"abc")], 4)


def test_nobody_there(socket: Path) -> None:
    with pytest.raises(NoAnswer):
        asyncio.run(UnixClient(socket).request("GET", b"/", []))
