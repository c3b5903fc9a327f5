"""Every PostgREST call about mail. All functions raise ``ServiceError``, also when the database is away."""

from service.database import rpc
from service.mail.shapes import ClaimedEmail, QueueStatus, UnsentLink

LEASE = 180  # seconds; longer than the slowest mail: ten answers of the server at 10 seconds each


def claim_email(booking_hold: int) -> ClaimedEmail | None:
    """The mail that is due longest, held for ``LEASE`` seconds, or None.

    One about a booking is due ``booking_hold`` seconds after it was queued, so that what follows at once is told in it.
    """
    return rpc("claim_email", p_lease_seconds=LEASE, p_hold_seconds=booking_hold)


def finish_email(email: ClaimedEmail, outcome: str, error: str | None = None) -> str | None:
    """Say how a claimed mail went: sent, dropped, dead, retry or released. Returns its state, None if it was lost."""
    return rpc("finish_email", p_id=email["id"], p_claim=email["claim"], p_outcome=outcome, p_error=error)


def pause_queue(reason: str) -> str | None:
    """Stop all workers' sending for a while; until when (ISO), or None when they had stopped."""
    return rpc("pause_email_queue", p_reason=reason)


def resume_queue() -> None:
    """End a pause at once."""
    rpc("resume_email_queue")


def list_unsent_links() -> list[UnsentLink]:
    """The latest waiting mails that carry a link."""
    return rpc("list_unsent_links")


def retry_dead_emails(email_id: str | None = None) -> int:
    """Queue one dead mail again, or all; how many."""
    return rpc("retry_dead_emails", p_id=email_id)


def purge_emails() -> int:
    """Delete mails that were over 30 days ago; how many."""
    return rpc("purge_emails")


def queue_status() -> QueueStatus:
    """How the queue stands."""
    return rpc("email_queue_status")


def claim_job(name: str, every_seconds: int) -> int:
    """0: the job is the caller's to run now; else the seconds until it is due."""
    return rpc("claim_scheduled_job", p_name=name, p_every_seconds=every_seconds)
