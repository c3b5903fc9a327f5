"""`python -m tools.run`: what `make run` calls, and with `reset` after it, `make reset`."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

from devstack.stack import ending
from tools.project import DIRECTORY, SEED
from tools.stack import Stack, StackError, chosen_ports

SMALL_SITE = Path(__file__).parent / "site"
# A page's own tag for Stripe.js gives way to one for our stand-in, which stands before its first script.
STRIPE_TAG = re.compile(r"<script[^>]*\bsrc=[\"']https://js\.stripe\.com/[^>]*></script>", re.IGNORECASE)
FIRST_SCRIPT = re.compile(r"<script|</head|<body|\Z", re.IGNORECASE)

BANNER = """
Ready.

  The site         {site}
  The API          {service}/api/docs
  Supabase         {api}
  Stripe           {stripe}
  Razorpay         {razorpay}
  PayPal           {paypal}
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
        built = _built_site()
        ports = chosen_ports()
        # By this name, as what is built for this machine calls it; mailed links and cookies are of one name.
        site = os.environ.setdefault("FRONTEND_URL", f"http://localhost:{ports['service']}")
        stack = Stack(DIRECTORY, ports, currency=os.environ.get("PAYMENT_CURRENCY") or "usd")
        stack.seed = DIRECTORY / "seed.sql"
        stack.seed.write_text(SEED.read_text().replace("http://localhost:3000", site))
        stack.start(seed=True)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        os.environ["FRONTEND_DIST"] = str(_make_site(stack, built))
        _write_environment(stack)
        stack.serve()
        urls = {name: stack.url(name) for name in ("service", "api", "stripe", "razorpay", "paypal", "mailbox")}
        print(BANNER.format(site=site, **urls, logs=os.path.relpath(DIRECTORY)), flush=True)
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


def _built_site() -> Path:
    """The folder that FRONTEND_DIST names, else that of a small site to click through. Raises ``StackError``."""
    named = os.environ.get("FRONTEND_DIST")
    if named and not Path(named, "index.html").is_file():
        raise StackError(f"FRONTEND_DIST names no folder with an index.html: {named}")
    return Path(named) if named else SMALL_SITE


def _make_site(stack: Stack, built: Path) -> Path:
    """A copy of the site that pays at the local Stripe, with the pictures that the seed names."""
    site = DIRECTORY / "site"
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(built, site)
    shutil.copytree(SMALL_SITE / "pictures", site / "pictures", dirs_exist_ok=True)
    page = site / "index.html"
    page.write_text(with_stripe(page.read_text(), stack.url("stripe")))
    if built == SMALL_SITE:
        config = {"mailbox": stack.url("mailbox"), "currency": stack.currency}
        (site / "config.js").write_text(f"const config = {json.dumps(config)};")
    return site


def with_stripe(html: str, stripe: str) -> str:
    """A page with the stand-in for Stripe.js in the place of its own tag for it."""
    tag = f'<script src="{stripe}/js.stripe.com/v3/"></script>\n'
    return FIRST_SCRIPT.sub(lambda found: tag + found[0], STRIPE_TAG.sub("", html), count=1)


def _write_environment(stack: Stack) -> None:
    """For `flask` commands against the running stack: flask --env-file .devstack/run/env …"""
    lines = [f"{name}='{value}'\n" for name, value in stack.service_environment().items()]
    (DIRECTORY / "env").write_text("".join(lines))


if __name__ == "__main__":
    sys.exit(main())
