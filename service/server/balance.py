"""Connections are kept for long, so whoever has fewest takes the next: workers tell each other how many they have."""

import mmap
import struct
import time

CELL = struct.Struct("di")  # when a worker last told, by the clock of all processes, and how many it had
WORKERS = 64
STALE = 2.0  # seconds; a worker tells at least every half second


class Balance:
    """Made before the workers are forked, which then share its memory."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, CELL.size * WORKERS)
        self.mine = 0

    def join(self, number: int) -> None:
        """Begin to tell as this worker; numbers count up."""
        self.mine = number % WORKERS

    def tell(self, count: int) -> None:
        """Say how many connections this worker has."""
        CELL.pack_into(self.memory, self.mine * CELL.size, time.monotonic(), count)

    def is_ahead(self, count: int) -> bool:
        """Whether another worker has fewer than this one with so many."""
        since = time.monotonic() - STALE
        cells = enumerate(CELL.iter_unpack(self.memory))
        return any(number != self.mine and told > since and others < count for number, (told, others) in cells)
