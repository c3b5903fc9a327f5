"""What the command groups of all packages share."""

from typing import Any

import click
from flask.cli import AppGroup

from service.errors import ServiceError


class CommandGroup(AppGroup):
    """Commands in the application's context whose refusals are a sentence on the terminal, not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ServiceError as error:
            raise click.ClickException(error.message) from error
