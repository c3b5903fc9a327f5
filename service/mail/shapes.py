"""What travels between the worker and the outbox, by its keys. Times are ISO 8601, ids UUIDs as text."""

from typing import Any, TypedDict


class UnsentLink(TypedDict):
    """A mail that waits and carries a link."""

    id: str
    template: str
    recipient: str


class ClaimedEmail(UnsentLink):
    """A mail that is this worker's to send; ``data`` is what its template prints."""

    data: dict[str, Any]
    customer_id: str | None
    attempts: int
    claim: str
    created_at: str


class QueueStatus(TypedDict):
    """How the queue stands; ``dead`` within a day, ``worker_seen_seconds`` None where none ever was."""

    waiting: int
    oldest_due_seconds: int
    oldest_seconds: int
    dead: int
    paused_until: str | None
    pause_reason: str | None
    worker_seen_seconds: int | None
