"""`flask mail …`: what a person reads."""

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from devstack.mailbox import Mailbox
from service import create_app
from service.config import Config
from tests.factories import unique_email


@pytest.fixture
def mail(settings_for: Callable[..., Config]) -> Callable[..., Result]:
    """Runs `flask mail ARGUMENTS…` with environment variables changed by keyword."""

    def run(*arguments: str, **changes: Any) -> Result:
        app = create_app(settings_for(**changes))
        result = app.test_cli_runner().invoke(args=["mail", *arguments])
        app.extensions["supabase"].postgrest.session.close()
        return result

    return run


def test_a_preview_is_subject_text_and_a_page(app: Flask) -> None:
    shown = app.test_cli_runner().invoke(args=["mail", "preview", "payment-receipt"])
    assert shown.exit_code == 0
    assert shown.output.startswith("Subject: Receipt: $2,598.00 for Ladakh: Lakes and High Passes\n\nHello Mara")
    assert "mail-payment-receipt.html" in shown.output
    assert app.test_cli_runner().invoke(args=["mail", "preview", "no-such"]).exit_code == 2


def test_a_preview_is_in_the_language_that_is_asked_for(app: Flask) -> None:
    shown = app.test_cli_runner().invoke(args=["mail", "preview", "booking-received", "--language", "de"])
    assert shown.output.startswith("Subject: Wir haben Ihre Buchung erhalten: Ladakh")


def test_a_working_server_is_said_to_work(mail: Callable[..., Result], mailbox: Mailbox) -> None:
    mailbox.clear()
    good, other = unique_email(), unique_email()
    mailbox.fault("rcpt", "refuse", code=550, to=other)
    result = mail("test-connection", "--to", good, "--to", other)
    first, accepted, refused = result.output.splitlines()
    assert first.endswith("takes mail: not encrypted, without a login.")
    assert accepted == f"{good}: accepted"
    assert refused.startswith(f"{other}: The mail server refuses the recipient: 550")
    assert result.exit_code == 1
    assert "If you read it, mail arrives." in mailbox.wait_for(good, "A test mail")["text"]
    mailbox.clear()
    assert mail("test-connection").exit_code == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"SMTP_HOST": None}, "Mail is not configured: set SMTP_HOST and SMTP_FROM_EMAIL."),
        ({"SMTP_PORT": "9"}, "127.0.0.1:9 does not answer as a mail server: [Errno 111] Connection refused."),
        ({"SMTP_HOST": "no-such-host.invalid"}, "no-such-host.invalid"),
        ({"SMTP_USER": "jklg", "SMTP_PASSWORD": "wrong"}, "refuses SMTP_USER with SMTP_PASSWORD: 535"),
        ({"SMTP_USER": "jklg", "SMTP_PASSWORD": "schlüssel"}, "letters that mail servers do not take"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    mail: Callable[..., Result], mailbox: Mailbox, changes: dict[str, str | None], sentence: str
) -> None:
    mailbox.rule(user="jklg", password="right")
    result = mail("test-connection", **changes)
    mailbox.clear()
    assert result.exit_code == 1
    assert result.output.count("\n") == 1 and sentence in result.output


def test_the_outbox_is_told_in_lines(mail: Callable[..., Result]) -> None:
    output = mail("status").output
    assert "waiting: " in output and "oldest due seconds: " in output
    assert mail("retry").exit_code == 2
    assert mail("retry", "--all").output.endswith(" queued again.\n")
