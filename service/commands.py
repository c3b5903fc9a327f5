"""The `flask …` commands: each package's group, registered."""

import click
from flask import Flask
from flask.cli import with_appcontext

from service import health
from service.auth import commands as auth
from service.customers import commands as customers
from service.mail import commands as mail
from service.payments import commands as payments


def init_app(app: Flask) -> None:
    """Register the command groups."""
    app.cli.add_command(check)
    app.cli.add_command(mail.worker_command)
    for package in (mail, customers, payments, auth):
        app.cli.add_command(package.group)


@click.command("check")
@with_appcontext
def check() -> None:
    """Say whether this release fits its database; the release phase of a deployment calls it."""
    problems = health.find_problems()
    for name in ("database", "schema"):
        if name in problems:
            raise click.ClickException(f"{name}: {problems[name]}")
    click.echo("The settings are complete, and the database has the schema that this release needs.")
