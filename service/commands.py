"""The `flask …` commands: each package's group, registered."""

import click
from flask import Flask
from flask.cli import with_appcontext

from service import health
from service.auth import commands as auth
from service.config import config
from service.customers import commands as customers
from service.errors import ServiceError
from service.mail import commands as mail
from service.payments import commands as payments
from service.payments import store as payments_store


def init_app(app: Flask) -> None:
    """Register the command groups."""
    app.cli.add_command(check)
    app.cli.add_command(mail.worker_command)
    for package in (mail, customers, payments, auth):
        app.cli.add_command(package.group)


@click.command("check")
@click.option(
    "--force-currency",
    is_flag=True,
    help="Let PAYMENT_CURRENCY hold although bookings are in another: they keep theirs.",
)
@with_appcontext
def check(force_currency: bool) -> None:
    """Say whether this release fits its database; the release phase of a deployment calls it.

    What the database is not told otherwise it learns here: the agency's currency, from PAYMENT_CURRENCY.
    """
    problems, warnings, notes = health.examine()
    if problems:
        raise click.ClickException("\n".join(_lines(problems)))
    _set_currency(force_currency)
    warnings.pop("currency", None)
    for line in [*_lines(warnings), *_lines(notes)]:
        click.echo(line)
    click.echo("The settings are complete, and the database has the schema that this release needs.")


def _set_currency(is_forced: bool) -> None:
    try:
        payments_store.set_agency_currency(config.payment_currency, is_forced=is_forced)
    except ServiceError as error:
        hint = " Set PAYMENT_CURRENCY to theirs, or call `flask check --force-currency`: they keep theirs."
        told = error.message + (hint if error.code == "currency_differs" else "")
        raise click.ClickException(f"currency: {told}") from error


def _lines(sentences: health.Sentences) -> list[str]:
    return [f"{name}: {sentence}" for name, sentence in sentences.items()]
