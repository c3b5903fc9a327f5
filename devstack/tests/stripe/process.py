"""A local Stripe in a process, an endpoint for its webhooks, and the calls that many tests begin with."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import stripe
from stripe import StripeClient

from devstack.stripe import Control

SECRET = "whsec_test"


class Process:
    """A local Stripe of our own, which can be killed and started again on the same state and port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.port, self.options = folder, 0, options
        self.start()

    def start(self) -> None:
        flags = ["--port", str(self.port), "--state", str(self.folder / "stripe.sqlite"), "--settle-after", "0.3"]
        flags += ["--webhook-backoff", "0.05", "--webhook-max-backoff", "0.2", "--webhook-timeout", "2"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devstack.stripe", *flags, *self.options], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        told = re.search(r":(\d+)$", self.process.stdout.readline().strip())
        assert told, "it did not start"
        self.port = int(told[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(5)
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def client(self, key: str = "sk_test_local", retries: int = 0) -> StripeClient:
        http = stripe.RequestsClient(timeout=(1, 3))
        return StripeClient(key, base_addresses={"api": self.url}, http_client=http, max_network_retries=retries)


class Receiver(ThreadingHTTPServer):
    """A webhook endpoint that verifies each signature and answers what it is told, 200 by default."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ReceiverHandler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        self.got: list[dict[str, Any]] = []
        self.answers: list[int] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """A sender that was killed meanwhile is no news; a wrong signature shows as an event that never arrives."""

    def types(self) -> list[str]:
        return [event["type"] for event in self.got]


class ReceiverHandler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        event = stripe.Webhook.construct_event(body, self.headers["Stripe-Signature"], SECRET)
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status == 200:
            self.server.got.append(json.loads(body))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(event.id.encode())

    def log_message(self, *_: Any) -> None: ...


def new_intent(v1: Any, amount: int = 29999, **more: Any) -> Any:
    return v1.payment_intents.create({"amount": amount, "currency": "usd", **more})


def paid_intent(v1: Any, control: Control, card: str = "pm_card_visa", amount: int = 10000) -> Any:
    intent = new_intent(v1, amount)
    control.confirm(intent.id, card)
    return v1.payment_intents.retrieve(intent.id)


def refused(call: Callable[[], Any]) -> Any:
    """The SDK's error."""
    with pytest.raises(stripe.StripeError) as caught:
        call()
    return caught.value


def types(control: Control, about: str, beginning: str = "") -> list[str]:
    """The types of the events about an object, oldest first; `beginning` leaves out those of before the first such."""
    found = [event["type"] for event in control.events(about=about)]
    first = next(place for place, type in enumerate(found) if type.startswith(beginning))
    return [type for type in found[first:] if type != "charge.refunded"]
