"""The stack that all tests share, and the clients they speak to it with."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from unittest import mock

import psycopg
import pytest
from flask import Flask

from devstack.mailbox import Mailbox
from devstack.postgres import Postgres
from service import create_app
from service.config import IP_LIMITS, Config
from service.mail.worker import Worker
from tests.client import Client
from tests.database.existing import PROJECTS
from tests.factories import Customer, Staff, make_customer, make_staff
from tools.project import PROJECT, SEED
from tools.stack import Stack, free_ports

os.environ["BOOKING_MAIL_HOLD"] = "0"  # for the stacks of the tests too: mails about bookings leave at once

DIRECTORY = PROJECT / ".devstack" / f"test-{os.getpid()}"
# The whole suite also runs over a project that was there before: one of PROJECTS, instead of an empty one.
PROJECT_BEFORE = os.environ.get("TEST_PROJECT")
CLOSED = "http://127.0.0.1:9"  # nobody listens on the discard port


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Postgres, Supabase's API, Stripe and the mailbox, on a database and ports of their own."""
    begin_with_project(DIRECTORY / "stack")
    with Stack(DIRECTORY / "stack", free_ports()) as running:
        yield running


@pytest.fixture(scope="session")
def served() -> Iterator[Stack]:
    """Another one with its seed, gunicorn and the worker: for what only real processes show.

    In a project of the newer kind, which grants nothing by itself: what the service needs, the migrations grant.
    """
    with Stack(DIRECTORY / "served", free_ports(), default_privileges=False) as running:
        running.postgres.execute(SEED.read_text())
        running.serve()
        yield running


@pytest.fixture(scope="session")
def settings_for(stack: Stack) -> Callable[..., Config]:
    """Settings against the stack; keywords are environment variables put over its own (None takes one away)."""

    def make(**changes: str | None) -> Config:
        given = {
            **stack.service_environment(),
            "BCRYPT_ROUNDS": "4",
            "LOG_LEVEL": "WARNING",
            "WEB_CONCURRENCY": "1",
            **changes,
        }
        with mock.patch.dict(os.environ, {k: v for k, v in given.items() if v is not None}, clear=True):
            return Config.from_env()

    return make


@pytest.fixture(scope="session")
def app_of() -> Iterator[Callable[[Config], Flask]]:
    """Makes applications of settings, and ends their connections."""
    made = []

    def make(settings: Config) -> Flask:
        made.append(create_app(settings))
        return made[-1]

    yield make
    for app in made:
        app.extensions["supabase"].postgrest.session.close()
        for gateway in app.extensions.get("payment_gateways", {}).values():
            gateway.session.close()
        app.extensions["rest"].close()


@pytest.fixture(scope="session")
def app_with(settings_for: Callable[..., Config], app_of: Callable[[Config], Flask]) -> Callable[..., Flask]:
    """Makes applications with other settings; keywords as for ``settings_for``."""
    return lambda **changes: app_of(settings_for(**changes))


@pytest.fixture(scope="session")
def app(app_with: Callable[..., Flask]) -> Flask:
    return app_with()


@pytest.fixture
def api(app: Flask) -> Client:
    """Nobody in particular, from an address of their own."""
    return Client(app)


@pytest.fixture(scope="session")
def lone_app() -> Flask:
    """An application without a database behind it: what it answers must not need one."""
    return create_app(
        Config(
            is_production=False,
            supabase_url=CLOSED,
            supabase_key="service",
            jwt_secret="a secret of the tests, long enough",
            frontend_url="http://site.example",
            cors_origins=("http://site.example",),
            bcrypt_rounds=4,
            log_level="CRITICAL",
            ip_limits={**IP_LIMITS, "login": "1000000 per hour"},
        )
    )


@pytest.fixture
def lone(lone_app: Flask) -> Client:
    return Client(lone_app)


@pytest.fixture
def customer(api: Client, db: psycopg.Connection) -> Customer:
    """A verified customer with a session; ``customer.api`` calls as them."""
    return make_customer(api, db)


@pytest.fixture
def staff(api: Client, db: psycopg.Connection) -> Callable[..., Staff]:
    """Makes members of staff: ``staff("Guide").api`` calls as one."""
    return lambda role="Admin": make_staff(api, db, role)


@pytest.fixture(scope="session")
def db(stack: Stack) -> Iterator[psycopg.Connection]:
    """The owner's connection: for setting up what no route can, and for looking at what is stored."""
    with psycopg.connect(stack.postgres.uri(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def mailbox(stack: Stack) -> Iterator[Mailbox]:
    with closing(Mailbox(stack.url("mailbox"))) as client:
        yield client


@pytest.fixture
def deliver(app: Flask) -> Callable[[], None]:
    """Sends every mail that is due, as `flask worker` would; then ``mailbox.wait_for`` finds it at once."""

    def send_all() -> None:
        with app.app_context():
            worker = Worker(app.extensions["config"])
            while worker.step():
                pass
            worker.server.close()

    return send_all


def begin_with_project(directory: Path) -> None:
    """Put the project that was there before into a stack's empty database, where one is to be."""
    if PROJECT_BEFORE:
        with Postgres(directory) as postgres:
            postgres.execute(PROJECTS[PROJECT_BEFORE])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if PROJECT_BEFORE:
        for item in items:
            if item.get_closest_marker("fresh"):
                item.add_marker(pytest.mark.skip(reason="is about an empty project"))


def pytest_sessionstart() -> None:
    """Sweep away what killed runs left behind."""
    for left in DIRECTORY.parent.glob("test-*"):
        if not Path(f"/proc/{left.name.removeprefix('test-')}").exists():
            shutil.rmtree(left, ignore_errors=True)


def pytest_sessionfinish() -> None:
    shutil.rmtree(DIRECTORY, ignore_errors=True)
