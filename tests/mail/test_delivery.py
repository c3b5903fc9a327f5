"""Delivery over SMTP, against a real server that misbehaves as told."""

import dataclasses
import email
import smtplib
from collections.abc import Iterator
from email import policy
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from devstack.mailbox import Mailbox, mail_server
from service.config import Config
from service.mail import init_app, smtp
from service.mail.errors import RefusedForGood, RefusedForNow, ServerTrouble
from service.mail.message import Letter, compose
from service.mail.render import Rendered
from service.mail.smtp import MailServer, send_batch
from tests.mail.servers import make_certificate

CONTENT = Rendered("Grüße aus Leh", "Hello\n.\nwith a dot on its own line\n" + "long " * 400, "<p>Hello, Leh ☀</p>")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mailbox, int]]:
    with mail_server(tmp_path_factory.mktemp("smtp")) as running:
        yield running


@pytest.fixture
def mailbox(server: tuple[Mailbox, int]) -> Mailbox:
    server[0].clear()
    return server[0]


@pytest.fixture
def settings(server: tuple[Mailbox, int]) -> Config:
    return make_settings(server[1])


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    app = Flask("mail-only")
    init_app(app)
    with app.app_context():
        yield


def make_settings(port: int, **more: object) -> Config:
    sender: dict[str, Any] = {"smtp_from_email": "noreply@jklg.example", "smtp_from_name": 'Reisen, "JKLG" Ünited'}
    return Config.model_construct(smtp_host="127.0.0.1", smtp_port=port, **(sender | more))


def letter(recipient: str = "mara@example.com", **content: Any) -> Letter:
    return Letter(recipient, dataclasses.replace(CONTENT, **content), "<the-one@jklg.example>")


def test_a_mail_arrives_as_it_was_written(mailbox: Mailbox, settings: Config) -> None:
    with MailServer(settings) as server:
        server.send(letter())
    kept = mailbox.wait_for("mara@example.com")
    assert (kept["subject"], kept["message_id"], kept["from"]) == (
        CONTENT.subject,
        "<the-one@jklg.example>",
        "noreply@jklg.example",
    )
    assert kept["text"].strip() == CONTENT.text.strip()
    assert kept["html"].strip() == CONTENT.html
    sender = email.message_from_bytes(compose(letter(), settings), policy=policy.default)["From"].addresses
    assert [(each.display_name, each.addr_spec) for each in sender] == [(settings.smtp_from_name, kept["from"])]


def test_no_line_is_longer_than_servers_take(settings: Config) -> None:
    raw = compose(letter(text="x" * 5000, html="<p>" + "y" * 5000 + "</p>", subject="Ü" * 300), settings)
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78
    assert raw.isascii()


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "body", "kept"])
@pytest.mark.parametrize("deed", ["hang", "drop"])
def test_a_connection_lost_on_the_way_is_for_now(mailbox: Mailbox, settings: Config, stage: str, deed: str) -> None:
    mailbox.fault(stage, deed, times=1)
    server = MailServer(settings, timeout=0.2)
    with pytest.raises(RefusedForNow):
        server.send(letter())
    server.send(letter())
    server.close()
    assert len(mailbox.messages()) == (2 if stage == "kept" else 1)


@pytest.mark.parametrize("stage", ["connect", "ehlo"])
@pytest.mark.parametrize("deed", ["hang", "drop"])
def test_a_server_out_of_reach_is_no_mails_fault(mailbox: Mailbox, settings: Config, stage: str, deed: str) -> None:
    mailbox.fault(stage, deed)
    with pytest.raises(ServerTrouble):
        MailServer(settings, timeout=0.2).send(letter())


@pytest.mark.parametrize(
    ("stage", "code", "kind"),
    [
        ("connect", 421, ServerTrouble),
        ("connect", 554, ServerTrouble),
        ("mail", 451, RefusedForNow),
        ("mail", 550, RefusedForNow),
        ("mail", 530, ServerTrouble),
        ("rcpt", 450, RefusedForNow),
        ("rcpt", 421, RefusedForNow),
        ("rcpt", 550, RefusedForGood),
        ("data", 451, RefusedForNow),
        ("data", 554, RefusedForGood),
        ("body", 452, RefusedForNow),
        ("body", 552, RefusedForGood),
    ],
)
def test_a_refusal_is_for_now_or_for_good(
    mailbox: Mailbox, settings: Config, stage: str, code: int, kind: type[Exception]
) -> None:
    mailbox.fault(stage, "refuse", code=code, times=1)
    server = MailServer(settings)
    with pytest.raises(kind, match=str(code)):
        server.send(letter())
    server.send(letter())
    server.close()
    assert len(mailbox.messages()) == 1


@pytest.mark.parametrize("deed", ["refuse", "drop", "hang"])
def test_a_failing_quit_is_no_failed_mail(mailbox: Mailbox, settings: Config, deed: str) -> None:
    mailbox.fault("quit", deed)
    with MailServer(settings, timeout=0.2) as server:
        server.send(letter())
    assert len(mailbox.messages()) == 1


def test_a_batch_goes_over_one_connection_past_its_failures(mailbox: Mailbox, settings: Config) -> None:
    mailbox.fault("rcpt", "refuse", code=550, to="bob@")
    before = mailbox.rules()["connections"]
    results = send_batch([letter(f"{name}@example.com") for name in ("ada", "bob", "cleo", "no address")], settings)
    assert [type(failure) for _, failure in results] == [type(None), RefusedForGood, type(None), RefusedForGood]
    assert [mail["to"] for mail in mailbox.messages()] == [["cleo@example.com"], ["ada@example.com"]]
    assert mailbox.rules()["connections"] == before + 1


