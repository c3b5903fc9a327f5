"""`flask customers …`: what staff do for a customer by hand."""

import json
from collections.abc import Mapping

import click

from service.cli import CommandGroup
from service.customers import store
from service.people import acting_as

group = CommandGroup("customers", help="Show, verify, suspend and reactivate customers.")
by = click.option("--by", default="command line", show_default=True, help="Your name, for the audit log.")


@group.command("show")
@click.argument("email")
def show(email: str) -> None:
    """Show a customer."""
    _print(store.find_customer(email))


@group.command("verify")
@click.argument("email")
@by
def verify(email: str, by: str) -> None:
    """Mark an address as verified by hand, without a mail."""
    with acting_as(by):
        _print(store.verify_by_hand(email))


@group.command("suspend")
@click.argument("email")
@by
def suspend(email: str, by: str) -> None:
    """Keep a customer out; all their sessions end."""
    with acting_as(by):
        _print(store.set_customer_status(email, True))


@group.command("reactivate")
@click.argument("email")
@by
def reactivate(email: str, by: str) -> None:
    """Let a suspended customer in again."""
    with acting_as(by):
        _print(store.set_customer_status(email, False))


def _print(customer: Mapping[str, object] | None) -> None:
    if customer is None:
        raise click.ClickException("No customer has this e-mail address.")
    click.echo(json.dumps(customer, indent=2, ensure_ascii=False))
