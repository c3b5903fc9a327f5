"""The command line of the local PayPal; see the package's docstring."""

import argparse

from devstack.gateway import State
from devstack.gateway.process import Options, endpoint_of, run

from .account import Account
from .api import Api
from .events import Deliveries
from .pages import Pages
from .server import Server
from .tokens import LIFETIME, Tokens


class Book(State):
    """PayPal knows the ids of refunds for 45 days, those of orders for six hours: here it is the shorter for all."""

    key_lifetime = 6 * 3600


def options() -> argparse.Namespace:
    parser = Options("paypal", "PayPal", "PAYPAL", 8440)
    parser.option("--client-id", "PAYPAL_CLIENT_ID", "local-client", str, "the one that gets tokens")
    parser.option("--client-secret", "PAYPAL_CLIENT_SECRET", "local-secret", str, "its secret")
    parser.option("--webhook-id", "PAYPAL_WEBHOOK_ID", "LOCALWEBHOOK00001", str, "the webhook's id")
    parser.option("--token-lifetime", "PAYPAL_LOCAL_TOKEN_LIFETIME", str(LIFETIME), float, "seconds")
    parser.option(
        "--order-lifetime", "PAYPAL_LOCAL_ORDER_LIFETIME", "10800", float, "seconds to approve, and to capture"
    )
    return parser.parse_args()


def make(settings: argparse.Namespace) -> Server:
    store = Book(settings.state, settings.settle_after)
    endpoint = {"event_types": ["*"]} | endpoint_of(settings, store.setting("webhook", {}))
    endpoint["id"] = settings.webhook_id
    times = settings.webhook_backoff, settings.webhook_max_backoff, settings.webhook_timeout
    deliveries = Deliveries(store, endpoint, *times)
    deliveries.key = settings.webhook_secret or settings.client_secret
    account = Account(store, deliveries, settings.order_lifetime)
    tokens = Tokens(store, settings.client_id, settings.client_secret, settings.token_lifetime)
    server = Server(account, tokens)
    Api(server).add_routes()
    Pages(account).add_routes(server.app)
    return server


def main() -> None:
    run(options(), "PayPal", "PAYPAL", make)


if __name__ == "__main__":
    main()
