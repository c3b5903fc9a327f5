"""The parts together: Postgres, Supabase's API, payment gateways, the mailbox, and what a project runs beside them."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Self

import httpx
import jwt
import psycopg
from psycopg.rows import dict_row

from devstack.postgres import Postgres
from devstack.processes import die_with_parent, signal_group

HOST = "127.0.0.1"
# What listens where, and the variable that moves it.
Ports = Mapping[str, tuple[str, int]]
PORTS: Ports = {
    "api": ("DEVSTACK_API_PORT", 54321),
    "stripe": ("DEVSTACK_STRIPE_PORT", 12111),
    "razorpay": ("DEVSTACK_RAZORPAY_PORT", 12112),
    "paypal": ("DEVSTACK_PAYPAL_PORT", 12113),
    "smtp": ("DEVSTACK_SMTP_PORT", 1025),
    "mailbox": ("DEVSTACK_MAILBOX_PORT", 8025),
}


class StackError(Exception):
    """Why the stack cannot start, in a sentence."""


class PortTaken(StackError):
    """A port is in use; ``part``, ``port`` and ``variable`` say which and how to move it."""

    def __init__(self, part: str, port: int, variable: str) -> None:
        super().__init__(f"Port {port} is in use. Choose another for the {part}: {variable}={port + 1}")
        self.part, self.port, self.variable = part, port, variable


@dataclass(frozen=True)
class Part:
    """A process of the stack. ``ready`` is a path of its port that answers below 500 when it is."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    ready: str | None = None


