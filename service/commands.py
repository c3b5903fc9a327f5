"""The `flask …` commands: each package's group, registered."""

from flask import Flask

from service.auth import commands as auth
from service.customers import commands as customers
from service.mail import commands as mail
from service.payments import commands as payments


def init_app(app: Flask) -> None:
    """Register the command groups."""
    app.cli.add_command(mail.worker_command)
    for package in (mail, customers, payments, auth):
        app.cli.add_command(package.group)
