"""One client's connection: what has come of its request, and what it has not yet taken of the answer."""

import io
import re
import socket
import threading
import time
from collections.abc import Callable
from enum import Enum, auto
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import InvalidChunkSize, LimitRequestHeaders

GRACE = 10.0  # seconds that a head, a body and an answer may take
PACE = 16_384  # bytes a second: a body that comes, or an answer that is taken, as fast as this has longer
LINGER = 5.0  # seconds in which a client may still read what it has got, after the last answer
MAX_HEAD = 65_536  # bytes of a request's line and headers
MAX_UNSENT = 4_000_000  # bytes of an answer that wait for the client; beyond that its thread waits until all are taken
IN_MEMORY = 65_536  # bytes of a body or an answer; what is longer lies in a file
PIECE = 65_536
MAX_LINE = 1024  # bytes of a chunk's first line
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\Z")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Phase(Enum):
    """What a connection is about."""

    IDLE = auto()  # nothing of a request is there
    GATHERED = auto()  # a part of one is
    SERVED = auto()  # a thread makes the answer
    TAKEN = auto()  # the answer is made, the client has not taken all of it
    LINGERING = auto()  # no more answers: what is on its way may arrive


class ClientGone(OSError):
    """The client closed the connection, or was too slow and lost it."""


class Chunks:
    """Takes a body apart that comes in chunks (RFC 9112, section 7.1)."""

    def __init__(self) -> None:
        self.left = 0  # bytes of the chunk that has begun
        self.is_at_end = False  # of a chunk's bytes: a line end follows
        self.is_last = False

    def take(self, received: bytearray, body: IO[bytes]) -> bool:
        """Move what has come to the body; whether the body is whole. Raises ``InvalidChunkSize``."""
        while True:
            if self.left:
                data = bytes(received[: self.left])
                del received[: self.left]
                body.write(data)
                self.left -= len(data)
                if self.left:
                    return False
                self.is_at_end = True
            line = _take_line(received)
            if line is None:
                return False
            if self.is_at_end:
                if line:
                    raise InvalidChunkSize(line[:20])
                self.is_at_end = False
            elif self.is_last:  # trailers, which nobody asks for, up to an empty line
                if not line:
                    return True
            elif size := CHUNK_LINE.match(line):
                self.left = int(size[1], 16)
                self.is_last = self.left == 0
            else:
                raise InvalidChunkSize(line[:20])


def _take_line(received: bytearray) -> bytes | None:
    end = received.find(b"\r\n", 0, MAX_LINE)
    if end < 0:
        if len(received) >= MAX_LINE:
            raise InvalidChunkSize(bytes(received[:20]))
        return None
    line = bytes(received[:end])
    del received[: end + 2]
    return line


class Length:
    """Takes a body of known length."""

    def __init__(self, length: int) -> None:
        self.left = length

    def take(self, received: bytearray, body: IO[bytes]) -> bool:
        """Move what has come to the body; whether the body is whole."""
        body.write(received[: self.left])
        taken = min(self.left, len(received))
        del received[:taken]
        self.left -= taken
        return not self.left


class Unsent:
    """Bytes of an answer that wait for the client, in memory or, many, in a file."""

    def __init__(self) -> None:
        self.file = cast(IO[bytes], SpooledTemporaryFile(IN_MEMORY))
        self.since = time.monotonic()
        self.size = self.taken = 0

    def put(self, data: bytes) -> None:
        self.file.seek(self.size)
        self.file.write(data)
        self.size += len(data)

    def next_piece(self) -> bytes:
        self.file.seek(self.taken)
        return self.file.read(PIECE)


