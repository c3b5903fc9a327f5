"""Twenty releases under load, behind a proxy that makes no call twice: nobody notices."""

import itertools
import threading
import time

import httpx
import pytest

from tests.server.service import Service
from tests.server.test_stopping import NOTICE, PATHS
from tools.stack import Stack

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

ROUNDS = 20
CLIENTS = 16


class Proxy:
    """Sends everybody to the service of the day; half of them know it ``NOTICE`` seconds late."""

    def __init__(self, service: Service) -> None:
        self.early = self.late = service.url
        self.failures: list[str] = []
        self.answered = itertools.count()
        self.is_over = threading.Event()

    def switch(self, old: Service, new: Service) -> None:
        self.early = new.url
        old.terminate()
        time.sleep(NOTICE)
        self.late = new.url

    def call(self, number: int) -> None:
        """Call on and on, by the first half of the numbers on kept connections."""
        headers = {} if number < CLIENTS // 2 else {"Connection": "close"}
        with httpx.Client(timeout=30, headers=headers) as http:
            while not self.is_over.is_set():
                url = self.late if number % 2 else self.early
                try:
                    answer = http.get(url + next(PATHS))
                    next(self.answered)
                    if answer.status_code >= 500:
                        self.failures.append(answer.text)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))


def test_releases_under_load(served: Stack):
    service = Service(served)
    proxy = Proxy(service)
    threads = [threading.Thread(target=proxy.call, args=[number]) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(ROUNDS):
            new = Service(served)
            proxy.switch(service, new)
            assert service.process.wait(15) == 0
            service = new
    finally:
        proxy.is_over.set()
        for thread in threads:
            thread.join()
        service.end()
    answered = next(proxy.answered)
    print(f"{ROUNDS} releases, {answered} answers, {len(proxy.failures)} failures")
    assert proxy.failures == [] and answered > 100 * ROUNDS
