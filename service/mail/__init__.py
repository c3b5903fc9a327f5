"""Mail: templates rendered, the outbox drained by `flask worker`, delivery over SMTP."""

from flask import Flask
from flask_mail import Mail


def init_app(app: Flask) -> None:
    """Flask-Mail builds the messages; how they are sent is ours (smtp.py), so it needs no settings."""
    Mail(app)
