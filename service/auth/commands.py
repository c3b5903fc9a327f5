"""`flask staff …`: accounts of staff, for who has no account to make one with."""

import getpass

import click
from marshmallow import ValidationError, fields

from service.auth import store
from service.cli import CommandGroup
from service.credentials import hash_password
from service.fields import EmailAddress
from service.passwords import NewPassword
from service.people import acting_as
from service.permissions import ROLES
from service.users.shapes import NewUser
from service.users.store import create_user

group = CommandGroup("staff", help="Accounts of staff.")


@group.command("create")
@click.argument("email")
@click.option("--role", type=click.Choice(ROLES), default="Admin", show_default=True)
@click.option("--name", help="Default: the part of the address before the @.")
@click.option("--invite", is_flag=True, help="Mail a link to choose the password, instead of asking for one here.")
def create(email: str, role: str, name: str | None, invite: bool) -> None:
    """Make a staff account with the address EMAIL."""
    address = _valid(EmailAddress(), email)
    values: NewUser = {"email": address, "role": role, "name": name or address.partition("@")[0]}
    actor = f"flask staff create ({getpass.getuser()})"
    if invite:
        with acting_as(actor):
            store.invite_staff(values)
        click.echo(f"{address} gets a mail with a link to choose a password.")
        return
    password = _valid(NewPassword(), click.prompt("Password", hide_input=True, confirmation_prompt=True))
    with acting_as(actor):
        create_user(values, hash_password(password))
    click.echo(f"{address} can log in as {role}.")


def _valid(field: fields.String, value: str) -> str:
    try:
        return str(field.deserialize(value))
    except ValidationError as error:
        raise click.ClickException(
            f"{value if isinstance(field, EmailAddress) else 'Password'}: {error.messages[0]}"
        ) from error
