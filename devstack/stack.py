"""All the parts together: Postgres, Supabase's API, Stripe and the mailbox, and on top the service and its worker."""

import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import jwt

from devstack.postgres import PROJECT, SEED, Postgres

# Where `make run` keeps its data.
DIRECTORY = Path(os.environ.get("DEVSTACK_DIRECTORY", PROJECT / ".devstack" / "run")).resolve()
HOST = "127.0.0.1"
# What runs where in `make run`, and the variable that moves it.
PORTS = {
    "service": ("PORT", 3000),
    "api": ("DEVSTACK_API_PORT", 54321),
    "stripe": ("DEVSTACK_STRIPE_PORT", 12111),
    "smtp": ("DEVSTACK_SMTP_PORT", 1025),
    "mailbox": ("DEVSTACK_MAILBOX_PORT", 8025),
}


class StackError(Exception):
    """Why the stack cannot start, in a sentence."""


@dataclass
class Stack:
    """The local parts over one directory that keeps their data. ``start`` and ``stop``, or a context manager."""

    directory: Path
    ports: dict[str, int]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.postgres = Postgres(self.directory)
        self.secrets = self._secrets()

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, part: str) -> str:
        """Where a part answers."""
        return f"http://{HOST}:{self.ports[part]}"

    def start(self, *, seed: bool = False) -> None:
        """Start the parts that the service needs, migrate, and seed a fresh database where asked to."""
        try:
            self.postgres.start()
            applied = self.postgres.migrate()
            if seed and "20250605000000_baseline" in applied:
                self.postgres.execute(SEED.read_text())
            for name in ("api", "stripe", "mailbox"):
                self.start_part(name)
            for name, path in (("api", "/health"), ("stripe", "/_local/health"), ("mailbox", "/ready")):
                self.wait_until_ready(name, path)
        except BaseException:
            self.stop()
            raise

    def start_part(self, name: str) -> None:
        """Start one part by its name."""
        command, environment = self._commands()[name]
        with open(self.directory / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=PROJECT,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the one that stops them in order
                preexec_fn=_die_with_parent,
            )

    def serve(self) -> None:
        """Start the service under gunicorn and the worker, and wait until the service answers."""
        self.start_part("service")
        self.start_part("worker")
        self.wait_until_ready("service", "/api/health")

    def wait_until_ready(self, name: str, path: str, seconds: float = 30) -> None:
        """Wait until a part answers. Raises ``StackError`` naming its log when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.processes[name].poll() is not None:
                break
            try:
                if httpx.get(self.url(name) + path, timeout=2).status_code < 500:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise StackError(f"{name} did not start: see {self.directory / f'{name}.log'}")

    def kill(self, name: str) -> None:
        """End a part and its children at once, as a crash would."""
        process = self.processes.pop(name)
        _signal_group(process, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End everything that was started, the last first."""
        running = list(reversed(self.processes.values()))
        for process in running:
            _signal_group(process, signal.SIGTERM)
        for process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)
                process.wait()
        self.processes.clear()
        self.postgres.stop()

    def service_environment(self) -> dict[str, str]:
        """The variables that point the service at these parts; see .env.example."""
        return {
            "APP_ENV": "development",
            "HOST": HOST,
            "PORT": str(self.ports["service"]),
            "SUPABASE_URL": self.url("api"),
            "SUPABASE_SERVICE_ROLE_KEY": self.key("service_role"),
            "SUPABASE_ANON_KEY": self.key("anon"),
            "SUPABASE_JWT_SECRET": self.secrets["supabase_jwt_secret"],
            "JWT_SECRET": self.secrets["jwt_secret"],
            "FRONTEND_URL": os.environ.get("FRONTEND_URL", self.url("service")),
            "STRIPE_SECRET_KEY": self.secrets["stripe_secret_key"],
            "STRIPE_PUBLISHABLE_KEY": self.secrets["stripe_publishable_key"],
            "STRIPE_WEBHOOK_SECRET": self.secrets["stripe_webhook_secret"],
            "STRIPE_API_BASE": self.url("stripe"),
            "SMTP_HOST": HOST,
            "SMTP_PORT": str(self.ports["smtp"]),
            "SMTP_FROM_EMAIL": "noreply@jklg.example",
        }

    def key(self, role: str) -> str:
        """A Supabase API key of the old kind for a role: anon or service_role."""
        claims = {"role": role, "iss": "supabase", "iat": 1_700_000_000, "exp": 2_500_000_000}
        return jwt.encode(claims, self.secrets["supabase_jwt_secret"], "HS256")

    def _commands(self) -> dict[str, tuple[list[str], dict[str, str]]]:
        python, base = [sys.executable, "-m"], {**os.environ, "PYTHONUNBUFFERED": "1"}
        service = {**base, **self.service_environment()}
        keys = self.secrets
        api = {
            **base,
            "DEVSTACK_API_PORT": str(self.ports["api"]),
            "DEVSTACK_STORAGE_DIRECTORY": str(self.directory / "storage"),
            "PGRST_DB_URI": self.postgres.uri("authenticator"),
            "PGRST_JWT_SECRET": keys["supabase_jwt_secret"],
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_MAX_ROWS": "1000",
        }
        stripe = [*python, "devstack.stripe", "--port", str(self.ports["stripe"])]
        stripe += ["--state", str(self.directory / "stripe.sqlite")]
        stripe += ["--api-key", keys["stripe_secret_key"], "--publishable-key", keys["stripe_publishable_key"]]
        stripe += ["--webhook-secret", keys["stripe_webhook_secret"]]
        stripe += ["--webhook-url", self.url("service") + "/api/payments/process-webhook"]
        mailbox = [*python, "devstack.mailbox", "--directory", str(self.directory / "mailbox")]
        mailbox += ["--smtp-port", str(self.ports["smtp"]), "--http-port", str(self.ports["mailbox"])]
        return {
            "api": ([*python, "devstack.api"], api),
            "stripe": (stripe, base),
            "mailbox": (mailbox, base),
            "service": ([*python, "gunicorn", "wsgi:app"], service),
            "worker": ([*python, "flask", "worker"], service),
        }

    def _secrets(self) -> dict[str, str]:
        """Random secrets of this directory's stack, made once."""
        path = self.directory / "secrets.json"
        if not path.exists():
            made = {
                "supabase_jwt_secret": secrets.token_hex(32),
                "jwt_secret": secrets.token_hex(32),
                "stripe_secret_key": "sk_test_" + secrets.token_hex(16),
                "stripe_publishable_key": "pk_test_" + secrets.token_hex(16),
                "stripe_webhook_secret": "whsec_" + secrets.token_hex(16),
            }
            path.write_text(json.dumps(made))
        return json.loads(path.read_text())


def chosen_ports() -> dict[str, int]:
    """The ports of `make run`, all free. Raises ``StackError`` that names the one in use and its variable."""
    ports = {name: int(os.environ.get(variable, default)) for name, (variable, default) in PORTS.items()}
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                variable = PORTS[name][0]
                raise StackError(
                    f"Port {port} is in use. Choose another for the {name}: {variable}={port + 1} make run"
                ) from None
    return ports


def free_ports() -> dict[str, int]:
    """A free port for each part, for tests beside a running stack."""
    probes = {name: socket.socket() for name in PORTS}
    for probe in probes.values():
        probe.bind((HOST, 0))
    ports = {name: probe.getsockname()[1] for name, probe in probes.items()}
    for probe in probes.values():
        probe.close()
    return ports


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def _die_with_parent() -> None:
    """Ask Linux to end this child when its parent is killed, so that nothing is left over."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
