"""The process: what it keeps, how it ends."""

import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any

from devstack.stripe import Control, wait_for
from tests.stripe.process import Process, Receiver


def test_nothing_answered_is_lost_by_a_kill(process: Process, v1: Any, control: Control, receiver: Receiver) -> None:
    options = {"idempotency_key": "k"}
    body = {"amount": 5000, "currency": "usd", "customer": v1.customers.create({"email": "a@b.co"}).id}
    intent = v1.payment_intents.create(body, options)
    control.wait_delivered()
    receiver.answers = [503] * 1000
    control.confirm(intent.id, "pm_usBankAccount_success")
    events = {event["id"] for event in control.events()}
    process.end(signal.SIGKILL)
    receiver.answers = []
    process.start()
    client: Any = process.client().v1
    assert client.payment_intents.create(body, options).id == intent.id
    assert events <= {event["id"] for event in control.events()}
    wait_for(lambda: client.payment_intents.retrieve(intent.id).status == "succeeded", 3, "it did not settle")
    control.wait_delivered()
    assert {event["id"] for event in receiver.got} == {event["id"] for event in control.events()}
    assert client.refunds.create({"payment_intent": intent.id}).amount == 5000


def test_state_file_of_an_older_version_is_read() -> None:
    from devstack.stripe.disputes import Dispute
    from devstack.stripe.state import Unpickler

    assert Unpickler(BytesIO(b"cdevstack.stripe.refunds\nDispute\n.")).load() is Dispute


def test_process_ends_at_once_and_guards_its_file(tmp_path: Path) -> None:
    process = Process(tmp_path)
    second = subprocess.run(
        [sys.executable, "-m", "devstack.stripe", "--port", "0", "--state", str(tmp_path / "stripe.sqlite")],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert second.returncode == 1 and "another local Stripe" in second.stderr
    taken = subprocess.run(
        [sys.executable, "-m", "devstack.stripe", "--port", str(process.port), "--state", str(tmp_path / "b.sqlite")],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert taken.returncode == 1 and f"Port {process.port}" in taken.stderr and "STRIPE_LOCAL_PORT" in taken.stderr
    started = time.monotonic()
    assert process.end(signal.SIGTERM) == 0 and time.monotonic() - started < 1
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} <= {"stripe.sqlite", "b.sqlite"}
