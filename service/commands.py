"""The `flask …` commands: each package's group, registered."""

from flask import Flask

from service.customers import commands as customers
from service.mail import commands as mail
from service.payments import commands as payments


def init_app(app: Flask) -> None:
    """Register the command groups."""
    app.cli.add_command(mail.worker_command)
    app.cli.add_command(mail.group)
    app.cli.add_command(payments.group)
    app.cli.add_command(customers.group)
