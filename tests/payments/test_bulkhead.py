"""A slow gateway holds only some of the threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from service.payments.bulkhead import AT_ONCE, SLOW, Bulkhead


def test_more_calls_than_fit_queue_while_the_gateway_is_quick():
    bulkhead, most = Bulkhead(), []

    def call(_: int) -> bool:
        with bulkhead.enter() as is_through:
            most.append(len(bulkhead.begun))
            time.sleep(0.01)
            return is_through

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(call, range(100)))
    assert max(most) <= AT_ONCE
    assert bulkhead.begun == {}


def test_nobody_queues_for_a_slow_gateway():
    bulkhead, over = Bulkhead(), threading.Event()

    def call() -> None:
        with bulkhead.enter():
            over.wait(10)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(AT_ONCE):
            pool.submit(call)
        time.sleep(SLOW + 0.1)
        started = time.monotonic()
        with bulkhead.enter() as is_through:
            assert not is_through
        assert time.monotonic() - started < 1
        over.set()
    with bulkhead.enter() as is_through:
        assert is_through