def test_a_batch_tries_a_dead_server_once(settings: Config) -> None:
    dead = settings.model_copy(update={"smtp_port": 9})
    results = send_batch([letter(), letter()], dead)
    assert [type(failure) for _, failure in results] == [ServerTrouble, ServerTrouble]
    assert results[0][1] is results[1][1]


def test_a_connection_that_the_server_had_enough_of_is_opened_again(mailbox: Mailbox, settings: Config) -> None:
    server = MailServer(settings)
    server.send(letter())
    mailbox.fault("mail", "refuse", code=421, times=1)
    server.send(letter())
    mailbox.fault("mail", "drop", times=1)
    server.send(letter())
    server.close()
    assert len({mail["connection"] for mail in mailbox.messages()}) == 3


def test_a_login_that_is_refused_is_trouble(mailbox: Mailbox, settings: Config) -> None:
    mailbox.rule(user="jklg", password="right")
    wrong = settings.model_copy(update={"smtp_user": "jklg", "smtp_password": "wrong"})
    with pytest.raises(ServerTrouble, match="refuses SMTP_USER with SMTP_PASSWORD: 535"):
        MailServer(wrong).send(letter())
    with pytest.raises(ServerTrouble, match="530"):
        MailServer(settings).send(letter())
    with MailServer(wrong.model_copy(update={"smtp_password": "right"})) as server:
        server.send(letter())
    assert [mail["login"] for mail in mailbox.messages()] == ["jklg"]


def test_a_login_goes_nowhere_in_clear(mailbox: Mailbox, settings: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "_is_loopback", lambda _: False)
    before = mailbox.rules()["logins"]
    with pytest.raises(ServerTrouble, match="offers no encryption"):
        MailServer(settings.model_copy(update={"smtp_user": "jklg", "smtp_password": "secret"})).send(letter())
    assert mailbox.rules()["logins"] == before


@pytest.mark.parametrize("options", [[], ["--implicit-tls"]], ids=["starttls", "implicit"])
def test_tls_is_used_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    certificate = make_certificate(tmp_path)
    with mail_server(tmp_path, "--certificate", str(certificate), *options) as (mailbox, port):
        if options:
            monkeypatch.setattr(smtp, "IMPLICIT_TLS_PORT", port)
        settings = make_settings(port, smtp_user="jklg", smtp_password="secret")
        with pytest.raises(ServerTrouble, match="certificate of 127.0.0.1 is not good: self-signed"):
            MailServer(settings).send(letter())
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with MailServer(settings) as server:
            server.send(letter())
        assert [(mail["tls"], mail["login"]) for mail in mailbox.messages()] == [(True, "jklg")]


def test_a_certificate_for_another_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path, host="127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with mail_server(tmp_path, "--certificate", str(certificate)) as (_, port):
        with pytest.raises(ServerTrouble, match="certificate of 127.0.0.1 is not good"):
            MailServer(make_settings(port)).send(letter())


@pytest.mark.parametrize("sender", ["noreply", "no reply@jklg.example", "nöreply@jklg.example", None])
def test_no_mail_dies_of_a_wrong_sender(mailbox: Mailbox, settings: Config, sender: str | None) -> None:
    with pytest.raises(ServerTrouble, match="SMTP_FROM_EMAIL"):
        MailServer(settings.model_copy(update={"smtp_from_email": sender})).send(letter())
    with MailServer(settings.model_copy(update={"smtp_from_email": "noreply@bücher.example"})) as server:
        server.send(letter())
    assert mailbox.messages()[0]["from"] == "noreply@xn--bcher-kva.example"


def test_plain_and_tls_mixed_up_is_said(
    tmp_path: Path, settings: Config, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "IMPLICIT_TLS_PORT", settings.smtp_port)
    with pytest.raises(ServerTrouble, match="speaks TLS differently"):
        MailServer(settings).send(letter())


@pytest.mark.parametrize("recipient", ["mara@bücher.example", "mara@xn--bcher-kva.example"])
def test_a_domain_beyond_ascii_works(mailbox: Mailbox, settings: Config, recipient: str) -> None:
    with MailServer(settings) as server:
        server.send(letter(recipient))
    assert mailbox.messages()[0]["to"] == ["mara@xn--bcher-kva.example"]


def test_a_name_beyond_ascii_before_the_at_works_where_the_server_can(mailbox: Mailbox, settings: Config) -> None:
    with MailServer(settings) as server:
        server.send(letter("mära@bücher.example"))
    kept = mailbox.wait_for("mära@xn--bcher-kva.example")
    assert dict(kept["headers"])["To"] == "mära@xn--bcher-kva.example"
    assert (kept["subject"], kept["html"].strip()) == (CONTENT.subject, CONTENT.html)
    mailbox.rule(smtputf8=False)
    with MailServer(settings) as server, pytest.raises(RefusedForGood, match="beyond ASCII"):
        server.send(letter("mära@example.com"))


@pytest.mark.parametrize("mark", ["\r\n", "\n", "\r", "\0", "\n "])
def test_no_header_can_be_smuggled_in(mailbox: Mailbox, settings: Config, mark: str) -> None:
    with MailServer(settings) as server:
        for smuggling in (
            letter(subject=f"Hello{mark}Bcc: eve@example.com"),
            letter(f"mara@example.com{mark}Bcc: eve@example.com"),
            letter(f"mara@example.com>{mark}RCPT TO:<eve@example.com"),
        ):
            with pytest.raises(RefusedForGood):
                server.send(smuggling)
    assert mailbox.messages() == []


def test_the_exceptions_of_smtplib_are_still_what_this_relies_on() -> None:
    assert issubclass(smtplib.SMTPException, OSError)
