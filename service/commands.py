"""The `flask …` commands: each package's group, registered."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the command groups."""
