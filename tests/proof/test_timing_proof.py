"""Can time tell which addresses have accounts? `make proof`.

Calls with addresses of several classes, in rounds of one each in random order (so that a busy machine slows all alike),
over one connection to the service under gunicorn. Of each two classes: the gap of the medians, and how well one call's
time tells them apart (AUC: 0.5 not at all, 1 always).
"""

import itertools
import os
import random
import statistics
import time
from collections.abc import Iterator
from unittest import mock

import bcrypt
import httpx
import psycopg
import pytest

from service.config import IP_LIMITS
from tests.conftest import DIRECTORY
from tools.stack import Stack, free_ports

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1800)]

SAMPLES = 400  # of each class
BOUND = 0.6  # of the AUC: four standard deviations of chance, at so many samples
CLASSES = {
    "unknown": None,
    "active": ("active", True),
    "pending": ("pending", False),
    "suspended": ("suspended", True),
}
CALLS = ["login", "forgot-password", "resend-verification"]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    directory = DIRECTORY / "timing"
    environment = {f"LIMIT_{name.upper()}": "1000000 per hour" for name in IP_LIMITS} | {"LOG_LEVEL": "ERROR"}
    with mock.patch.dict(os.environ, environment), Stack(directory, free_ports()) as running:
        make_people(running, SAMPLES)
        running.start_part("service")
        running.wait_until_ready("service", "/api/health")
        yield running


@pytest.mark.parametrize("call", CALLS)
def test_time_does_not_tell_who_has_an_account(call: str, stack: Stack):
    took = measure(f"{stack.url('service')}/api/customers/{call}", SAMPLES)
    report(call, took)
    for one, other in itertools.combinations(took, 2):
        assert auc(took[one], took[other]) < BOUND, f"{call}: {one} and {other}"


def make_people(stack: Stack, samples: int) -> None:
    """So many accounts of each class that no address is asked about twice: limits stay as they are."""
    hashed = bcrypt.hashpw(b"the right password", bcrypt.gensalt(10)).decode()
    with psycopg.connect(stack.postgres.uri()) as db:
        for name, made in CLASSES.items():
            if made:
                db.execute(
                    "insert into customers (email, password_hash, name, status, verified_at)"
                    " select %s || '-' || n || '@example.com', %s, 'Ada', %s, case when %s then now() end"
                    " from generate_series(1, %s) n",
                    [name, hashed, *made, samples],
                )


def measure(url: str, samples: int) -> dict[str, list[float]]:
    """Milliseconds of each call, by class."""
    rounds = [random.sample(list(CLASSES), len(CLASSES)) for _ in range(samples)]
    asked = [(name, f"{name}-{n}@example.com") for n, names in enumerate(rounds, 1) for name in names]
    took: dict[str, list[float]] = {name: [] for name in CLASSES}
    with httpx.Client(timeout=30) as client:
        for n in range(20):
            client.post(url, json={"email": f"warm-{n}@example.com", "password": "x"})
        for name, email in asked:
            started = time.perf_counter()
            answer = client.post(url, json={"email": email, "password": "a wrong password"})
            took[name].append((time.perf_counter() - started) * 1000)
            assert answer.status_code in (200, 401), answer.text
    return took


def report(call: str, took: dict[str, list[float]]) -> None:
    print(f"\n{call}")
    medians = {name: statistics.median(times) for name, times in took.items()}
    for name, times in took.items():
        print(f"  {name:10} median {medians[name]:7.2f} ms   n={len(times)}")
    for one, other in itertools.combinations(took, 2):
        gap = abs(medians[one] - medians[other]) / min(medians[one], medians[other])
        print(f"  {one} / {other}: gap {gap:.1%}, AUC {auc(took[one], took[other]):.3f}")


def auc(one: list[float], other: list[float]) -> float:
    """The chance that the better guess by time alone is right, of one call of each class."""
    less = sum((a < b) + 0.5 * (a == b) for a in one for b in other) / (len(one) * len(other))
    return max(less, 1 - less)
