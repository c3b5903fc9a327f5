"""Draining the outbox: claim one mail, make its link, send it, say how it went; again and again."""

import logging
import threading

from service.config import Config
from service.errors import ServiceError
from service.mail import store
from service.mail.errors import RefusedForGood, RefusedForNow, ServerTrouble
from service.mail.links import LINKS, make_link
from service.mail.message import Letter, sender_address
from service.mail.render import Unwritable, render
from service.mail.shapes import ClaimedEmail
from service.mail.smtp import MailServer

log = logging.getLogger(__name__)

POLL = 0.9  # seconds between looks at an empty queue: one small request each
MAX_DATABASE_WAIT = 30.0


class Worker:
    """One worker of the queue. Several may run at once, here or elsewhere. Needs an application context."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.stopping = threading.Event()
        self.server = MailServer(config)
        self._logged_links: set[str] = set()

    def run(self) -> None:
        """Work until ``stop()``; the mail under way then is still finished."""
        if not self.config.smtp_host:
            log.warning("mail is not configured (SMTP_HOST): mails wait in the outbox")
        wait, has_resumed = POLL, False
        while not self.stopping.is_set():
            try:
                if not has_resumed:  # settings may have been mended since the pause
                    store.resume_queue()
                    has_resumed = True
                if self.step():
                    continue
                wait = POLL
            except ServiceError as error:
                wait = min(wait * 2, MAX_DATABASE_WAIT)
                log.error("the outbox is out of reach", extra={"cause": error.message, "next_look_seconds": wait})
            self.server.close()
            self.stopping.wait(wait)
        self.server.close()

    def stop(self, *_: object) -> None:
        """End ``run()`` after the mail under way; fit for a signal handler."""
        self.stopping.set()

    def step(self) -> bool:
        """Deal with one mail; False when none is due, sending is paused or mail is not configured."""
        if not self.config.smtp_host:
            if not self.config.is_production:
                self.log_links()
            return False
        email = store.claim_email(self.config.booking_mail_hold)
        if email is None:
            return False
        outcome, error = self._attempt(email)
        self._finish(email, outcome, error)
        return outcome != "released"

    def log_links(self) -> None:
        """On a development machine without SMTP: put the links that wait into the log, each once, and nowhere else."""
        for email in store.list_unsent_links():
            if email["id"] in self._logged_links:
                continue
            self._logged_links.add(email["id"])
            if made := make_link(email["template"], email["id"], self.config):
                log.info("link of a waiting mail", extra={"to": email["recipient"], "link": made[0]})

    def _attempt(self, email: ClaimedEmail) -> tuple[str, str | None]:
        """Send a claimed mail: its outcome for ``store.finish_email`` and what went wrong."""
        try:
            letter = self._write(email)
            if letter is None:
                return "dropped", "Its purpose was gone before it was sent."
            self.server.send(letter)
        except RefusedForNow as error:
            return "retry", str(error)
        except RefusedForGood as error:
            return "dead", str(error)
        except ServerTrouble as error:
            until = store.pause_queue(str(error))
            log.error("sending is paused", extra={"cause": str(error), "until": until})
            return "released", str(error)
        except ServiceError as error:  # from making the link
            return "released" if error.status == 503 else "retry", error.message
        except Unwritable as error:
            return "dead", f"The mail cannot be written: {error}"
        except Exception as error:  # one mail that nobody thought of must not keep the others
            log.exception("a mail failed unexpectedly", extra={"email_id": email["id"], "template": email["template"]})
            self.server.close()
            return "retry", repr(error)
        return "sent", None

    def _write(self, email: ClaimedEmail) -> Letter | None:
        link, valid_for = None, None
        if email["template"] in LINKS:
            made = make_link(email["template"], email["id"], self.config)
            if made is None:
                return None
            link, valid_for = made
        content = render(
            email["template"],
            email["data"],
            site_url=self.config.frontend_url,
            brand=self.config.smtp_from_name,
            link=link,
            valid_for=valid_for,
            sender=self.config.smtp_from_email or "",
            queued_at=email["created_at"],
        )
        domain = sender_address(self.config).rpartition("@")[2]
        return Letter(email["recipient"], content, f"<{email['id']}@{domain}>")

    def _finish(self, email: ClaimedEmail, outcome: str, error: str | None) -> None:
        """Note the outcome. While the database is away, try for as long as the mail is held: it may be sent already."""
        wait = 0.5
        while True:
            try:
                state = store.finish_email(email, outcome, error)
                break
            except ServiceError:
                if wait > store.LEASE / 4 or self.stopping.is_set():
                    raise
                self.stopping.wait(wait)
                wait *= 2
        facts = {"email_id": email["id"], "template": email["template"], "attempt": email["attempts"], "cause": error}
        log.log(logging.ERROR if state == "dead" else logging.INFO, f"mail {state or 'lost'}", extra=facts)
