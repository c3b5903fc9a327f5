"""A local Razorpay in a process, an endpoint for its webhooks, and the calls that many tests begin with."""

import hashlib
import hmac
import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

SECRET, KEY, KEY_SECRET = "hook_test", "rzp_test_local", "local"


class Process:
    """A local Razorpay of our own, which can be killed and started again on the same state and port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.port, self.options = folder, 0, options
        self.start()

    def start(self) -> None:
        flags = ["--port", str(self.port), "--state", str(self.folder / "razorpay.sqlite"), "--settle-after", "0.2"]
        flags += ["--webhook-backoff", "0.05", "--webhook-max-backoff", "0.2", "--webhook-timeout", "2"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devstack.razorpay", *flags, *self.options], stdout=subprocess.PIPE, text=True
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
    """Calls with the account's key: `ok` gives the body of a 200, `error` the error of what is refused."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=f"{url}/v1", auth=(KEY, KEY_SECRET), trust_env=False, timeout=5)

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        answer = self.http.request(method, path, json=body, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def error(self, method: str, path: str, body: Any = None, *, status: int = 400, **options: Any) -> dict[str, Any]:
        answer = self.http.request(method, path, json=body, **options)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()["error"]
        return found

    def order(self, amount: int = 10000, **more: Any) -> Any:
        return self.ok("POST", "/orders", {"amount": amount, "currency": "INR", **more})


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


class ReceiverHandler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mark = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert mark == self.headers["X-Razorpay-Signature"]
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status == 200:
            self.server.got.append({"id": self.headers["x-razorpay-event-id"], **json.loads(body)})
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...
