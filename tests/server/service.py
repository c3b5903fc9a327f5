"""Further services over one stack."""

import os
import signal
import subprocess
import sys
import time

import httpx

from tools.project import PROJECT
from tools.stack import HOST, Stack, free_ports


class Service:
    """A service of its own over the stack; keywords are environment variables of its own."""

    def __init__(self, stack: Stack, **variables: str) -> None:
        self.ports = {"service": free_ports()["service"]}
        self.url = f"http://{HOST}:{self.ports['service']}"
        environment = {**os.environ, **stack.service_environment(), "PORT": str(self.ports["service"])}
        environment |= variables
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app"],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while True:
            try:
                if httpx.get(f"{self.url}/api/health").is_success:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)

    def terminate(self) -> None:
        """As Heroku does it: the signal goes to every process."""
        os.killpg(self.process.pid, signal.SIGTERM)

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
