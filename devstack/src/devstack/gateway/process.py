"""The command line that the stand-ins share: one process on 127.0.0.1 that ends at once and loses nothing."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

from aiohttp import web

from .local import routes, server_key
from .server import Server


class Unusable(Exception):
    """Why the stand-in cannot start, in a sentence."""


class Options(argparse.ArgumentParser):
    """Flags, each with an environment variable; `prefix` begins their names: STRIPE_LOCAL_PORT …"""

    def __init__(self, package: str, name: str, prefix: str, port: int) -> None:
        super().__init__(prog=f"python -m devstack.{package}", description=f"A local, stateful {name}.")
        local, hook = f"{prefix}_LOCAL", f"{prefix}_WEBHOOK"
        self.option("--port", f"{local}_PORT", str(port), int, "0 takes a free one")
        self.option("--state", f"{local}_STATE", f".devstack/{package}.sqlite", str, "the file of everything")
        self.option("--webhook-url", f"{hook}_URL", "", str, "where events go; else the one set last by PUT")
        self.option("--webhook-secret", f"{hook}_SECRET", "", str, "what events are signed with")
        self.option("--settle-after", f"{local}_SETTLE_AFTER", "1", float, "seconds until what is slow settles")
        self.option("--webhook-backoff", f"{hook}_BACKOFF", "0.2", float, "seconds to the first retry, doubling")
        self.option("--webhook-max-backoff", f"{hook}_MAX_BACKOFF", "5", float, "seconds between retries at most")
        self.option("--webhook-timeout", f"{hook}_TIMEOUT", "20", float, "seconds one delivery may take")

    def option(self, flag: str, variable: str, default: str, kind: type = str, note: str = "") -> None:
        value = os.environ.get(variable, default)
        self.add_argument(flag, type=kind, default=value, metavar=kind.__name__.upper(), help=f"{variable}; {note}")


def endpoint_of(settings: argparse.Namespace, known: dict[str, Any]) -> dict[str, Any]:
    """The webhook endpoint as it was set last; flags win."""
    endpoint = {"url": None, "secret": None, "enabled": True} | known
    endpoint |= {"url": settings.webhook_url} if settings.webhook_url else {}
    return endpoint | ({"secret": settings.webhook_secret} if settings.webhook_secret else {})


async def serve(settings: argparse.Namespace, make: Callable[[argparse.Namespace], Server]) -> None:
    server = make(settings)
    server.app[server_key] = server
    server.app.add_routes(routes)
    runner = web.AppRunner(server.app, access_log=None)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", settings.port), backlog=512)
    await web.SockSite(runner, listener).start()
    server.store.resume()
    server.deliveries.start_pending()
    print(f"The local {server.name} answers on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


def run(settings: argparse.Namespace, name: str, prefix: str, make: Callable[[argparse.Namespace], Server]) -> None:
    """Serve until a signal. All that was answered is on disk already, so there is nothing to wait for."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    try:
        asyncio.run(serve(settings, make))
    except Unusable as error:
        sys.exit(str(error))
    except sqlite3.OperationalError as error:
        sys.exit(f"The state file {settings.state} cannot be used ({error}): is another local {name} running on it?")
    except OSError as error:
        sys.exit(f"Port {settings.port} cannot be used ({error.strerror}): choose another by {prefix}_LOCAL_PORT")
