"""The command line of the local Stripe; see the package's docstring."""

import argparse

from localstripe import resources

from devstack.gateway.process import Options, Unusable, endpoint_of, run

from . import currencies, events
from .local import routes
from .server import Server
from .state import State


def options() -> argparse.Namespace:
    parser = Options("stripe", "Stripe", "STRIPE", 8420)
    parser.option("--api-key", "STRIPE_SECRET_KEY", "sk_test_local", str, "the one secret key that is accepted")
    parser.option("--publishable-key", "STRIPE_PUBLISHABLE_KEY", "pk_test_local", str, "the one for browsers")
    parser.option("--currencies", "STRIPE_LOCAL_CURRENCIES", "", str, "a JSON file in place of the built-in table")
    return parser.parse_args()


def make(settings: argparse.Namespace) -> Server:
    # localstripe keeps these as globals of its module: they are the seams by which it is extended.
    resources.store = store = State(settings.state, settings.settle_after)
    resources.Event = events.Event
    if settings.currencies:
        try:
            currencies.table = currencies.read(settings.currencies)
        except currencies.Unreadable as error:
            raise Unusable(f"The currencies in {settings.currencies} cannot be used: {error}") from None
    resources.schedule_webhook = lambda event: None

    endpoint = endpoint_of(settings, store.setting("webhook", {}))
    backoff = settings.webhook_backoff, settings.webhook_max_backoff
    events.deliveries = events.Deliveries(store, endpoint, *backoff, settings.webhook_timeout)
    server = Server(store, events.deliveries, settings.api_key, settings.publishable_key)
    server.app.add_routes(routes)
    return server


def main() -> None:
    run(options(), "Stripe", "STRIPE", make)


if __name__ == "__main__":
    main()
