"""Delivery: a message built by Flask-Mail, sent by smtplib over one verified connection.

Flask-Mail's own sending has no time-out, checks no certificate, and counts a failed QUIT as a failed mail.
"""

import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Iterable

from service.config import Config
from service.mail.errors import MailError, RefusedForGood, RefusedForNow, ServerTrouble
from service.mail.message import Letter, ascii_domain, compose, sender_address

TIMEOUT = 10.0  # seconds for each answer of the server
IMPLICIT_TLS_PORT = 465
# Before the envelope these say that the login is missing or wrong (RFC 4954 6), which no mail can help.
LOGIN_CODES = (530, 534, 535, 538, 454)


class MailServer:
    """A connection to the configured server, opened when needed and kept for many mails. Not for several threads."""

    def __init__(self, config: Config, *, timeout: float = TIMEOUT) -> None:
        self.config, self.timeout = config, timeout
        self._smtp: smtplib.SMTP | None = None

    def __enter__(self) -> "MailServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, letter: Letter) -> None:
        """Hand one mail over. Needs an application context. Raises ``MailError``: one of its three kinds."""
        recipient = ascii_domain(letter.recipient)
        is_reused = self._smtp is not None
        smtp = self._smtp or self.connect()
        raw = compose(letter, self.config)
        options = []
        if not recipient.isascii():
            if not smtp.has_extn("smtputf8"):
                raise RefusedForGood("The mail server takes no letters beyond ASCII before the @.")
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        try:
            code, answer = smtp.mail(sender_address(self.config), options)
            if is_reused and code == 421:
                raise smtplib.SMTPServerDisconnected
        except OSError as error:  # smtplib's own errors are OSErrors as well
            self._abandon()
            if is_reused:  # the server had enough of this connection; nothing of this mail went over it
                return self.send(letter)
            raise RefusedForNow(_sentence("The mail server hung up", error)) from error
        try:
            self._check(smtp, (code, answer), "the sender", is_about_sender=True)
            self._check(smtp, smtp.rcpt(recipient), "the recipient")
            self._check(smtp, _data(smtp, raw), "the message")
        except OSError as error:
            self._abandon()
            raise RefusedForNow(_sentence("The mail server hung up on this mail", error)) from error

    def connect(self) -> smtplib.SMTP:
        """Open the connection, encrypted and logged in. Raises ``ServerTrouble``."""
        host, port = self.config.smtp_host, self.config.smtp_port
        if not host or not self.config.smtp_from_email:
            raise ServerTrouble("Mail is not configured: set SMTP_HOST and SMTP_FROM_EMAIL.")
        try:
            self._smtp = self._open(host, port)
            self._login(self._smtp)
        except ssl.SSLCertVerificationError as error:
            problem = f"The certificate of {host} is not good: {error.verify_message or error.reason}"
            raise self._trouble(problem, error) from error
        except ssl.SSLError as error:
            problem = f"{host}:{port} speaks TLS differently: 465 is for TLS from the start, 587 for STARTTLS"
            raise self._trouble(problem, error) from error
        except smtplib.SMTPAuthenticationError as error:
            raise self._trouble(f"{host} refuses SMTP_USER with SMTP_PASSWORD", error) from error
        except smtplib.SMTPResponseException as error:
            raise self._trouble(f"{host}:{port} is not ready", error) from error
        except smtplib.SMTPNotSupportedError as error:
            raise self._trouble(f"{host}:{port} takes no login: remove SMTP_USER, or change SMTP_PORT") from error
        except OSError as error:
            raise self._trouble(f"{host}:{port} does not answer as a mail server", error) from error
        except UnicodeError as error:
            raise self._trouble(
                "SMTP_HOST, SMTP_USER or SMTP_PASSWORD has letters that mail servers do not take"
            ) from error
        return self._smtp

    def close(self) -> None:
        """Say goodbye. What was accepted stays accepted, whatever the server answers to that."""
        if self._smtp:
            try:
                self._smtp.timeout = min(self.timeout, 2)
                if self._smtp.sock:
                    self._smtp.sock.settimeout(self._smtp.timeout)
                self._smtp.quit()
            except OSError:
                pass
            self._abandon()

    def _open(self, host: str, port: int) -> smtplib.SMTP:
        context = ssl.create_default_context()
        # Not this machine's name, which says nothing outside and may take the resolver a while.
        name = sender_address(self.config).rpartition("@")[2]
        if port == IMPLICIT_TLS_PORT:
            return smtplib.SMTP_SSL(host, port, name, timeout=self.timeout, context=context)
        smtp = self._smtp = smtplib.SMTP(host, port, name, timeout=self.timeout)
        smtp.ehlo_or_helo_if_needed()
        if smtp.has_extn("starttls"):
            smtp.starttls(context=context)
            smtp.ehlo()
        return smtp

    def _login(self, smtp: smtplib.SMTP) -> None:
        user, password = self.config.smtp_user, self.config.smtp_password
        smtp.ehlo_or_helo_if_needed()
        if not user:
            return
        if not isinstance(smtp.sock, ssl.SSLSocket) and not _is_loopback(smtp.sock):
            raise self._trouble(f"{self.config.smtp_host} offers no encryption, so it is not told SMTP_PASSWORD")
        smtp.login(user, password or "")

    def _check(
        self, smtp: smtplib.SMTP, answered: tuple[int, bytes], about: str, *, is_about_sender: bool = False
    ) -> None:
        """Turn the answer to one command into an exception, the connection still fit for the next mail."""
        code, answer = answered
        if code in (250, 251):
            return
        sentence = f"The mail server refuses {about}: {code} {answer.decode('utf-8', 'replace')}"
        if code == 421:
            self._abandon()
            raise RefusedForNow(sentence)
        if is_about_sender and code in LOGIN_CODES:
            self._abandon()
            raise ServerTrouble(sentence)
        try:
            smtp.rset()
        except OSError:
            self._abandon()
        # SMTP_FROM_EMAIL refused is a matter of settings, which can be mended; the mail is not at fault.
        raise RefusedForGood(sentence) if code >= 500 and not is_about_sender else RefusedForNow(sentence)

    def _trouble(self, problem: str, error: Exception | None = None) -> ServerTrouble:
        self._abandon()
        return ServerTrouble(_sentence(problem, error))

    def _abandon(self) -> None:
        if self._smtp:
            self._smtp.close()
        self._smtp = None


