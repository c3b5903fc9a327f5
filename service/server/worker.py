"""The worker class of gunicorn: one loop with all the clients, some threads with the application."""

import json
import logging
import os
import resource
import selectors
import socket
import threading
import time
import uuid
from collections import deque
from queue import SimpleQueue

from gunicorn.http import wsgi
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.base import Worker as BaseWorker

from service.errors import SENTENCES, UNEXPECTED, Unavailable
from service.server import routes
from service.server.balance import Balance
from service.server.connection import ClientGone, Connection, Phase

log = logging.getLogger(__name__)

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
TICK = 0.5  # seconds between looks at whose time is over
SEND_BUFFER = 131_072  # bytes
OTHER_FILES = 300  # that a process has open beside its clients'
YIELD = 0.003  # seconds in which another worker may accept a client
MAX_WAITING = 1000  # requests that wait for a thread; others are told to come again
# After SIGTERM: clients still come until a proxy knows, and what has waited to be accepted is served as well.
QUIET = 1.0  # seconds without a new connection, after which none is awaited any more
LISTENING_ON = 5.0  # seconds at most
KEPT_ON = 2.0  # seconds that a kept connection waits for a request that may be on its way
REASONS = {400: "Bad Request", 408: "Request Timeout", 414: "URI Too Long", 431: "Request Header Fields Too Large"}
REASONS |= {500: "Internal Server Error", 503: "Service Unavailable"}


