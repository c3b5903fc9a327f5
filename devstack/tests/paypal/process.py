"""A local PayPal in a process, an endpoint for its webhooks, and the calls that many tests begin with."""

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from devstack.paypal import Control

CLIENT = ("local-client", "local-secret")
WEBHOOK_ID = "LOCALWEBHOOK00001"
WHOLE = {"Prefer": "return=representation"}


class Process:
    """A local PayPal of our own, which can be killed and started again on the same state and port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.port, self.options = folder, 0, options
        self.start()

    def start(self) -> None:
        flags = ["--port", str(self.port), "--state", str(self.folder / "paypal.sqlite")]
        flags += ["--webhook-backoff", "0.05", "--webhook-max-backoff", "0.2", "--webhook-timeout", "2"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devstack.paypal", *flags, *self.options], stdout=subprocess.PIPE, text=True
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


class Api:
    """Calls with a token: `ok` gives the body of what was done, `issue` the issue of what is refused."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=5)
        self.log_in()

    def log_in(self) -> None:
        answer = self.http.post("/v1/oauth2/token", data={"grant_type": "client_credentials"}, auth=CLIENT)
        assert answer.status_code == 200, answer.text
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def call(self, method: str, path: str, body: Any = None, request_id: str = "", **options: Any) -> httpx.Response:
        headers = WHOLE | ({"PayPal-Request-Id": request_id} if request_id else {})
        json_body = {} if body is None and method == "POST" else body
        return self.http.request(method, path, json=json_body, headers=headers, **options)

    def ok(self, method: str, path: str, body: Any = None, request_id: str = "", **options: Any) -> Any:
        answer = self.call(method, path, body, request_id, **options)
        assert answer.is_success, answer.text
        return answer.json()

    def issue(self, method: str, path: str, body: Any = None, request_id: str = "", status: int = 422) -> str:
        answer = self.call(method, path, body, request_id)
        assert answer.status_code == status, answer.text
        found: str = answer.json()["details"][0]["issue"]
        return found

    def order(self, value: str = "100.00", currency: str = "USD", **unit: Any) -> Any:
        return self.ok("POST", "/v2/checkout/orders", new_order(value, currency, **unit), f"new-{value}-{unit}")

    def get(self, order: Any) -> Any:
        return self.ok("GET", f"/v2/checkout/orders/{order['id']}")

    def capture(self, order: Any) -> Any:
        """The capture of an approved order."""
        done = self.ok("POST", f"/v2/checkout/orders/{order['id']}/capture")
        return done["purchase_units"][0]["payments"]["captures"][0]

    def paid(self, control: Control, value: str = "100.00", **unit: Any) -> tuple[Any, Any]:
        order = self.order(value, **unit)
        control.pay(order["id"])
        return order, self.capture(order)

    def refund(self, capture: Any, value: str | None = None, request_id: str = "", **body: Any) -> Any:
        body |= {"amount": {"currency_code": "USD", "value": value}} if value else {}
        return self.ok("POST", f"/v2/payments/captures/{capture['id']}/refund", body, request_id)


def new_order(value: str = "100.00", currency: str = "USD", **unit: Any) -> dict[str, Any]:
    context = {
        "return_url": "https://shop.example/payment/7?way=paypal",
        "cancel_url": "https://shop.example/payment/7",
        "shipping_preference": "NO_SHIPPING",
        "user_action": "PAY_NOW",
    }
    unit |= {"amount": {"currency_code": currency, "value": value}}
    source = {"paypal": {"experience_context": context}}
    return {"intent": "CAPTURE", "purchase_units": [unit], "payment_source": source}


class Receiver(ThreadingHTTPServer):
    """A webhook endpoint that keeps what comes, and answers what it is told, 200 by default."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ReceiverHandler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        self.got: list[dict[str, Any]] = []
        self.raw: list[tuple[str, dict[str, str]]] = []
        self.answers: list[int] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """A sender that was killed meanwhile is no news."""

    def types(self) -> list[str]:
        return [event["event_type"] for event in self.got]


class ReceiverHandler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status == 200:
            self.server.raw.append((body, {name.lower(): value for name, value in self.headers.items()}))
            self.server.got.append(json.loads(body))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...
