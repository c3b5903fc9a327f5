"""One local Razorpay per module, emptied for each test."""

import signal
from collections.abc import Iterator

import pytest

from devstack.razorpay import Control
from tests.razorpay.process import SECRET, Api, Process, Receiver


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("razorpay"))
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
def api(process: Process, control: Control) -> Iterator[Api]:
    api = Api(process.url)
    yield api
    api.http.close()


@pytest.fixture
def receiver(control: Control) -> Iterator[Receiver]:
    receiver = Receiver()
    control.webhook(url=receiver.url)
    yield receiver
    control.webhook(url=None)
    receiver.shutdown()
    receiver.server_close()