class Stack:
    """The local parts over one directory that keeps their data. ``start`` and ``stop``, or a context manager.

    directory    where everything is kept; made when it is not there
    ports        by part: api, the gateways, smtp, mailbox, and those of further parts
    root         the folder that the parts run in
    migrations   a folder of SQL files, applied in order when the stack starts
    seed         a SQL file for a fresh database, where ``start`` is asked for it
    gateways     the payment gateways that are started (stripe, razorpay, paypal), and where each sends its events
    previews     a module whose mails the mailbox shows, see devstack.mailbox
    currencies   what the local Stripe takes, see devstack.stripe: a JSON file, or a query that gives its rows
    default_privileges  whether what is new in public is granted to everybody, see devstack.postgres

    A project with processes of its own extends ``parts`` and calls ``start_part`` for each; one whose database needs
    more than migrations before the seed extends ``migrate``.
    """

    def __init__(
        self,
        directory: Path,
        ports: dict[str, int],
        *,
        root: Path | None = None,
        migrations: Path | None = None,
        seed: Path | None = None,
        gateways: Mapping[str, str | None] = MappingProxyType({"stripe": None}),
        previews: str | None = None,
        currencies: Path | str | None = None,
        default_privileges: bool = True,
    ) -> None:
        self.directory, self.ports, self.root = directory, ports, root or Path.cwd()
        self.seed, self.gateways, self.previews, self.currencies = seed, gateways, previews, currencies
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.directory.mkdir(parents=True, exist_ok=True)
        self.postgres = Postgres(self.directory, migrations=migrations, default_privileges=default_privileges)
        self.secrets = self._secrets()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, part: str) -> str:
        """Where a part answers."""
        return f"http://{HOST}:{self.ports[part]}"

    def key(self, role: str) -> str:
        """A Supabase API key of the old kind for a role: anon or service_role."""
        claims = {"role": role, "iss": "supabase", "iat": 1_700_000_000, "exp": 2_500_000_000}
        return jwt.encode(claims, self.secrets["supabase_jwt_secret"], "HS256")

    def environment(self) -> dict[str, str]:
        """The variables by which an application commonly finds these parts."""
        return {
            "SUPABASE_URL": self.url("api"),
            "SUPABASE_SERVICE_ROLE_KEY": self.key("service_role"),
            "SUPABASE_ANON_KEY": self.key("anon"),
            "SUPABASE_JWT_SECRET": self.secrets["supabase_jwt_secret"],
            **{name: value for gateway in self.gateways for name, value in self.gateway_environment(gateway).items()},
            "SMTP_HOST": HOST,
            "SMTP_PORT": str(self.ports["smtp"]),
        }

    def gateway_environment(self, gateway: str) -> dict[str, str]:
        """The variables of one payment gateway: its keys and where it is."""
        keys = {name.upper(): value for name, value in self.secrets.items() if name.startswith(f"{gateway}_")}
        return {**keys, f"{gateway.upper()}_API_BASE": self.url(gateway)}

    # --- starting and stopping

    def start(self, *, seed: bool = False) -> None:
        """Start the parts that an application needs, migrate, and seed a fresh database where asked to."""
        try:
            self.postgres.start()
            is_fresh = not self.postgres.versions()
            self.migrate()
            if seed and is_fresh and self.seed:
                self.postgres.execute(self.seed.read_text())
            parts = ("api", *self.gateways, "mailbox")
            for name in parts:
                self.start_part(name)
            for name in parts:
                self.wait_until_ready(name)
        except BaseException:
            self.stop()
            raise

    def migrate(self) -> None:
        """Bring the started database up to date; a project may add what has to be there before its seed."""
        self.postgres.migrate()
        if isinstance(self.currencies, str):
            with psycopg.connect(self.postgres.uri(), row_factory=dict_row) as connection:
                rows = connection.execute(self.currencies.encode()).fetchall()
            self._currencies().write_text(json.dumps(rows, default=int))

    def start_part(self, name: str) -> None:
        """Start one part by its name."""
        part = self.parts()[name]
        with open(self.directory / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                part.command,
                cwd=self.root,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **part.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the one that stops them in order
                preexec_fn=die_with_parent,
            )

    def wait_until_ready(self, name: str, path: str | None = None, seconds: float = 30) -> None:
        """Wait until a part answers. Raises ``StackError`` naming its log when it ends or takes too long."""
        url = self.url(name) + (path or self.parts()[name].ready or "/")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.processes[name].poll() is not None:
                break
            try:
                if httpx.get(url, timeout=2).status_code < 500:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise StackError(f"{name} did not start: see {self.directory / f'{name}.log'}")

    def wait(self, ended: threading.Event) -> None:
        """Stay until the event is set. Raises ``StackError`` when a part ends before."""
        while not ended.wait(1):
            for name, process in self.processes.items():
                if process.poll() is not None:
                    log = os.path.relpath(self.directory / f"{name}.log")
                    raise StackError(f"{name} ended: see {log}")

    def kill(self, name: str) -> None:
        """End a part and its children at once, as a crash would."""
        process = self.processes.pop(name)
        signal_group(process, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End everything that was started, the last first."""
        running = list(reversed(self.processes.values()))
        for process in running:
            signal_group(process, signal.SIGTERM)
        for process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                signal_group(process, signal.SIGKILL)
                process.wait()
        self.processes.clear()
        self.postgres.stop()

    # --- what the parts are

    def parts(self) -> dict[str, Part]:
        """The processes by name."""
        python = [sys.executable, "-m"]
        api = {
            "DEVSTACK_API_PORT": str(self.ports["api"]),
            "DEVSTACK_STORAGE_DIRECTORY": str(self.directory / "storage"),
            "PGRST_DB_URI": self.postgres.uri("authenticator"),
            "PGRST_JWT_SECRET": self.secrets["supabase_jwt_secret"],
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_EXTRA_SEARCH_PATH": "public,extensions",
            "PGRST_DB_MAX_ROWS": "1000",
        }
        mailbox = [*python, "devstack.mailbox", "--directory", str(self.directory / "mailbox")]
        mailbox += ["--smtp-port", str(self.ports["smtp"]), "--http-port", str(self.ports["mailbox"])]
        mailbox += ["--previews", self.previews] if self.previews else []
        return {
            "api": Part([*python, "devstack.api"], api, "/health"),
            **{name: self._gateway(name, url) for name, url in self.gateways.items()},
            "mailbox": Part(mailbox, ready="/ready"),
        }

    def _gateway(self, name: str, webhook_url: str | None) -> Part:
        """One of the local payment gateways; its keys are variables of the names that an application knows them by."""
        command = [sys.executable, "-m", f"devstack.{name}", "--port", str(self.ports[name])]
        command += ["--state", str(self.directory / f"{name}.sqlite")]
        command += ["--webhook-url", webhook_url] if webhook_url else []
        command += ["--currencies", str(self._currencies())] if self.currencies and name == "stripe" else []
        return Part(command, self.gateway_environment(name), "/_local/health")

    def make_secrets(self) -> dict[str, str]:
        """New random secrets for a directory that has none yet."""
        return {
            "supabase_jwt_secret": secrets.token_hex(32),
            "stripe_secret_key": "sk_test_" + secrets.token_hex(16),
            "stripe_publishable_key": "pk_test_" + secrets.token_hex(16),
            "stripe_webhook_secret": "whsec_" + secrets.token_hex(16),
            "razorpay_key_id": "rzp_test_" + secrets.token_hex(7),
            "razorpay_key_secret": secrets.token_hex(12),
            "razorpay_webhook_secret": secrets.token_hex(16),
            "paypal_client_id": "client-" + secrets.token_hex(16),
            "paypal_client_secret": secrets.token_hex(24),
            "paypal_webhook_id": secrets.token_hex(8).upper() + "W",
        }

    def _secrets(self) -> dict[str, str]:
        """Those of the directory, with new ones where an older version had none."""
        path = self.directory / "secrets.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        found: dict[str, str] = self.make_secrets() | known
        if found != known:
            path.write_text(json.dumps(found))
        return found

    def _currencies(self) -> Path:
        """The file of currencies; ``migrate`` puts a query's rows into one."""
        return self.currencies if isinstance(self.currencies, Path) else self.directory / "currencies.json"


def chosen_ports(ports: Ports = PORTS) -> dict[str, int]:
    """The ports as the environment has them, all free. Raises ``PortTaken``."""
    chosen = {name: int(os.environ.get(variable, default)) for name, (variable, default) in ports.items()}
    for name, port in chosen.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                raise PortTaken(name, port, ports[name][0]) from None
    return chosen


def free_ports(ports: Ports = PORTS) -> dict[str, int]:
    """A free port for each part, for tests beside a running stack."""
    probes = {name: socket.socket() for name in ports}
    for probe in probes.values():
        probe.bind((HOST, 0))
    free = {name: probe.getsockname()[1] for name, probe in probes.items()}
    for probe in probes.values():
        probe.close()
    return free


def ending() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set from now on."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    return ended
