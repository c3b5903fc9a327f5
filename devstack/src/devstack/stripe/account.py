"""What is set for the whole account in Stripe's dashboard, and habits of Stripe that no document settles.

In memory only, like outages: a restart and a reset bring the defaults back.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import stripe

from .parameters import Refusal

# Methods that leave the page to be paid (docs.stripe.com/payments/payment-methods/integration-options).
REDIRECTING = frozenset(
    """affirm afterpay_clearpay alipay alma amazon_pay bancontact billie cashapp crypto eps fpx giropay grabpay ideal
    kakao_pay klarna kr_card mobilepay naver_pay p24 pay_by_bank payco paypal revolut_pay samsung_pay satispay scalapay
    sofort sunbit twint wechat_pay zip""".split()
)


@dataclass
class Account:
    """`method_types`: what automatic payment methods offer, in this order.

    `endpoint`: how the webhook endpoint that is delivered to is set up; its URL is with events.deliveries.

    `keeps_failed_refunds`: charge.amount_refunded goes on counting refunds that failed or were canceled. Stripe's
    documents say that their money returns to the balance, and nothing of that total: both are to be lived with.
    """

    method_types: list[str] = field(default_factory=lambda: ["card", "link", "us_bank_account", "amazon_pay"])
    keeps_failed_refunds: bool = False
    endpoint: dict[str, Any] = field(
        default_factory=lambda: {
            "api_version": stripe.api_version,
            "description": None,
            "enabled_events": ["*"],
            "metadata": {},
            "status": "enabled",
        }
    )
    created: int = field(default_factory=lambda: int(time.time()))


current = Account()


def reset() -> None:
    global current
    current = Account()


def offered(with_redirects: bool) -> list[str]:
    """The account's method types, without those that leave the page unless `with_redirects`."""
    return [each for each in current.method_types if with_redirects or each not in REDIRECTING]


def hears_of(type: str) -> bool:
    """Whether the webhook endpoint is told of this type of event."""
    types = current.endpoint["enabled_events"]
    return current.endpoint["status"] == "enabled" and ("*" in types or type in types)


def set_method_types(types: object) -> list[str]:
    """Raises Refusal for anything but a list of names that is not empty."""
    if not isinstance(types, list) or not types or not all(isinstance(each, str) and each for each in types):
        raise Refusal(400, "types is a list of the names of payment methods")
    current.method_types = types
    return types
