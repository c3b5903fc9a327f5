"""One local Stripe per module, emptied for each test."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from devstack.stripe import Control
from tests.stripe.process import SECRET, Process, Receiver


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("stripe"))
    yield process
    if process.process.poll() is None:
        process.end(signal.SIGTERM)


@pytest.fixture
def control(process: Process) -> Iterator[Control]:
    control = Control(process.url)
    control.webhook(url=None, secret=SECRET, enabled=True)
    control.reset()
    yield control
    control.http.close()


@pytest.fixture
def v1(process: Process, control: Control) -> Any:
    return process.client().v1


@pytest.fixture
def receiver(control: Control) -> Iterator[Receiver]:
    receiver = Receiver()
    control.webhook(url=receiver.url)
    yield receiver
    control.webhook(url=None)
    receiver.shutdown()
    receiver.server_close()
