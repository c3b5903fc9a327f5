"""One call at a time for one thing: who asks for the same meanwhile waits for its answer instead of asking again."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Flights:
    """The calls that are under way in this process, by what they are about."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.under_way: dict[str, Future[Any]] = {}

    def share(self, key: str, call: Callable[[], T]) -> T:
        """The answer of ``call``, or of the one under way for the same ``key``; its exception likewise."""
        with self.lock:
            known = self.under_way.get(key)
            if known is None:
                mine = self.under_way[key] = Future()
        if known is not None:
            answer: T = known.result()
            return answer
        try:
            mine.set_result(call())
        except BaseException as error:
            mine.set_exception(error)
        finally:
            with self.lock:
                del self.under_way[key]
        answer = mine.result()
        return answer
