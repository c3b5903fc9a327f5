"""The promises about accounts at full length, against gunicorn with four workers: `make proof`."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import httpx
import psycopg
import pytest

from service.config import IP_LIMITS
from tests.factories import PASSWORD
from tools.project import PROJECT
from tools.stack import Stack, free_ports

GUESSES, ADDRESSES, CALLERS = 10_000, 1_000, 16

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[str, psycopg.Connection]]:
    """The address of a service with four workers behind one proxy, without limits per IP, and its database."""
    directory = PROJECT / ".devstack" / f"proof-{os.getpid()}"
    environment = {f"LIMIT_{name.upper()}": "10000000 per hour" for name in IP_LIMITS}
    environment |= {"WEB_CONCURRENCY": "4", "PROXY_HOPS": "1", "LOG_LEVEL": "ERROR"}
    try:
        with mock.patch.dict(os.environ, environment), Stack(directory, free_ports()) as stack:
            stack.start_part("service")
            stack.wait_until_ready("service", "/api/health")
            with psycopg.connect(stack.postgres.uri(), autocommit=True) as db:
                yield stack.url("service") + "/api/customers", db
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def register(url: str, db: psycopg.Connection, email: str) -> dict[str, str]:
    person = {"email": email, "password": PASSWORD, "name": "Ada Byron"}
    answer = httpx.post(f"{url}/register", json=person).json()
    db.execute("update customers set status = 'active', verified_at = now() where id = %s", [answer["customerId"]])
    return answer


def test_10000_guesses_from_1000_addresses_get_ten_tries_and_do_not_lock_the_owner_out(service) -> None:
    url, db = service
    email = "guessed@example.com"
    register(url, db, email)
    home = {"X-Forwarded-For": "192.0.2.7"}
    right = {"email": email, "password": PASSWORD}
    assert httpx.post(f"{url}/login", json=right, headers=home).status_code == 200

    started = time.monotonic()
    with httpx.Client(limits=httpx.Limits(max_connections=CALLERS)) as client, ThreadPoolExecutor(CALLERS) as threads:

        def guess(number: int) -> int:
            source = {"X-Forwarded-For": f"10.0.{number % ADDRESSES // 250}.{number % ADDRESSES % 250}"}
            return client.post(
                f"{url}/login", json={**right, "password": f"guess {number}"}, headers=source
            ).status_code

        statuses = Counter(threads.map(guess, range(GUESSES)))
    minutes = (time.monotonic() - started) / 60
    print(f"{GUESSES} guesses in {minutes:.1f} minutes: {dict(statuses)}")
    assert statuses[429] + statuses[401] == GUESSES
    assert statuses[401] <= 10 * (1 + minutes // 5)
    assert httpx.post(f"{url}/login", json=right, headers=home).status_code == 200


def test_an_ended_session_is_refused_by_every_worker_from_the_next_request_on(service) -> None:
    url, db = service
    late = 0
    for number in range(50):
        token = register(url, db, f"ended-{number}@example.com")["token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}/me", headers=headers).status_code == 200
        assert httpx.post(f"{url}/logout", headers=headers).status_code == 200
        with ThreadPoolExecutor(CALLERS) as threads:  # a connection each, so that all workers are met
            answers = threads.map(lambda _, sent=headers: httpx.get(f"{url}/me", headers=sent).status_code, range(16))
            late += sum(status != 401 for status in answers)
    assert late == 0


def test_nothing_in_the_whole_database_opens_an_account(service) -> None:
    """Every text that is stored anywhere, as a session, a verification link and a reset link."""
    url, db = service
    customer = register(url, db, "dumped@example.com")
    httpx.post(f"{url}/forgot-password", json={"email": "dumped@example.com"})
    tables = db.execute("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
    stored = {
        value[:200]
        for (table,) in tables.fetchall()
        for (row,) in db.execute(f'select to_jsonb(t) from "{table}" t').fetchall()
        for value in row.values()
        if isinstance(value, str) and value.strip() and value.isprintable()
    }
    accepted = []
    with httpx.Client() as client:
        for value in stored:
            sent = {"customerId": customer["customerId"], "token": value, "newPassword": "entirely new one"}
            answers = (
                client.get(f"{url}/me", headers={"Authorization": b"Bearer " + value.encode()}),
                client.post(f"{url}/verify-email", json=sent),
                client.post(f"{url}/reset-password", json=sent),
            )
            accepted += [value for answer in answers if answer.status_code < 400]
    print(f"{len(stored)} stored values tried as three things: {len(accepted)} accepted")
    assert accepted == []
