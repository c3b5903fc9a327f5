"""`flask payments …`: reconcile, replay and test the connection."""

from pathlib import Path

import click

from service.cli import CommandGroup
from service.config import config
from service.payments import reconciliation
from service.payments.gateways import ADAPTERS, configured, gateway

group = CommandGroup("payments", help="Make our books equal the gateways'.")
one_gateway = click.option("--gateway", "name", type=click.Choice(list(ADAPTERS)), help="Of several, this one.")


@group.command("reconcile")
def reconcile() -> None:
    """Ask the gateways about everything unsettled, once. The worker does so every 10 minutes."""
    _find_names(None)
    done = reconciliation.reconcile()
    click.echo(", ".join(f"{name}: {count}" for name, count in done.items()))
    if done.get("errors"):
        raise click.ClickException("Not everything could be asked. The log says why; the next run tries again.")


@group.command("replay")
@click.argument("event", metavar="EVENT_ID|FILE")
@one_gateway
def replay(event: str, name: str | None) -> None:
    """Apply one event again: by its id, or the file of its JSON (of the first gateway, else name it). Safe twice."""
    first, *_ = _find_names(name)
    path = Path(event)
    click.echo(reconciliation.replay(first, path.read_text()) if path.exists() else reconciliation.replay_by_id(event))


@group.command("test-connection")
@click.option(
    "--amount", default=10_000, show_default=True, help="Of the test payment, in minor units; nobody pays it."
)
@one_gateway
def test_connection(amount: int, name: str | None) -> None:
    """Make, read and cancel a payment at each gateway, and look at its webhooks; with a test key, or a live one."""
    faults = []
    for each in _find_names(name):
        by = gateway(each)
        found = by.find_faults(amount, config.payment_currency) + by.find_gaps(config)
        faults += [f"{by.label}: {fault}" for fault in found]
        if not found:
            click.echo(f"{by.label} takes payments, and tells of them.")
    if faults:
        raise click.ClickException("\n".join(faults))


def _find_names(asked: str | None) -> list[str]:
    """The configured gateways, or the one asked for where it is."""
    names = [adapter.name for adapter in configured(config) if asked in (None, adapter.name)]
    if not names:
        raise click.ClickException(f"{'It is not' if asked else 'No payment gateway is'} configured: see .env.example.")
    return names