def send_batch(letters: Iterable[Letter], config: Config) -> list[tuple[Letter, MailError | None]]:
    """Send many mails over one connection; each with what went wrong, or None.

    One that fails does not stop the rest. When the server itself is in trouble, the rest is not tried and says so.
    """
    results: list[tuple[Letter, MailError | None]] = []
    trouble: ServerTrouble | None = None
    with MailServer(config) as server:
        for letter in letters:
            failure: MailError | None = trouble
            if not trouble:
                try:
                    server.send(letter)
                except ServerTrouble as error:
                    failure = trouble = error
                except MailError as error:
                    failure = error
            results.append((letter, failure))
    return results


def _is_loopback(connection: socket.socket | None) -> bool:
    """By the address that was reached, not by the name that was asked for."""
    return connection is not None and ipaddress.ip_address(connection.getpeername()[0].partition("%")[0]).is_loopback


def _data(smtp: smtplib.SMTP, raw: bytes) -> tuple[int, bytes]:
    try:
        return smtp.data(raw)
    except smtplib.SMTPDataError as error:
        answer = error.smtp_error
        return error.smtp_code, answer.encode() if isinstance(answer, str) else answer


def _sentence(problem: str, error: Exception | None) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        answer = error.smtp_error
        told = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
        return f"{problem}: {error.smtp_code} {told}"
    return f"{problem}: {error}." if error and str(error) else f"{problem}."
