"""`make bench`: what the main calls cost, beside the same PostgREST requests made bare and a minimal view.

All in one run on a stack of its own, so that the ratios hold on any machine; absolute times are this machine's.
"""

import argparse
import asyncio
import concurrent.futures
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import aiohttp
import bcrypt
import httpx
import psycopg

from devstack.stripe import signed
from service import create_app
from service.config import ACCOUNT_LIMITS, IP_LIMITS, Config
from tools.project import PROJECT, SEED
from tools.stack import Stack, free_ports

CONNECTIONS = (1, 16, 64)
PASSWORD = "bench horse 42 staple"
PEOPLE = 128
SLOW = 6  # times longer are the calls measured that run bcrypt: the last of them must not weigh
MARK = "zzmarkzz"  # stands for a number that is another one in each request


@dataclass
class Request:
    """One HTTP request; ``MARK`` in its address and body is replaced by a number each time it is sent."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass
class Figures:
    """Latency in milliseconds and requests per second."""

    p50: float
    p95: float
    per_second: float
    failed: int


Load = Callable[[int], list[Request]]  # the requests that one call number n consists of


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="for a program")
    parser.add_argument("--seconds", type=float, default=1.5, help="per figure")
    parser.add_argument("--only", default="", help="just the calls whose name holds this text")
    options = parser.parse_args()
    directory = PROJECT / ".devstack" / f"bench-{os.getpid()}"
    try:
        with Stack(directory, free_ports()) as stack:
            rows = measure(stack, options.seconds, options.only)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(json.dumps(rows, indent=2) if options.json else table(rows))
    return 0


def measure(stack: Stack, seconds: float, only: str) -> dict[str, Any]:
    """All figures: ``{"calls": [row], "minimal_view": {connections: figures}, "bcrypt": {…}}``."""
    stack.postgres.execute(SEED.read_text())
    limits = {f"LIMIT_{name.upper()}": "100000000 per hour" for name in IP_LIMITS}
    limits |= {f"LIMIT_{name.upper()}": "2000 per 1 second" for name in ACCOUNT_LIMITS}
    with mock.patch.dict(os.environ, {**limits, "LOG_LEVEL": "WARNING", "WEB_CONCURRENCY": "2"}):
        stack.serve()
    bench = Bench(stack, seconds, limits)
    minimal = bench.minimal_view()
    bare_bcrypt = bcrypt_per_second(seconds)
    rows = []
    for name, load in bench.calls():
        if only in name:
            rows.append(bench.row(name, load))
            print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    logins = next((row for row in rows if row["call"] == "login"), None)
    ratio = logins["service"][16]["per_second"] / bare_bcrypt if logins else None
    return {
        "calls": rows,
        "minimal_view": minimal,
        "bcrypt": {"alone_per_second": bare_bcrypt, "logins_at_16": ratio},
    }


class Bench:
    """The stack under measurement and the people in it."""

    def __init__(self, stack: Stack, seconds: float, limits: dict[str, str]) -> None:
        self.stack, self.seconds = stack, seconds
        self.numbers = itertools.count(1_000_000)
        environment = {**stack.service_environment(), **limits, "LOG_LEVEL": "ERROR"}
        with mock.patch.dict(os.environ, environment, clear=True):
            self.app = create_app(Config.from_env())
        self.recorded: list[Request] = []
        self.app.extensions["supabase"].postgrest.session.event_hooks["request"].append(self._record)
        self._people()

    def calls(self) -> Iterator[tuple[str, Load]]:
        """The main calls by name."""
        json_body = {"Content-Type": "application/json"}
        first = self.people[0]
        signed_in = {**json_body, "Authorization": f"Bearer {first['token']}"}
        register = {"email": f"new-{MARK}@example.com", "password": PASSWORD, "name": "Ada Byron", "phone": ""}
        booking = {
            "package_id": 1,
            "customer_email": f"guest-{MARK}@example.com",
            "customer_name": "Ada Byron",
            "customer_phone": "+44 20",
            "travel_date": "2030-01-01",
            "number_of_guests": 2,
        }
        account = f"/api/customers/{first['id']}"
        yield "health", lambda n: [Request("GET", "/api/health")]
        yield "public booking", lambda n: [Request("GET", "/api/bookings/" + self.booking_id)]
        yield "register", lambda n: [Request("POST", "/api/customers/register", json_body, register)]
        yield "login", lambda n: [Request("POST", "/api/customers/login", json_body, self._login(n))]
        yield "me", lambda n: [Request("GET", "/api/customers/me", signed_in)]
        yield "profile", lambda n: [Request("PUT", account, signed_in, {"name": "Ada Byron", "phone": "+44"})]
        yield "addresses", lambda n: [Request("GET", f"{account}/addresses", signed_in)]
        yield "bookings", lambda n: [Request("GET", f"{account}/bookings", signed_in)]
        yield "book", lambda n: [Request("POST", "/api/bookings", json_body, booking)]
        intent = {"bookingId": self.booking_id}
        yield "create intent", lambda n: [Request("POST", "/api/payments/create-payment-intent", signed_in, intent)]
        yield "payment status", lambda n: [Request("GET", f"/api/payments/booking/{self.booking_id}", signed_in)]
        yield "webhook", lambda n: [self._webhook()]

    def row(self, name: str, load: Load) -> dict[str, Any]:
        """One call's costs: PostgREST requests, and figures for it and for those requests bare."""
        self.recorded.clear()
        self._call_in_process(load(next(self.numbers))[0])
        bare = list(self.recorded)
        figures: dict[str, Any] = {"call": name, "postgrest_requests": len(bare), "service": {}, "bare": {}}
        seconds = self.seconds * (SLOW if name in ("register", "login") else 1)
        for connections in CONNECTIONS:
            service = self._load(self.stack.url("service"), load, connections, seconds)
            figures["service"][connections] = vars(service)
            if bare:
                figures["bare"][connections] = vars(self._load(self.stack.url("api"), lambda n: bare, connections))
        return figures

    def minimal_view(self) -> dict[int, Any]:
        """The figures of a ten-line view with one supabase-py call, under the same gunicorn settings."""
        port = free_ports()["service"]
        environment = {**os.environ, **self.stack.service_environment(), "PORT": str(port), "WEB_CONCURRENCY": "2"}
        command = [sys.executable, "-m", "gunicorn", "tools.bench_view:app", "--log-level", "error"]
        process = subprocess.Popen(command, cwd=PROJECT, env=environment)
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(200):
                try:
                    httpx.get(url)
                    break
                except httpx.HTTPError:
                    time.sleep(0.05)
            return {c: vars(self._load(url, lambda n: [Request("GET", "/")], c)) for c in CONNECTIONS}
        finally:
            process.terminate()
            process.wait()

    def _people(self) -> None:
        """Verified customers with sessions, and a booking of the first."""
        client = self.app.test_client()
        self.people = []
        for n in range(PEOPLE):
            email = f"bench-{n}@example.com"
            person = {"email": email, "password": PASSWORD, "name": "Ada Byron"}
            answer = client.post("/api/customers/register", json=person).get_json()
            self.people.append({"id": answer["customerId"], "email": email, "token": answer["token"]})
        with psycopg.connect(self.stack.postgres.uri(), autocommit=True) as db:
            db.execute("update customers set status = 'active', verified_at = now()")
            query = "insert into bookings (name, email, customer_id, package, package_id, travel_date, amount)"
            query += " values ('Ada', %s, %s, 'Northern Lights', 1, '2030-01-01', 299.99) returning id"
            values = [self.people[0]["email"], self.people[0]["id"]]
            self.booking_id = str(db.execute(query, values).fetchall()[0][0])

    def _login(self, n: int) -> dict[str, str]:
        return {"email": self.people[n % PEOPLE]["email"], "password": PASSWORD}

    def _webhook(self) -> Request:
        """A signed event of a payment that is not ours, with an id of its own: recorded, and nothing to do."""
        event = {
            "id": f"evt_bench_{next(self.numbers)}",
            "object": "event",
            "type": "payment_intent.processing",
            "created": int(time.time()),
            "livemode": False,
            "api_version": "2026-10-28.endive",
            "data": {
                "object": {
                    "id": f"pi_bench_{next(self.numbers)}",
                    "object": "payment_intent",
                    "amount": 29999,
                    "currency": "usd",
                    "status": "processing",
                    "metadata": {},
                }
            },
        }
        body = json.dumps(event)
        headers = signed(body.encode(), self.stack.secrets["stripe_webhook_secret"])
        return Request("POST", "/api/payments/process-webhook", headers, body)

    def _call_in_process(self, request: Request) -> None:
        body = request.body if isinstance(request.body, str) else json.dumps(request.body)
        answer = self.app.test_client().open(
            request.path, method=request.method, headers=request.headers, data=body if request.body else None
        )
        if answer.status_code >= 400:
            raise RuntimeError(f"{request.method} {request.path} answered {answer.status_code}: {answer.text}")

    def _record(self, request: httpx.Request) -> None:
        headers = {k: v for k, v in request.headers.items() if k in ("authorization", "apikey", "prefer", "accept")}
        if request.content:
            headers["Content-Type"] = "application/json"
        path = request.url.raw_path.decode()
        self.recorded.append(Request(request.method, path, headers, request.content.decode() or None))

    def _load(self, url: str, load: Load, connections: int, seconds: float | None = None) -> Figures:
        return asyncio.run(_drive(url, load, connections, seconds or self.seconds, self.numbers))


