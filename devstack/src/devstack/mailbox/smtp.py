"""The SMTP side: takes mails, and misbehaves in the ways it is told to."""

import asyncio
import functools
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from devstack.mailbox.letters import Letters

STAGES = ("connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "kept", "rset", "quit")
DEEDS = ("refuse", "hang", "drop")


@dataclass
class Fault:
    """One way to misbehave, at one stage of a session; `times` None means until further notice."""

    at: str
    do: str
    code: int = 451
    times: int | None = None
    to: str = ""
    seconds: float = 3600

    def __post_init__(self) -> None:
        if self.at not in STAGES or self.do not in DEEDS:
            raise ValueError(f"at is one of {', '.join(STAGES)}; do is one of {', '.join(DEEDS)}")
        if not 400 <= int(self.code) <= 599:
            raise ValueError("code is 400 to 599")


@dataclass
class Rules:
    """What the server asks of its clients, how it misbehaves, and what it has seen."""

    user: str | None = None
    password: str | None = None
    smtputf8: bool = True
    connections: int = 0
    logins: int = 0
    faults: list[Fault] = field(default_factory=list)

    def strike(self, stage: str, recipients: list[str]) -> Fault | None:
        """The fault that is due now, counted."""
        for fault in self.faults:
            fits = not fault.to or any(fault.to in recipient for recipient in recipients)
            if fault.at == stage and fits and fault.times != 0:
                if fault.times:
                    fault.times -= 1
                return fault
        return None

    def admit(self, *login: Any) -> AuthResult:
        """aiosmtpd's authenticator: any login while no user is set."""
        self.logins += 1
        given = login[-1]
        if not isinstance(given, LoginPassword):
            return AuthResult(success=False, handled=False)
        if self.user is None:
            return AuthResult(success=True, auth_data=given)
        right = given.login == self.user.encode() and hmac.compare_digest(
            given.password, (self.password or "").encode()
        )
        return AuthResult(success=right, handled=False, auth_data=given)


class MailboxSession(SMTP):
    """One client's connection."""

    def __init__(self, letters: Letters, rules: Rules, **more: Any) -> None:
        super().__init__(
            self,
            hostname="mailbox.localhost",
            ident="development mailbox, nothing is sent on",
            enable_SMTPUTF8=rules.smtputf8,
            auth_require_tls=False,
            authenticator=rules.admit,
            **more,
        )
        # Not by argument: aiosmtpd warns of logins without TLS, and this server is to see whether a client dares.
        self._auth_required = rules.user is not None
        self.letters, self.rules = letters, rules
        for command in ("EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "QUIT"):
            self._smtp_methods[command] = self._obeying_faults(command.lower(), self._smtp_methods[command])

    async def _handle_client(self) -> None:
        self.rules.connections += 1
        self.number = self.rules.connections
        try:
            if not await self._misbehave("connect"):
                await super()._handle_client()
        except ConnectionResetError:
            self._hang_up()

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str | None:
        if await self._misbehave("body"):
            return None
        login = (
            session.auth_data.login.decode("utf-8", "replace") if isinstance(session.auth_data, LoginPassword) else None
        )
        letter = {"from": envelope.mail_from or "", "to": list(envelope.rcpt_tos)}
        assert self.transport and isinstance(envelope.content, bytes)
        encrypted = self.transport.get_extra_info("sslcontext") is not None
        session_facts = {"connection": self.number, "login": login, "tls": encrypted}
        kept = self.letters.keep(envelope.content, letter | session_facts)
        if await self._misbehave("kept"):
            return None
        return f"250 2.0.0 kept as {kept}"

    def _obeying_faults(self, stage: str, command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        async def obey(argument: str | None) -> None:
            if not await self._misbehave(stage, argument if stage == "rcpt" else None):
                await command(argument)

        return obey

    async def _misbehave(self, stage: str, recipient: str | None = None) -> bool:
        """Do what a fault asks at this stage; False when none does. A dropped client gets no further answer."""
        recipients = [*(self.envelope.rcpt_tos if self.envelope else []), *([recipient] if recipient else [])]
        fault = self.rules.strike(stage, recipients)
        if fault is None:
            return False
        if fault.do == "refuse":
            await self.push(f"{fault.code} refused at {stage}, as told")
        if fault.do == "hang":
            await asyncio.sleep(fault.seconds)
            return False
        if fault.do == "drop" or fault.code == 421 or stage in ("connect", "quit"):
            self._hang_up()
            raise ConnectionResetError
        return True

    def _hang_up(self) -> None:
        if self.transport:
            self.transport.close()

    async def push(self, status: Any) -> None:
        if status is not None:  # handle_DATA has answered already
            await super().push(status)
