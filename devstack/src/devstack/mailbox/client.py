"""What tests ask of a mailbox: the client, and a mailbox of their own."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx


class Mailbox:
    """What tests ask of a running mailbox, by its HTTP address."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=10, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def messages(self, to: str | None = None, subject: str | None = None) -> list[dict[str, Any]]:
        """The mails kept, newest first: id, from and to (of the envelope), sender, subject,
        message_id, received_at, size, connection, login, tls."""
        asked = {name: value for name, value in (("to", to), ("subject", subject)) if value}
        return self._ask("GET", "/messages", params=asked)["messages"]

    def read(self, message_id: str) -> dict[str, Any]:
        """One mail with its text, html and headers, and what is attached: name, type and size of each."""
        return self._ask("GET", f"/messages/{message_id}")

    def attachment(self, message_id: str, number: int = 0) -> bytes:
        """The content of an attached file."""
        return self._http.get(f"/messages/{message_id}/attachments/{number}").raise_for_status().content

    def wait_for(self, to: str, subject: str = "", *, timeout: float = 10, count: int = 1) -> dict[str, Any]:
        """The newest mail to an address, as soon as `count` of them are there; TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = self.messages(to, subject)
            if len(found) >= count:
                return self.read(found[0]["id"])
            time.sleep(0.05)
        seen = [(mail["to"], mail["subject"]) for mail in self.messages()[:10]]
        raise TimeoutError(f"{count} mail(s) to {to} about {subject!r} did not arrive; the last were {seen}")

    @staticmethod
    def links(message: dict[str, Any]) -> list[str]:
        """The links in a mail's text part, in order."""
        return re.findall(r"https?://[^\s<>\"]+", message["text"])

    def clear(self) -> None:
        """Forget all mails, faults and rules."""
        self._ask("DELETE", "/messages")
        self._ask("DELETE", "/faults")
        self.rule(user=None, password=None, smtputf8=True)

    def fault(self, at: str, do: str, **more: Any) -> None:
        """Misbehave from now on; see the module for stages and options."""
        self._ask("POST", "/faults", json={"at": at, "do": do, **more})

    def rule(self, **rules: Any) -> None:
        """Change what the server asks of its clients: user, password, smtputf8."""
        self._ask("PUT", "/rules", json=rules)

    def rules(self) -> dict[str, Any]:
        """The rules that hold, with the counts of connections and logins so far."""
        return self._ask("GET", "/rules")

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        response = self._http.request(method, path, **more)
        response.raise_for_status()
        return response.json()


@contextmanager
def mail_server(directory: Path, *options: str, smtp_port: int = 0) -> Iterator[tuple[Mailbox, int]]:
    """A mailbox process over a directory: its client and its SMTP port. ``options`` are those of the command line."""
    command = [sys.executable, "-m", "devstack.mailbox", "--directory", str(directory / "letters")]
    command += ["--smtp-port", str(smtp_port), "--http-port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            ready = re.fullmatch(r"mailbox ready: smtp://[^:]+:(\d+) (http://\S+)\s*", process.stdout.readline())
            assert ready, "the mailbox ended before it was ready"
            mailbox = Mailbox(ready[2])
            yield mailbox, int(ready[1])
            mailbox.close()
        finally:
            process.terminate()
