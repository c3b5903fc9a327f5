"""`flask worker`, and `flask mail …`: preview, test-connection, status, retry."""

import signal
import ssl
import tempfile
import threading
import webbrowser
from email.utils import make_msgid
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from service.cli import CommandGroup
from service.config import config
from service.mail import render, store
from service.mail.errors import MailError
from service.mail.message import Letter
from service.mail.smtp import MailServer, send_batch
from service.mail.worker import Worker
from service.scheduled_jobs import run_jobs

group = CommandGroup("mail", help="Templates, the mail server and the outbox.")


@click.command("worker")
@with_appcontext
def worker_command() -> None:
    """Send the mails of the outbox and run the scheduled jobs, until SIGTERM."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    worker = Worker(app.extensions["config"])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, worker.stop)
    jobs = threading.Thread(target=run_jobs, args=(app, worker.stopping), daemon=True)
    jobs.start()
    worker.run()
    jobs.join(timeout=5)


@group.command("preview")
@click.argument("name", type=click.Choice(render.TEMPLATES))
@click.option("--language", default="en", metavar="TAG", help="de, de-AT …; English where it is not translated.")
@click.option("--open", "is_opened", is_flag=True, help="Show the HTML in the browser.")
def preview(name: str, language: str, is_opened: bool) -> None:
    """Show one mail with sample data."""
    brand = config.smtp_from_name
    mail = render.render_sample(name, site_url=config.frontend_url, brand=brand, language=language)
    click.echo(f"Subject: {mail.subject}\n\n{mail.text}")
    page = Path(tempfile.gettempdir()) / f"mail-{name}.html"
    page.write_text(mail.html, encoding="utf-8")
    click.echo(f"HTML: {page}")
    if is_opened:
        webbrowser.open(page.as_uri())


@group.command("test-connection")
@click.option("--to", "recipients", multiple=True, metavar="ADDRESS", help="Send a test mail there; may be repeated.")
def test_connection(recipients: tuple[str, ...]) -> None:
    """Say whether mail can be sent, and if not, what is wrong."""
    server = MailServer(config)
    try:
        smtp = server.connect()
    except MailError as error:
        raise click.ClickException(str(error)) from error
    encryption = smtp.sock.version() if isinstance(smtp.sock, ssl.SSLSocket) else "not encrypted"
    login = f"logged in as {config.smtp_user}" if config.smtp_user else "without a login"
    click.echo(f"{config.smtp_host}:{config.smtp_port} takes mail: {encryption}, {login}.")
    server.close()
    if recipients:
        _send_test_mails(recipients)


@group.command("status")
def status() -> None:
    """Show how the outbox stands."""
    for name, value in store.queue_status().items():
        click.echo(f"{name.replace('_', ' ')}: {'-' if value is None else value}")


@group.command("retry")
@click.argument("email_id", required=False)
@click.option("--all", "is_all", is_flag=True, help="Every dead mail.")
def retry(email_id: str | None, is_all: bool) -> None:
    """Queue dead mails again: one by its id, or --all."""
    if bool(email_id) == is_all:
        raise click.UsageError("Name one mail by its id, or say --all.")
    click.echo(f"{store.retry_dead_emails(email_id)} queued again.")


def _send_test_mails(recipients: tuple[str, ...]) -> None:
    message = {"subject": "A test mail", "message": "This is a test. If you read it, mail arrives."}
    content = render.render("staff-alert", message, site_url=config.frontend_url, brand=config.smtp_from_name)
    letters = [Letter(address, content, make_msgid()) for address in recipients]
    failures = 0
    for letter, failure in send_batch(letters, config):
        click.echo(f"{letter.recipient}: {failure or 'accepted'}")
        failures += failure is not None
    if failures:
        raise SystemExit(1)
