"""The mails a mailbox has received: one .eml and one .json each in a folder, so that they outlive a restart."""

import json
import time
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

SHOWN_HEADERS = 200  # of a mail with more, the rest is in its source


class Letters:
    """All mails of one folder, by id; an id sorts by the time of receipt."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._facts: dict[str, dict[str, Any]] = {}
        for path in sorted(directory.glob("*.json")):
            if path.with_suffix(".eml").exists():
                self._facts[path.stem] = json.loads(path.read_text())

    def __len__(self) -> int:
        return len(self._facts)

    def keep(self, raw: bytes, envelope: dict[str, Any]) -> str:
        """Write one mail down, with what the SMTP session knew of it; gives its id."""
        letter_id = f"{time.time_ns():020d}"
        while letter_id in self._facts:
            letter_id = f"{int(letter_id) + 1:020d}"
        message = parse(raw)
        facts = {
            "id": letter_id,
            **envelope,
            "sender": header(message, "From"),
            "subject": header(message, "Subject"),
            "message_id": header(message, "Message-ID"),
            "received_at": datetime.now(UTC).isoformat(),
            "size": len(raw),
        }
        (self.directory / f"{letter_id}.eml").write_bytes(raw)
        (self.directory / f"{letter_id}.json").write_text(json.dumps(facts))
        self._facts[letter_id] = facts
        return letter_id

    def find(self, to: str = "", subject: str = "") -> list[dict[str, Any]]:
        """Facts of the mails to an address (whole, in any case) with this in their subject, newest first."""
        return [
            facts
            for facts in reversed(self._facts.values())
            if (not to or to.casefold() in (address.casefold() for address in facts["to"]))
            and subject.casefold() in facts["subject"].casefold()
        ]

    def source(self, letter_id: str) -> bytes:
        """The mail as it came. KeyError when there is none."""
        return (self.directory / f"{self._facts[letter_id]['id']}.eml").read_bytes()

    def read(self, letter_id: str) -> dict[str, Any]:
        """The facts with text, html and headers. KeyError when there is none."""
        message = parse(self.source(letter_id))
        return self._facts[letter_id] | {
            "text": body(message, "plain"),
            "html": body(message, "html"),
            "headers": [[name, header(message, name)] for name in list(message.keys())[:SHOWN_HEADERS]],
            "attachments": [
                {"name": name, "type": kind, "size": len(content)} for name, kind, content in attachments(message)
            ],
        }

    def attachment(self, letter_id: str, number: int) -> tuple[str, str, bytes]:
        """The name, type and content of one attached file. KeyError when there is none."""
        found = attachments(parse(self.source(letter_id)))
        if number >= len(found):
            raise KeyError(number)
        return found[number]

    def discard(self, letter_id: str | None = None) -> None:
        """Delete one mail, or all. KeyError when there is none."""
        for each in [letter_id] if letter_id else list(self._facts):
            del self._facts[each]
            for suffix in (".eml", ".json"):
                (self.directory / (each + suffix)).unlink(missing_ok=True)


def parse(raw: bytes) -> EmailMessage:
    """The mail as a message; its parts are read on demand."""
    return message_from_bytes(raw, policy=policy.default)


def header(message: EmailMessage, name: str) -> str:
    """A header decoded, as one line. The parser of the standard library raises on some hostile ones."""
    try:
        value = str(message.get(name, ""))
    except Exception:
        value = next((str(raw) for key, raw in message.raw_items() if key.lower() == name.lower()), "")
    return " ".join(value.encode("utf-8", "replace").decode().split())


def attachments(message: EmailMessage) -> list[tuple[str, str, bytes]]:
    """The files that go with a mail, as (name, type, content)."""
    found = []
    for number, part in enumerate(message.walk()):
        if part.get_content_disposition() == "attachment" and not part.is_multipart():
            content = part.get_payload(decode=True)
            name = part.get_filename() or f"part-{number}"
            found.append((name, part.get_content_type(), content if isinstance(content, bytes) else b""))
    return found


def body(message: EmailMessage, kind: str) -> str:
    """The first text part of a kind (plain or html), however badly it is encoded; "" without one."""
    for part in message.walk():
        if part.get_content_type() == f"text/{kind}" and part.get_content_disposition() != "attachment":
            payload = part.get_payload(decode=True)
            if not isinstance(payload, bytes):
                return ""
            try:
                text = payload.decode(part.get_content_charset("utf-8"), "replace")
            except (LookupError, ValueError):
                text = payload.decode("utf-8", "replace")
            return text.replace("\r\n", "\n")
    return ""
