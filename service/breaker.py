"""A circuit breaker: when Supabase has stopped to answer, nobody waits for it but one who tries."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import Unavailable

READ_SECONDS = 2.8  # that a read waits for its answer: with the rest, told within three
WRITE_SECONDS = 8.0
CONNECT_SECONDS = 2.0
IN_A_ROW = 5  # time-outs, with no answer between them, that open it
BETWEEN_TRIES = 2.0  # seconds


class Breaker:
    """Of one process. Lets all calls through; once open, one every ``BETWEEN_TRIES`` seconds, until one is answered."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.missed = 0
        self.next_try = 0.0

    @contextmanager
    def watch(self, *timeouts: type[Exception]) -> Iterator[None]:
        """Let a call through, and note whether it was answered. Raises ``Unavailable`` at once while open."""
        if not self._may_pass():
            raise Unavailable(code="database_unavailable")
        try:
            yield
        except Exception as error:
            with self.lock:
                self.missed += isinstance(error, timeouts)
                self.next_try = time.monotonic() + BETWEEN_TRIES
            raise
        self.missed = 0

    def _may_pass(self) -> bool:
        if self.missed < IN_A_ROW:
            return True
        with self.lock:
            is_due = time.monotonic() >= self.next_try
            if is_due:
                self.next_try = time.monotonic() + WRITE_SECONDS  # nobody else, while this one tries
            return is_due
