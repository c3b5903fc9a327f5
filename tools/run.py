"""`python -m tools.run`: what `make run` calls, and with `reset` after it, `make reset`."""

import json
import os
import shutil
import sys
from pathlib import Path

from devstack.stack import ending
from tools.project import DIRECTORY
from tools.stack import Stack, StackError, chosen_ports

BANNER = """
Ready.

  A small site     {service}
  The API          {service}/api/docs
  Supabase         {api}
  Stripe           {stripe}
  Mail             {mailbox}

  Staff login      admin@jklg.example   travel-demo-2026

Try it:

  curl -s {service}/api/bookings -H 'Content-Type: application/json' \\
    -d '{{"package_id": 1, "customer_email": "ada@example.com", "customer_name": "Ada Byron", "customer_phone": "",
         "travel_date": "2030-06-01", "number_of_guests": 2}}'
  curl -s {service}/api/customers/register -H 'Content-Type: application/json' \\
    -d '{{"email": "ada@example.com", "password": "over the hills 1843", "name": "Ada Byron"}}'
  curl -s {service}/api/auth/login -H 'Content-Type: application/json' \\
    -d '{{"email": "admin@jklg.example", "password": "travel-demo-2026"}}'

`make demo` walks through a whole booking. The logs are in {logs}. Ctrl-C stops everything.
"""


def main() -> int:
    match sys.argv[1:]:
        case []:
            return run()
        case ["reset"]:
            return reset()
    print("usage: python -m tools.run [reset]")
    return 2


def run() -> int:
    """Start everything, say what runs where, and stay until Ctrl-C."""
    ended = ending()
    try:
        stack = Stack(DIRECTORY, chosen_ports(), currency=os.environ.get("PAYMENT_CURRENCY") or "usd")
        stack.start(seed=True)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        os.environ.setdefault("FRONTEND_DIST", str(_make_site(stack)))
        _write_environment(stack)
        stack.serve()
        urls = {name: stack.url(name) for name in ("service", "api", "stripe", "mailbox")}
        print(BANNER.format(**urls, logs=os.path.relpath(DIRECTORY)), flush=True)
        stack.wait(ended)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        stack.stop()
        print("Stopped.")
    return 0


def reset() -> int:
    """Forget the data of `make run`."""
    if (DIRECTORY / "postgres" / "postmaster.pid").exists():
        print("It is running: stop it first.", file=sys.stderr)
        return 1
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    print("Forgotten. The next `make run` starts afresh.")
    return 0


def _make_site(stack: Stack) -> Path:
    """A small site to click through, so that the links in the mails lead somewhere; FRONTEND_DIST names another."""
    site = DIRECTORY / "site"
    shutil.copytree(Path(__file__).parent / "site", site, dirs_exist_ok=True)
    key = stack.secrets["stripe_publishable_key"]
    config = {"mailbox": stack.url("mailbox"), "stripe": stack.url("stripe"), "stripeKey": key}
    config["currency"] = stack.currency
    (site / "config.js").write_text(f"const config = {json.dumps(config)};")
    return site


def _write_environment(stack: Stack) -> None:
    """For `flask` commands against the running stack: flask --env-file .devstack/run/env …"""
    lines = [f"{name}='{value}'\n" for name, value in stack.service_environment().items()]
    (DIRECTORY / "env").write_text("".join(lines))


if __name__ == "__main__":
    sys.exit(main())
