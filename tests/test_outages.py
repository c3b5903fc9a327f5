"""Supabase, or Postgres behind it, stands still: callers are told in time, and soon at once."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from flask import Flask

from service.breaker import BETWEEN_TRIES, IN_A_ROW, Breaker
from service.database import READS
from service.errors import Unavailable
from tests.client import Client
from tests.factories import Customer, make_customer
from tools.project import PROJECT
from tools.stack import Stack

READ, WRITE, AT_ONCE = 3.3, 8.5, 0.3  # seconds within which the answer is there
TOUCHING = {"authenticate_customer", "authenticate_staff"}  # they note when a session was used


def processes_of(stack: Stack, part: str) -> list[psutil.Process]:
    if part == "api":
        first = psutil.Process(stack.processes["api"].pid)
    else:
        pid = int((stack.directory / "postgres" / "postmaster.pid").read_text().split()[0])
        first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


@contextmanager
def frozen(stack: Stack, part: str) -> Iterator[None]:
    """A part that takes connections and answers nothing."""
    stopped = processes_of(stack, part)
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in stopped:
            process.send_signal(signal.SIGCONT)


def told(api: Client, method: str, path: str, json: object = None) -> float:
    """The seconds until a call is answered that the database is unavailable."""
    begun = time.monotonic()
    answer = api.call(method, path, json, expect=503)
    seconds = time.monotonic() - begun
    assert answer["code"] == "database_unavailable" and api.last.headers["Retry-After"], answer
    return seconds


@pytest.fixture
def own_app(app_with: Callable[..., Flask]) -> Flask:
    """With a breaker of its own."""
    return app_with()


@pytest.fixture
def person(own_app: Flask, db: psycopg.Connection) -> Customer:
    return make_customer(Client(own_app), db)


@pytest.mark.parametrize("part", ["api", "postgres"])
def test_reads_are_told_in_three_seconds_and_then_at_once(own_app: Flask, person: Customer, stack: Stack, part: str):
    reads = ("/api/customers/me", "/api/settings", "/rest/v1/packages", "/api/bookings/1", "/rest/v1/destinations")
    with frozen(stack, part):
        with ThreadPoolExecutor(IN_A_ROW) as pool:
            assert all(seconds < READ for seconds in pool.map(lambda path: told(person.api, "GET", path), reads))
        assert told(person.api, "GET", "/api/customers/me") < AT_ONCE
        assert told(person.api, "GET", "/rest/v1/packages") < AT_ONCE
        assert told(person.api, "POST", "/api/customers/logout") < AT_ONCE
        begun = time.monotonic()
        problems = person.api.get("/api/ready", expect=503)["problems"]
        assert (problems, time.monotonic() - begun < AT_ONCE) == ({"database": "out of reach"}, True)
        assert person.api.get("/api/health")["status"] == "ok"
    until = time.monotonic() + BETWEEN_TRIES + 1
    while own_app.extensions["breaker"].missed and time.monotonic() < until:
        person.api.http.get("/api/settings")
        time.sleep(0.1)
    person.api.get("/api/customers/me")


def test_a_write_is_told_in_eight_seconds(person: Customer, stack: Stack):
    login = {"email": person.email, "password": "over the hills 1843"}
    with frozen(stack, "api"):
        assert told(person.api, "POST", "/api/customers/login", login) < WRITE


def test_a_picture_that_storage_does_not_take_likewise(own_app: Flask, staff, stack: Stack):
    """Storage is another service: that it stands still says nothing of the database."""
    breaker: Breaker = own_app.extensions["breaker"]
    client = own_app.extensions["supabase"]
    with frozen(stack, "api"):
        begun = time.monotonic()
        with pytest.raises(Exception, match="timed out"):
            client.storage.from_("site-assets").upload("logos/x.png", b"x")
        assert time.monotonic() - begun < WRITE
    assert breaker.missed == 0


def test_one_at_a_time_tries():
    breaker, passed = Breaker(), 0
    for _ in range(IN_A_ROW):
        with pytest.raises(TimeoutError), breaker.watch(TimeoutError):
            raise TimeoutError
    breaker.next_try = 0.0
    with breaker.watch(TimeoutError):
        for _ in range(3):
            with pytest.raises(Unavailable), breaker.watch(TimeoutError):
                passed += 1
    with breaker.watch(TimeoutError):
        passed += 1
    assert passed == 1


def test_an_answer_between_keeps_it_closed_and_so_does_a_refused_connection():
    breaker = Breaker()
    for n in range(4 * IN_A_ROW):
        error = ConnectionRefusedError if n % 2 else TimeoutError
        with pytest.raises(error), breaker.watch(TimeoutError):
            raise error
        if n % IN_A_ROW == 0:
            with breaker.watch(TimeoutError):
                pass


def test_reads_are_what_writes_nothing(db: psycopg.Connection):
    """Of the functions that the service calls, those that SQL declares stable."""
    source = "".join(path.read_text() for path in Path(PROJECT, "service").rglob("*.py"))
    called = set(re.findall(r"rpc\(\s*(?:customer_id,\s*)?\"(\w+)\"", source))
    query = "select proname from pg_proc where pronamespace = 'public'::regnamespace and provolatile <> 'v'"
    stable = {name for (name,) in db.execute(query)}
    assert READS - TOUCHING == (called & stable)
    assert TOUCHING < READS
