"""A slow gateway holds only some of the threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from service.payments.turns import AT_ONCE, SLOW, Turns


def test_more_calls_than_turns_queue_while_the_gateway_is_quick():
    turns, most = Turns(), []

    def call(_: int) -> bool:
        with turns.take() as is_mine:
            most.append(len(turns.begun))
            time.sleep(0.01)
            return is_mine

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(call, range(100)))
    assert max(most) <= AT_ONCE
    assert turns.begun == {}


def test_nobody_queues_for_a_slow_gateway():
    turns, over = Turns(), threading.Event()

    def call() -> None:
        with turns.take():
            over.wait(10)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(AT_ONCE):
            pool.submit(call)
        time.sleep(SLOW + 0.1)
        started = time.monotonic()
        with turns.take() as is_mine:
            assert not is_mine
        assert time.monotonic() - started < 1
        over.set()
    with turns.take() as is_mine:
        assert is_mine
