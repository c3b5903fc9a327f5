"""A mail as it goes over the wire: built by Flask-Mail, with addresses as servers take them."""

from dataclasses import dataclass
from email import message_from_bytes, policy
from email.charset import QP, Charset
from email.utils import formataddr
from typing import cast

import idna
from flask_mail import Message

from service.config import Config
from service.mail.errors import RefusedForGood, ServerTrouble
from service.mail.render import Rendered


@dataclass(frozen=True)
class Letter:
    """One mail with its address. ``message_id`` stays the same over all attempts, so that a copy is known as one."""

    recipient: str
    content: Rendered
    message_id: str


def compose(letter: Letter, config: Config) -> bytes:
    """The message in bytes for DATA: text, HTML and what is attached, 7-bit, no line over 76 characters.

    Raises ``RefusedForGood`` when a header would hold a line break.
    """
    charset = Charset("utf-8")
    charset.body_encoding = QP
    recipient = ascii_domain(letter.recipient)
    message = Message(
        subject=letter.content.subject,
        recipients=[recipient if recipient.isascii() else "recipient@invalid"],
        body=letter.content.text,
        html=letter.content.html,
        sender=formataddr((" ".join(config.smtp_from_name.split()), sender_address(config))),
        charset=cast(str, charset),  # which it hands on to the standard library
        # No out-of-office answers, please (RFC 3834 5).
        extra_headers={"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"},
    )
    message.msgId = letter.message_id
    for each in letter.content.attachments:
        message.attach(each.name, each.content_type, each.content)
    if message.has_bad_headers() or any(mark in letter.content.subject + recipient for mark in "\r\n\0"):
        raise RefusedForGood("The subject or an address holds a line break.")
    if recipient.isascii():
        return message.as_bytes()
    # Flask-Mail writes no address with letters beyond ASCII before the @ (RFC 6532).
    parsed = message_from_bytes(message.as_bytes(), policy=policy.SMTPUTF8)
    parsed.replace_header("To", recipient)
    return parsed.as_bytes()


def sender_address(config: Config) -> str:
    """SMTP_FROM_EMAIL as servers take it. Raises ``ServerTrouble``: no mail is to die of a setting."""
    try:
        sender = ascii_domain(config.smtp_from_email or "")
        sender.encode("ascii")
    except (RefusedForGood, UnicodeError) as error:
        raise ServerTrouble("SMTP_FROM_EMAIL is not an address that mail can be sent from.") from error
    return sender


def ascii_domain(address: str) -> str:
    """The address with its domain in ASCII (IDNA 2008). Raises ``RefusedForGood`` when it is no address."""
    local, at, domain = address.rpartition("@")
    try:
        if not (local and domain) or any(mark.isspace() or mark in '<>(),;:"\0' for mark in address):
            raise ValueError
        return local + at + (domain if domain.isascii() else idna.encode(domain, uts46=True).decode())
    except ValueError as error:
        raise RefusedForGood("This is not an address that mail can be sent to.") from error
