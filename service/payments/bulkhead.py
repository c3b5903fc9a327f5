"""A bulkhead: so many threads may wait for the gateway at once, and the others answer webhooks and all else."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 8  # of a worker's 16 threads (WEB_THREADS)
SLOW = 2.0  # seconds; a gateway that takes longer for a call is not worth queueing for
PATIENCE = 5.0  # seconds to queue for one that is merely busy
STEP = 0.1


class Bulkhead:
    """Lets so many calls through at a time."""

    def __init__(self) -> None:
        self.free = threading.BoundedSemaphore(AT_ONCE)
        self.begun: dict[int, float] = {}  # by thread

    @contextmanager
    def enter(self) -> Iterator[bool]:
        """Whether the caller is let through for the block; False where waiting is of no use."""
        until = time.monotonic() + PATIENCE
        while not (is_through := self.free.acquire(timeout=STEP)):
            if self._is_slow() or time.monotonic() > until:
                break
        if not is_through:
            yield False
            return
        self.begun[threading.get_ident()] = time.monotonic()
        try:
            yield True
        finally:
            del self.begun[threading.get_ident()]
            self.free.release()

    def _is_slow(self) -> bool:
        oldest = min(list(self.begun.values()), default=time.monotonic())
        return time.monotonic() - oldest > SLOW
