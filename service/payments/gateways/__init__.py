"""The payment gateways, and which of them this process pays by.

Every file here that has an ``ADAPTER`` is one: a class that keeps to ``service.payments.gateway.Gateway``.
"""

import importlib
import pkgutil
from typing import cast

from flask import current_app

from service.config import Config, config
from service.payments.gateway import Gateway, GatewayUnknown, PaymentsNotConfigured


def _find_adapters() -> dict[str, type[Gateway]]:
    files = [importlib.import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
    found: list[type[Gateway]] = [file.ADAPTER for file in files if hasattr(file, "ADAPTER")]
    places = {name: place for place, name in enumerate(FIRST)}
    return {each.name: each for each in sorted(found, key=lambda each: places.get(each.name, len(FIRST)))}


FIRST = ("stripe", "razorpay")  # what is paid by unless another is asked for: what the site knows, what takes rupees
ADAPTERS = _find_adapters()  # by name


def configured(config: Config) -> list[type[Gateway]]:
    """The adapters that have their settings; the first one is what is paid by unless another is asked for."""
    return [adapter for adapter in ADAPTERS.values() if adapter.is_configured(config)]


def is_configured(name: str) -> bool:
    """Whether this process knows how to speak with the gateway."""
    return name in ADAPTERS and ADAPTERS[name].is_configured(config)


def default_gateway() -> Gateway:
    """The first configured one. Raises ``PaymentsNotConfigured``."""
    for adapter in configured(config):
        return gateway(adapter.name)
    raise PaymentsNotConfigured(retry_after=3600)


def gateway(name: str) -> Gateway:
    """A gateway of this process, made at first use: after gunicorn's fork.

    Raises ``GatewayUnknown``, ``PaymentsNotConfigured``.
    """
    if name not in ADAPTERS:
        raise GatewayUnknown
    if not ADAPTERS[name].is_configured(config):
        raise PaymentsNotConfigured(retry_after=3600)
    known = cast(dict[str, Gateway], current_app.extensions.setdefault("payment_gateways", {}))
    if name not in known:
        known[name] = ADAPTERS[name](config)
    return known[name]
