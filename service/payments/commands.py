"""`flask payments …`: reconcile, replay and test the connection."""

from pathlib import Path

import click

from service.cli import CommandGroup
from service.config import config
from service.payments import reconciliation
from service.payments.gateway import PaymentsNotConfigured
from service.payments.gateways import gateway

group = CommandGroup("payments", help="Make our books equal the gateway's.")


@group.command("reconcile")
def reconcile() -> None:
    """Ask the gateway about everything unsettled, once. The worker does so every 10 minutes."""
    try:
        done = reconciliation.reconcile()
    except PaymentsNotConfigured as error:
        raise click.ClickException("STRIPE_SECRET_KEY is not set.") from error
    click.echo(", ".join(f"{name}: {count}" for name, count in done.items()))
    if done.get("errors"):
        raise click.ClickException("Not everything could be asked. The log says why; the next run tries again.")


@group.command("replay")
@click.argument("event", metavar="EVENT_ID|FILE")
def replay(event: str) -> None:
    """Apply one event again: by its id at the gateway, or the file of its JSON. Safe twice."""
    try:
        path = Path(event)
        payload = path.read_text() if path.exists() else gateway().retrieve_event(event)
        click.echo(reconciliation.replay(payload))
    except PaymentsNotConfigured as error:
        raise click.ClickException("STRIPE_SECRET_KEY is not set.") from error


@group.command("test-connection")
@click.option(
    "--amount", default=10_000, show_default=True, help="Of the test payment, in minor units; nobody pays it."
)
def test_connection(amount: int) -> None:
    """Make, read and cancel a payment at the gateway, and look at its webhooks; with a test key, or a live one."""
    try:
        faults = gateway().find_faults(amount, config.payment_currency)
    except PaymentsNotConfigured as error:
        raise click.ClickException("STRIPE_SECRET_KEY is not set.") from error
    if not config.stripe_webhook_secrets:
        faults.append("STRIPE_WEBHOOK_SECRET is not set: events are refused.")
    if faults:
        raise click.ClickException("\n".join(faults))
    click.echo("The gateway takes payments, and tells of them.")
