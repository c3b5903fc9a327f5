"""localstripe's store, kept in one SQLite file."""

import pickle
from typing import Any

from localstripe import resources

from devstack import gateway
from devstack.gateway import action

__all__ = ["State", "action"]

# Classes that state files of older versions look for elsewhere: (module, name) -> module.
MOVED = {("devstack.stripe.refunds", "Dispute"): "devstack.stripe.disputes"}


class Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(MOVED.get((module, name), module), name)


class State(gateway.State, resources.Store):
    thing = resources.StripeObject
    unpickler = Unpickler

    def dump_to_disk(self) -> None:
        """localstripe's own habit, a whole pickle into /tmp at every change: replaced by commit()."""
