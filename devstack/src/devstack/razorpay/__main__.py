"""The command line of the local Razorpay; see the package's docstring."""

import argparse

from devstack.gateway import State
from devstack.gateway.process import Options, endpoint_of, run

from .account import Account
from .deliveries import Deliveries
from .server import Server


def options() -> argparse.Namespace:
    parser = Options("razorpay", "Razorpay", "RAZORPAY", 8430)
    parser.option("--key-id", "RAZORPAY_KEY_ID", "rzp_test_local", str, "the one key that is accepted")
    parser.option("--key-secret", "RAZORPAY_KEY_SECRET", "local", str, "its secret")
    after = "seconds of failures after which the webhook is disabled"
    parser.option("--disable-after", "RAZORPAY_LOCAL_DISABLE_AFTER", "86400", float, after)
    return parser.parse_args()


def make(settings: argparse.Namespace) -> Server:
    store = State(settings.state, settings.settle_after)
    endpoint = endpoint_of(settings, store.setting("webhook", {}))
    backoff = settings.webhook_backoff, settings.webhook_max_backoff
    deliveries = Deliveries(store, endpoint, *backoff, settings.webhook_timeout)
    deliveries.patience = settings.disable_after
    return Server(Account(deliveries, settings.key_id, settings.key_secret))


def main() -> None:
    run(options(), "Razorpay", "RAZORPAY", make)


if __name__ == "__main__":
    main()
