"""What the local gateways have in common; devstack.stripe, devstack.razorpay and devstack.paypal stand on it.

A gateway is: a `State` with its objects, a `Deliveries` that writes and signs its events, a `Server` with its routes
and error shapes, `process.Options` and `process.run` in its `__main__`, and a `Control` for tests. The control API that
all have is local.py; a verb of `Control` is a method of the server's `desk`, called by POST /_local/do/<verb> with its
arguments in a JSON object, unless the gateway's own `Control` does it in another way.
"""

from .client import Control, GatewayRefused, wait_for
from .deliveries import Deliveries, Delivery, Event
from .outages import Outage
from .server import Call, Refusal, Server, caller
from .state import State, Thing, action, random_id

__all__ = [
    "Call",
    "Control",
    "Deliveries",
    "Delivery",
    "Event",
    "GatewayRefused",
    "Outage",
    "Refusal",
    "Server",
    "State",
    "Thing",
    "action",
    "caller",
    "random_id",
    "wait_for",
]
