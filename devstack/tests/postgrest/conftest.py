"""Servers under test: devstack's own PostgREST, and the real one too where there is an executable."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from devstack.postgres import Postgres
from devstack.real_postgrest import configured, version
from tests.postgrest.runner import Case, ask

HERE = Path(__file__).parent
SECRET = "a secret of the tests, of 32 bytes and more"
SCHEMA, ANNEX = (HERE / "schema.sql").read_text(), (HERE / "annex.sql").read_text()
REAL = configured()
REAL_VERSION = version(REAL) if REAL else ()
KINDS = ["own", pytest.param("real", marks=pytest.mark.real)] if REAL else ["own"]


class Server:
    """`python -m devstack.api` over one database, and the owner's connection to that database."""

    def __init__(self, postgres: Postgres, database: str, executable: str, directory: Path, **environ: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.origin = f"http://127.0.0.1:{port}"
        self.url = f"{self.origin}/rest/v1"
        self.log = directory / f"{database}.log"
        self.database_uri = postgres.uri("supabase_admin", database)
        self.is_changed = False
        self.is_real = executable == REAL
        self._environ = {
            **os.environ,
            "POSTGREST_BIN": executable,
            "DEVSTACK_API_PORT": str(port),
            "DEVSTACK_STORAGE_DIRECTORY": str(directory / "storage"),
            "PGRST_DB_URI": postgres.uri("authenticator", database),
            "PGRST_JWT_SECRET": SECRET,
            "PGRST_DB_ANON_ROLE": "anon",
            **environ,
        }
        self.client = httpx.Client(timeout=20)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 15) -> None:
        with open(self.log, "ab") as log:
            command = [sys.executable, "-m", "devstack.api"]
            self.process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log)
        self.wait(lambda: self.client.get(f"{self.origin}/health").status_code == 200, seconds)

    def stop(self) -> int:
        """End the server as a deployment would; returns its exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self.client.close()

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def kill(self) -> None:
        assert self.process
        self.process.kill()

    def wait(self, done: Callable[[], bool], seconds: float = 15) -> None:
        """Wait until a condition holds; a server that does not answer yet counts as a no."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if done():
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"waited in vain: {self.log.read_text()[-2000:]}")

    def execute(self, sql: str) -> None:
        with psycopg.connect(self.database_uri, autocommit=True) as connection:
            connection.execute(sql)

    def ask(self, method: str, path: str, role: str | list[str] = "anon", body: object = None, **headers: str) -> Case:
        """Send one request as a role; underscores in header names stand for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        case = {"method": method, "path": path, "role": role, "body": body, "headers": named}
        return self.ask_case(case)

    def ask_case(self, case: Case) -> Case:
        answer = ask(self.client, self.url, SECRET, case)
        if answer.get("text") == "Something went wrong":  # a real one is left within its transaction: a read ends it
            self.client.get(f"{self.url}/branches?limit=1")
        if case["method"] not in ("GET", "HEAD") and answer["status"] < 300:  # what was refused was rolled back
            self.is_changed = self.is_changed or not case["path"].startswith("/rpc/") or "lend" in case["path"]
        return answer

    def skip_before(self, since: str, what: str) -> None:
        """The answers here are those of 14.17; of an older real one it is known where it differs."""
        if self.is_real and REAL_VERSION < tuple(int(part) for part in since.split(".")):
            pytest.skip(f"before PostgREST {since} {what}")

    def skip_if_older(self, case: Case) -> None:
        """A case that older ones answer otherwise says `since` which version it holds, and what was `before`."""
        if "since" in case:
            self.skip_before(case["since"], case["before"])

    def restore(self) -> None:
        """Put the rows back as they were; the schema stays, so nothing has to be loaded anew."""
        if self.is_changed:
            self.execute(self.rows)
            self.is_changed = False

    def load(self, *scripts: str) -> None:
        """Load the schema, and keep what puts its rows back: deleting is much quicker than truncating."""
        self.execute("\n".join(scripts))
        with psycopg.connect(self.database_uri) as connection:
            emptying = connection.execute(
                "select format(case relkind when 'r' then 'delete from public.%1$I'"
                " else 'select setval(''public.%1$I'', 1, false)' end, relname)"
                " from pg_class where relkind in ('r', 'S') and relnamespace = 'public'::regnamespace"
            ).fetchall()
        rows = [SCHEMA[SCHEMA.index("insert into branches") :], *(s[s.index("-- data") :] for s in scripts[1:])]
        rows = [line for line in "\n".join(rows).splitlines() if not line.startswith(("notify", "refresh"))]
        statements = ["set session_replication_role = replica", *(line for (line,) in emptying)]
        self.rows = ";\n".join([*statements, "set session_replication_role = origin", "\n".join(rows)])


class Servers:
    """The servers of a session by database: two of a kind would not be told apart by their databases."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        self.postgres, self.folder = postgres, folder
        self.running: dict[str, Server] = {}

    def get(self, name: str, kind: str, *scripts: str, **environ: str) -> Server:
        """The running server over a schema, `own` or `real`; started when it is first asked for."""
        database = f"{name}_{kind}"
        if database not in self.running:
            self.postgres.create_database(database)
            directory = self.folder / database
            directory.mkdir()
            executable = REAL if kind == "real" and REAL else ""
            server = self.running[database] = Server(self.postgres, database, executable, directory, **environ)
            server.load(*scripts)
            server.start()
        return self.running[database]

    def stop(self) -> None:
        for server in self.running.values():
            server.stop()


@pytest.fixture(scope="session")
def servers(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(postgres, tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture(params=KINDS)
def library(request: pytest.FixtureRequest, servers: Servers) -> Server:
    """The schema of the recorded cases."""
    return servers.get("library", request.param, SCHEMA)


@pytest.fixture(params=KINDS)
def annex(request: pytest.FixtureRequest, servers: Servers) -> Server:
    """The same and more: see annex.sql. Requests with `X-Refuse: yes` are refused by a pre-request function."""
    environ = {"PGRST_DB_PRE_REQUEST": "public.pre_request", "PGRST_DB_MAX_ROWS": "1000", "PGRST_DB_POOL": "5"}
    environ["SUPABASE_SECRET_KEY"], environ["SUPABASE_PUBLISHABLE_KEY"] = "sb_secret_abc", "sb_publishable_abc"
    return servers.get("annex", request.param, SCHEMA, ANNEX, **environ)