class Worker(BaseWorker):
    """A client costs a thread only while an answer is made: its request is gathered before, its answer taken after."""

    balance = Balance()  # of all workers: this is run before they are forked

    def init_process(self) -> None:
        """As gunicorn calls it in the new process; ends in ``run``."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        clients = self.cfg.worker_connections
        self.room = clients if most == resource.RLIM_INFINITY else min(clients, most - OTHER_FILES)
        self.poller = selectors.DefaultSelector()
        self.connections: set[Connection] = set()
        self.newcomers: dict[Connection, None] = {}  # that no request came from yet, the oldest first
        self.calls: deque[Connection] = deque()  # that a thread has something to say about
        self.alarm, self.bell = os.pipe()
        self.yielding: list[socket.socket] = []  # to a worker with fewer connections
        self.stopped_at = self.yielded_at = 0.0
        self.accepted_at = self.swept_at = time.monotonic()
        super().init_process()

    def run(self) -> None:
        """Serve until SIGTERM, then to the end what has been accepted."""
        self.lanes = {name: SimpleQueue[Connection]() for name in routes.LANES}
        for name, lane in self.lanes.items():
            for _ in range(routes.LANES[name] or self.cfg.threads):
                threading.Thread(target=self._work, args=[lane], daemon=True).start()
        os.set_blocking(self.alarm, False)
        os.set_blocking(self.bell, False)
        self.poller.register(self.alarm, READ, self._answer_calls)
        self.poller.register(self.PIPE[0], READ, lambda _: os.read(self.PIPE[0], 4096))  # a signal
        for listener in self.sockets:
            listener.setblocking(False)
            # Of each client's: it also says how much must be taken until more is seen to be taken.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            self._listen(listener)
        self.balance.join(self.age)
        while self.alive and self.ppid == os.getppid():
            self._turn()
        self._drain()

    def _turn(self) -> None:
        self.notify()
        self.balance.tell(len(self.connections))
        for key, events in self.poller.select(TICK if not self.yielding else YIELD):
            key.data(events)
        while self.yielding:
            self._listen(self.yielding.pop())
        now = time.monotonic()
        if now - self.swept_at >= TICK:
            self.swept_at = now
            self._sweep(now)

    def _drain(self) -> None:
        self.alive, self.stopped_at = False, time.monotonic()
        until = self.stopped_at + self.cfg.graceful_timeout
        listens_until = self.stopped_at + LISTENING_ON
        is_listening = True
        while (is_listening or self.connections) and (now := time.monotonic()) < until:
            self._turn()
            if is_listening and (now > listens_until or now - max(self.stopped_at, self.accepted_at) > QUIET):
                is_listening = False
                self._stop_listening()

    def _stop_listening(self) -> None:
        for listener in self.sockets:
            while self._accept(listener):
                pass
            self.poller.unregister(listener)
            listener.close()

    # --- Clients ---

    def _listen(self, listener: socket.socket) -> None:
        self.poller.register(listener, READ, lambda _: self._let_in(listener))

    def _let_in(self, listener: socket.socket) -> None:
        """Accept a client, unless a worker with fewer does so in a moment."""
        if self.balance.is_ahead(len(self.connections)) and self.yielded_at + 2 * YIELD < time.monotonic():
            self.yielded_at = time.monotonic()
            self.poller.unregister(listener)
            self.yielding.append(listener)
        else:
            self._accept(listener)

    def _accept(self, listener: socket.socket) -> bool:
        try:
            sock, peer = listener.accept()
        except OSError:  # another worker was faster, or the client has gone
            return False
        self.accepted_at = time.monotonic()
        connection = Connection(sock, peer, listener.getsockname(), self._call)
        self.connections.add(connection)
        self.newcomers[connection] = None
        if len(self.connections) > self.room:
            self._make_room()
        self._watch(connection)
        return True

    def _make_room(self) -> None:
        """Who sent nothing yet goes first, the oldest of them; else who has waited longest, or been waited for."""
        oldest = next(iter(self.newcomers), None)
        others = (one for one in self.connections if one.phase is not Phase.SERVED)
        if found := oldest or min(others, key=lambda one: one.since, default=None):
            self._drop(found)

    def _watch(self, connection: Connection) -> None:
        """Have the poller tell what is of interest now."""
        wanted = (0 if connection.is_deaf else READ) | (WRITE if connection.unsent else 0)
        if connection.is_gone or wanted == connection.watched:
            return
        if not connection.watched:
            self.poller.register(connection.sock, wanted, lambda events: self._on_events(connection, events))
        elif wanted:
            self.poller.modify(connection.sock, wanted, self.poller.get_key(connection.sock).data)
        else:
            self.poller.unregister(connection.sock)
        connection.watched = wanted

    def _on_events(self, connection: Connection, events: int) -> None:
        try:
            if events & WRITE:
                connection.hand_out()
                self._go_on(connection)
            if events & READ and not connection.is_gone:
                self._take_in(connection)
        except ClientGone:
            self._drop(connection)

    def _take_in(self, connection: Connection) -> None:
        with connection.lock:
            if connection.phase in (Phase.SERVED, Phase.TAKEN):
                connection.is_deaf = True
        if connection.is_deaf:
            self._watch(connection)
        elif not connection.receive():
            self._drop(connection)
        elif connection.phase is Phase.LINGERING:
            connection.received.clear()
        else:
            self._advance(connection)

    def _advance(self, connection: Connection) -> None:
        """Give the request to a thread, if all of it is there."""
        try:
            if not connection.received or not connection.gather(self.cfg, routes.max_body):
                return
        except ParseException as error:
            return self._refuse(connection, _status_of(error), repr(error))
        except ClientGone:
            return self._drop(connection)
        except Exception as error:  # whatever a client sends, the loop goes on
            log.exception("unexpected error in the server")
            return self._refuse(connection, 400, repr(error))
        self.newcomers.pop(connection, None)
        connection.phase = Phase.SERVED
        lane = self.lanes[routes.lane_of(connection.method, connection.path)]
        if lane.qsize() < MAX_WAITING:
            lane.put(connection)
        else:
            self._refuse(connection, 503, "too many requests wait")

    def _answer_calls(self, _: int) -> None:
        os.read(self.alarm, 4096)
        while self.calls:
            connection = self.calls.popleft()
            if connection.is_gone:
                self._drop(connection)
            else:
                self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        """After an answer was made, or taken."""
        if connection.phase is Phase.TAKEN and not connection.unsent:
            connection.is_deaf = False
            if connection.keeps:
                connection.rest()
                self._advance(connection)
            else:
                self._part(connection)
        self._watch(connection)

    def _part(self, connection: Connection) -> None:
        """Close, but not over the head of a client that still sends: it would lose the answer."""
        connection.phase, connection.since = Phase.LINGERING, time.monotonic()
        connection.received.clear()
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        if connection.watched:
            self.poller.unregister(connection.sock)
            connection.watched = 0
        connection.close()
        self.connections.discard(connection)
        self.newcomers.pop(connection, None)

    def _sweep(self, now: float) -> None:
        """Part with those whose time is over."""
        for connection in list(self.connections):
            if now < self._deadline(connection):
                continue
            with connection.lock:  # a thread may just have ended
                is_late = connection.phase is Phase.GATHERED
            if is_late:
                self._refuse(connection, 408, "too slow")
            else:
                self._drop(connection)

    def _deadline(self, connection: Connection) -> float:
        if self.stopped_at and connection.phase is Phase.IDLE:
            return max(connection.since, self.stopped_at) + KEPT_ON
        return connection.deadline(self.cfg.keepalive)

    def _refuse(self, connection: Connection, status: int, cause: str) -> None:
        """Answer in the server's own name."""
        self.newcomers.pop(connection, None)
        try:
            _say(connection, status, cause)
            connection.finish(False)
            self._go_on(connection)
        except ClientGone:
            self._drop(connection)

    # --- Threads ---

    def _work(self, lane: "SimpleQueue[Connection]") -> None:
        while True:
            connection = lane.get()
            keeps = False
            try:
                keeps = self._serve(connection)
            except ClientGone:
                pass
            except Exception:
                log.exception("unexpected error in the server")
                self._apologise(connection)
            try:
                is_for_loop = connection.finish(keeps)
            except ClientGone:
                is_for_loop = True
            if is_for_loop:
                self._call(connection)

    def _serve(self, connection: Connection) -> bool:
        """Have the application answer; whether the connection is good for another request."""
        request = connection.request
        connection.body.seek(0)
        request.body = connection.body
        response, environ = wsgi.create(request, connection, connection.peer, connection.server, self.cfg)
        environ["wsgi.multithread"] = True
        if environ.pop("HTTP_TRANSFER_ENCODING", None):
            environ["CONTENT_LENGTH"] = str(connection.body.seek(0, os.SEEK_END))
            connection.body.seek(0)
        if not self.alive or connection.is_too_large:
            response.force_close()
        parts = self.wsgi(environ, response.start_response)
        try:
            for part in parts:
                response.write(part)
            response.close()
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return not response.should_close()

    def _apologise(self, connection: Connection) -> None:
        try:
            if not connection.has_begun:
                _say(connection, 500, "unexpected error")
        except ClientGone:
            pass

    def _call(self, connection: Connection) -> None:
        self.calls.append(connection)
        try:
            os.write(self.bell, b".")
        except BlockingIOError:  # it rings already
            pass


def _status_of(error: ParseException) -> int:
    if isinstance(error, LimitRequestLine):
        return 414
    return 431 if isinstance(error, LimitRequestHeaders) else 400


def _say(connection: Connection, status: int, cause: str) -> None:
    """An error in the shape that the application's have."""
    code, sentence = SENTENCES.get(status, UNEXPECTED if status == 500 else (Unavailable.code, Unavailable.message))
    body = json.dumps({"error": sentence, "code": code}).encode() + b"\n"
    request_id = uuid.uuid4().hex
    log.info("request refused", extra={"status": status, "request_id": request_id, "cause": cause})
    lines = [
        f"HTTP/1.1 {status} {REASONS[status]}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-Id: {request_id}",
        *(["Retry-After: 5"] if status == 503 else []),
        "Connection: close",
    ]
    connection.sendall("\r\n".join([*lines, "\r\n"]).encode() + body)