class Connection:
    """Requests are gathered by the loop, answers written by a thread; gunicorn takes it for the socket."""

    def __init__(self, sock: socket.socket, peer: object, server: object, wake: Callable[["Connection"], None]) -> None:
        self.sock, self.peer, self.server = sock, peer, server
        sock.setblocking(False)
        self.wake = wake  # has the loop look at this connection
        self.watched = 0  # what the loop is told of: selectors.EVENT_…
        self.phase, self.since = Phase.IDLE, time.monotonic()
        self.has_served = False
        self.received = bytearray()
        self.request: Any = None  # gunicorn's
        self.method = self.path = ""
        self.body: IO[bytes] = io.BytesIO()
        self.body_size = 0
        self.framing: Chunks | Length = Length(0)
        self.is_too_large = False
        # Threads and the loop share what follows.
        self.lock = threading.Condition()
        self.has_begun = False
        self.held = b""  # the answer's headers, to go with the first bytes of its body
        self.unsent: Unsent | None = None
        self.is_deaf = False  # the client sent something meanwhile, and the loop does not listen until it is its turn
        self.is_gone = False
        self.keeps = False  # when the answer is taken, the next request may come

    def receive(self) -> bool:
        """Take in what has come; False where the client has closed."""
        try:
            data = self.sock.recv(PIECE)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        self.received += data
        if self.phase is Phase.IDLE and data:
            self.phase, self.since = Phase.GATHERED, time.monotonic()
        return bool(data)

    def gather(self, cfg: Config, limit: Callable[[str], int]) -> bool:
        """Whether a whole request is there. Raises what gunicorn's parser does."""
        if self.request is None and not self._read_head(cfg):
            return False
        allowed = limit(self.path)
        is_asked, self.request._expected_100_continue = self.request._expected_100_continue, False
        self.is_too_large = isinstance(self.framing, Length) and self.framing.left > allowed
        if self.is_too_large:  # whoever serves it refuses it, unread
            return True
        if is_asked and not self.received:
            self._send(CONTINUE)
        before = len(self.received)
        is_whole = self.framing.take(self.received, self.body)
        self.body_size += before - len(self.received)
        if isinstance(self.framing, Chunks):
            self.is_too_large = self.body.tell() > allowed
            if self.body_size > 8 * allowed:  # chunks of single bytes take six each; trailers count as well
                raise InvalidChunkSize("more around the chunks than in them")
        return is_whole or self.is_too_large

    def _read_head(self, cfg: Config) -> bool:
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            if len(self.received) > MAX_HEAD:
                raise LimitRequestHeaders("larger than all headers together may be")
            return False
        head = bytes(self.received[: end + 4])
        del self.received[: end + 4]
        self.request = next(RequestParser(cfg, [head], self.peer))
        self.method, self.path = self.request.method, self.request.path
        reader = self.request.body.reader
        self.framing = Chunks() if isinstance(reader, ChunkedReader) else Length(reader.length)
        is_empty = isinstance(self.framing, Length) and not self.framing.left
        self.body = io.BytesIO() if is_empty else cast(IO[bytes], SpooledTemporaryFile(IN_MEMORY))
        self.body_size = 0
        return True

    def rest(self) -> None:
        """Wait for the next request; a part of it may be there."""
        self.request, self.has_served, self.has_begun = None, True, False
        self.since = time.monotonic()
        self.phase = Phase.GATHERED if self.received else Phase.IDLE

    def deadline(self, keepalive: float) -> float:
        """When the client's time is over, by the monotonic clock."""
        if self.phase is Phase.IDLE:
            return self.since + (keepalive if self.has_served else GRACE)
        if self.phase is Phase.GATHERED:
            return self.since + GRACE + self.body_size / PACE
        if self.phase is Phase.LINGERING:
            return self.since + LINGER
        unsent = self.unsent
        return unsent.since + GRACE + unsent.taken / PACE if unsent else float("inf")

    def sendall(self, data: bytes) -> None:
        """Hand a part of the answer on, as gunicorn's Response asks for it. Raises ``ClientGone``."""
        with self.lock:
            if not self.has_begun:
                self.has_begun, self.held = True, data
                return
            data, self.held = self.held + data, b""
            self._hand_on(data)
            is_much = self.unsent and self.unsent.size > MAX_UNSENT
            while is_much and self.unsent and not self.is_gone:
                self.lock.wait()

    def finish(self, keeps: bool) -> bool:
        """The thread has made the answer. Whether the loop must see to it, or the next request may come as it is."""
        with self.lock:
            if self.held and not self.is_gone:
                data, self.held = self.held, b""
                self._hand_on(data)
            self.keeps = keeps
            if keeps and not (self.unsent or self.received or self.is_deaf or self.is_gone):
                self.rest()
                return False
            self.phase = Phase.TAKEN
            return True

    def hand_out(self) -> None:
        """Send what waits, as much as the client takes. Raises ``ClientGone``."""
        with self.lock:
            while self.unsent:
                piece = self.unsent.next_piece()
                if piece:
                    sent = self._send(piece)
                    self.unsent.taken += sent
                    if sent < len(piece):
                        return
                else:
                    self.unsent = None
            self.lock.notify_all()

    def close(self) -> None:
        with self.lock:
            self.is_gone = True
            self.sock.close()
            self.lock.notify_all()

    def _hand_on(self, data: bytes) -> None:
        if self.is_gone:
            raise ClientGone
        if not self.unsent:
            data = data[self._send(data) :]
        if data:
            if not self.unsent:
                self.unsent = Unsent()
                self.wake(self)
            self.unsent.put(data)

    def _send(self, data: bytes) -> int:
        try:
            return self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self.is_gone = True
            raise ClientGone from error
