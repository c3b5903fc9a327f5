"""What the tests of customer accounts have beside the common fixtures."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from flask import Flask

from service.credentials import new_token
from tests.client import Client
from tests.factories import PASSWORD, unique_email
from tests.sure import fetch_row
from tools.stack import Stack


@pytest.fixture
def link(db: psycopg.Connection) -> Callable[..., dict[str, str]]:
    """The link of the newest such mail to an address, minted as the worker does: {customerId, token}."""

    def mint(email: str, template: str = "email-verification", ttl: int = 3600) -> dict[str, str]:
        query = "select id from email_outbox where recipient = %s and template = %s order by created_at desc limit 1"
        (email_id,) = fetch_row(db, query, [email, template])
        token, hashed = new_token()
        (made,) = fetch_row(db, "select issue_email_token(%s, %s, %s)", [email_id, hashed, ttl])
        return {**({"customerId": made["customer_id"]} if made else {}), "token": token}

    return mint


@pytest.fixture
def newcomer(api: Client) -> dict[str, str]:
    """Somebody who registered and has not verified yet: what they sent and what they were answered."""
    sent = {"email": unique_email("newcomer"), "password": PASSWORD, "name": "Grace Hopper"}
    return {**sent, **api.post("/api/customers/register", sent, expect=201)}


@pytest.fixture
def client_with(app_with: Callable[..., Flask]) -> Callable[..., Client]:
    """A client of an application with other settings: ``client_with(LIMIT_LOGIN="3 per hour")``."""
    return lambda **environment: Client(app_with(**environment))


@pytest.fixture
def race(app: Flask) -> Callable[..., list[tuple[int, Any]]]:
    """Makes the same call many times at once, each from an address of its own: [(status, body)]."""

    def run(count: int, method: str, path: str, body: Any = None, token: str | None = None) -> list[tuple[int, Any]]:
        start = threading.Barrier(min(count, 16))

        def call(number: int) -> tuple[int, Any]:
            client = Client(app, token)
            if number < 16:
                start.wait(10)
            sent = body(number) if callable(body) else body
            response = client.http.open(
                path,
                method=method,
                json=sent,
                headers={"Authorization": f"Bearer {token}"} if token else {},
                environ_base={"REMOTE_ADDR": client.address},
            )
            return response.status_code, response.get_json()

        with ThreadPoolExecutor(16) as threads:
            return list(threads.map(call, range(count)))

    return run


@pytest.fixture
def overlap(stack: Stack) -> Callable[..., tuple[Any, Any]]:
    """Calls an SQL function twice, the second while the first is not committed: both answers (or the error)."""

    def run(query: str, first: list[Any], second: list[Any]) -> tuple[Any, Any]:
        def late() -> Any:
            with psycopg.connect(stack.postgres.uri(), autocommit=True) as connection:
                try:
                    return fetch_row(connection, query, second)[0]
                except psycopg.Error as error:
                    return error

        with psycopg.connect(stack.postgres.uri()) as connection, ThreadPoolExecutor(1) as threads:
            answer = fetch_row(connection, query, first)[0]
            waiting = threads.submit(late)
            with pytest.raises(TimeoutError):
                waiting.result(0.2)
            connection.commit()
            return answer, waiting.result(5)

    return run


@pytest.fixture
def round_trips(app: Flask) -> Iterator[list[str]]:
    """The PostgREST requests made while a test runs, as "METHOD name"."""
    made: list[str] = []

    def note(request: Any) -> None:
        made.append(f"{request.method} {request.url.path.rpartition('/')[2]}")

    hooks = app.extensions["supabase"].postgrest.session.event_hooks
    hooks["request"].append(note)
    yield made
    hooks["request"].remove(note)


@pytest.fixture
def events(db: psycopg.Connection) -> Callable[[str], Counter[str]]:
    """How often each audit row was written for a customer."""
    query = "select name from customer_events where customer_id = %s"
    return lambda customer_id: Counter(name for (name,) in db.execute(query, [customer_id]))
