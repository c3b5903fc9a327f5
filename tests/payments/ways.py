"""The gateways as the proofs turn to them: each by its name and the same words, none by what is its own."""

import importlib
from collections.abc import Sequence

from devstack.gateway import Control
from service.payments.gateways import ADAPTERS
from tools.stack import PORTS, Stack

# Those that have an adapter and a stand-in. The last: whoever pays chooses one anew each time.
GATEWAYS = tuple(name for name in ADAPTERS if name in PORTS)
MIXED = "mixed"
WAYS: dict[str, Sequence[str]] = {**{name: (name,) for name in GATEWAYS}, MIXED: GATEWAYS}


def control_of(stack: Stack, name: str) -> Control:
    """The control client of a gateway's stand-in."""
    control: Control = importlib.import_module(f"devstack.{name}").Control(stack.url(name))
    return control
