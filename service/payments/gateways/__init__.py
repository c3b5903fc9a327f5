"""The payment gateways, and which of them this process pays by."""

from typing import cast

from flask import current_app

from service.config import config
from service.payments.gateway import Gateway, PaymentsNotConfigured
from service.payments.gateways.stripe import StripeGateway


def gateway() -> Gateway:
    """The gateway of this process, made at first use: after gunicorn's fork. Raises ``PaymentsNotConfigured``."""
    if not config.stripe_secret_key:
        raise PaymentsNotConfigured(retry_after=3600)
    known = current_app.extensions
    if "payment_gateway" not in known:
        known["payment_gateway"] = StripeGateway(config)
    return cast(Gateway, known["payment_gateway"])
