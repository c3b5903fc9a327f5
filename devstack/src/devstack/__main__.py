"""`python -m devstack`: a local Supabase, Stripe and mailbox until Ctrl-C."""

import argparse
import sys
from pathlib import Path

from devstack.stack import Stack, StackError, chosen_ports, ending


def main() -> int:
    options, ended = _options(), ending()
    try:
        stack = Stack(
            options.directory.resolve(),
            chosen_ports(),
            migrations=options.migrations,
            seed=options.seed,
            gateways={"stripe": options.webhook_url} | dict(options.gateway),
            previews=options.previews,
            currencies=options.currencies,
        )
        stack.start(seed=True)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        for name, value in stack.environment().items():
            print(f"{name}={value}")
        print(f"The mails are shown at {stack.url('mailbox')}. Ctrl-C stops everything.", flush=True)
        stack.wait(ended)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        stack.stop()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devstack", description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path(".devstack/run"), help="where the data are kept")
    parser.add_argument("--migrations", type=Path, help="a folder of SQL files, applied in order")
    parser.add_argument("--seed", type=Path, help="a SQL file for a fresh database")
    parser.add_argument("--webhook-url", help="where Stripe's events go")
    text = "another payment gateway (razorpay, paypal) and where its events go; may be given several times"
    parser.add_argument("--gateway", metavar="NAME=URL", type=_pair, action="append", default=[], help=text)
    parser.add_argument("--previews", metavar="MODULE", help="mails for the mailbox to show")
    parser.add_argument("--currencies", type=Path, metavar="FILE", help="what the local Stripe takes, as JSON")
    return parser.parse_args()


def _pair(text: str) -> tuple[str, str | None]:
    name, _, url = text.partition("=")
    if name not in ("stripe", "razorpay", "paypal"):
        raise argparse.ArgumentTypeError(f"there is no {name}")
    return name, url or None


if __name__ == "__main__":
    sys.exit(main())