async def _drive(url: str, load: Load, connections: int, seconds: float, numbers: Iterator[int]) -> Figures:
    """Keep so many connections busy for so long."""
    took: list[float] = []
    failed = 0
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one_call() -> bool:
            number = next(numbers)
            for request in load(number):
                body = request.body
                if body is not None:
                    text = body if isinstance(body, str) else json.dumps(body)
                    body = text.replace(MARK, str(number)).encode()
                path = request.path.replace(MARK, str(number))
                async with session.request(request.method, url + path, data=body, headers=request.headers) as answer:
                    await answer.read()
                    if answer.status >= 400:
                        return False
            return True

        async def connection() -> None:
            nonlocal failed
            while time.perf_counter() < deadline:
                started = time.perf_counter()
                failed += not await one_call()
                took.append((time.perf_counter() - started) * 1000)

        for _ in range(3):
            await one_call()
        begun = time.perf_counter()
        deadline = begun + seconds
        await asyncio.gather(*(connection() for _ in range(connections)))
        elapsed = time.perf_counter() - begun
    took.sort()
    p95 = took[min(len(took) - 1, int(len(took) * 0.95))]
    return Figures(round(statistics.median(took), 2), round(p95, 2), round(len(took) / elapsed, 1), failed)


def bcrypt_per_second(seconds: float) -> float:
    """Checks per second that bcrypt alone makes with all cores busy, at the default cost of 10."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10))
    deadline = time.perf_counter() + seconds * 2
    begun = time.perf_counter()

    def check() -> int:
        count = 0
        while time.perf_counter() < deadline:
            bcrypt.checkpw(PASSWORD.encode(), hashed)
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        total = sum(job.result() for job in [pool.submit(check) for _ in range(os.cpu_count() or 1)])
    return round(total / (time.perf_counter() - begun), 1)


def table(measured: dict[str, Any]) -> str:
    """The figures as plain text."""
    head = f"{'call':<16}{'reqs':>5}{'conns':>7}{'p50 ms':>9}{'p95 ms':>9}"
    head += f"{'per s':>9}{'bare/s':>9}{'ratio':>7}{'failed':>8}"
    lines = [head, "-" * len(head)]
    rows = [{"call": "(minimal view)", "postgrest_requests": 1, "service": measured["minimal_view"], "bare": {}}]
    for row in rows + measured["calls"]:
        for connections, figures in row["service"].items():
            bare = row["bare"].get(connections)
            ratio = f"{figures['per_second'] / bare['per_second']:.2f}" if bare else ""
            lines.append(
                f"{row['call']:<16}{row['postgrest_requests']:>5}{connections:>7}{figures['p50']:>9}{figures['p95']:>9}"
                f"{figures['per_second']:>9}{bare['per_second'] if bare else '':>9}{ratio:>7}{figures['failed']:>8}"
            )
    alone, share = measured["bcrypt"]["alone_per_second"], measured["bcrypt"]["logins_at_16"]
    lines.append(f"\nbcrypt alone, all cores: {alone} checks per second")
    if share is not None:
        lines.append(f"logins at 16 connections reach {share:.0%} of that")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
