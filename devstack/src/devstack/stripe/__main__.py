"""The command line of the local Stripe; see the package's docstring."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sqlite3
import sys

from aiohttp import web
from localstripe import resources

from . import currencies, events
from .local import routes, server_key
from .server import Server
from .state import State


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devstack.stripe", description="A local, stateful Stripe.")

    def option(flag: str, variable: str, default: str, kind: type = str, note: str = "") -> None:
        value = os.environ.get(variable, default)
        parser.add_argument(flag, type=kind, default=value, metavar=kind.__name__.upper(), help=f"{variable}; {note}")

    option("--port", "STRIPE_LOCAL_PORT", "8420", int, "0 takes a free one")
    option("--state", "STRIPE_LOCAL_STATE", ".devstack/stripe.sqlite", str, "the file of everything")
    option("--webhook-url", "STRIPE_WEBHOOK_URL", "", str, "where events go; else the one set last by PUT")
    option("--webhook-secret", "STRIPE_WEBHOOK_SECRET", "", str, "whsec_…")
    option("--api-key", "STRIPE_SECRET_KEY", "sk_test_local", str, "the one secret key that is accepted")
    option("--publishable-key", "STRIPE_PUBLISHABLE_KEY", "pk_test_local", str, "the one for browsers")
    option("--settle-after", "STRIPE_LOCAL_SETTLE_AFTER", "1", float, "seconds until bank debits and such settle")
    option("--webhook-backoff", "STRIPE_WEBHOOK_BACKOFF", "0.2", float, "seconds to the first retry, doubling")
    option("--webhook-max-backoff", "STRIPE_WEBHOOK_MAX_BACKOFF", "5", float, "seconds between retries at most")
    option("--webhook-timeout", "STRIPE_WEBHOOK_TIMEOUT", "20", float, "seconds one delivery may take")
    option("--currencies", "STRIPE_LOCAL_CURRENCIES", "", str, "a JSON file in place of the built-in table")
    return parser.parse_args()


async def serve(settings: argparse.Namespace) -> None:
    # localstripe keeps these as globals of its module: they are the seams by which it is extended.
    resources.store = store = State(settings.state, settings.settle_after)
    resources.Event = events.Event
    if settings.currencies:
        currencies.table = currencies.read(settings.currencies)
    resources.schedule_webhook = lambda event: None

    endpoint = {"url": None, "secret": None, "enabled": True} | store.setting("webhook", {})
    endpoint |= {"url": settings.webhook_url} if settings.webhook_url else {}
    endpoint |= {"secret": settings.webhook_secret} if settings.webhook_secret else {}
    backoff = settings.webhook_backoff, settings.webhook_max_backoff
    events.deliveries = events.Deliveries(endpoint, *backoff, settings.webhook_timeout)

    server = Server(settings.api_key, settings.publishable_key)
    server.app[server_key] = server
    server.app.add_routes(routes)
    runner = web.AppRunner(server.app, access_log=None)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", settings.port), backlog=512)
    await web.SockSite(runner, listener).start()
    store.resume()
    events.deliveries.start_pending()
    print(f"The local Stripe answers on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    # All that was answered is on disk already, so there is nothing to wait for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    settings = options()
    try:
        asyncio.run(serve(settings))
    except currencies.Unreadable as error:
        sys.exit(f"The currencies in {settings.currencies} cannot be used: {error}")
    except sqlite3.OperationalError as error:
        sys.exit(f"The state file {settings.state} cannot be used ({error}): is another local Stripe running on it?")
    except OSError as error:
        sys.exit(f"Port {settings.port} cannot be used ({error.strerror}): choose another by STRIPE_LOCAL_PORT")


if __name__ == "__main__":
    main()
