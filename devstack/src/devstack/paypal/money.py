"""Money as PayPal writes it: {currency_code, value}, the value a decimal text (developer.paypal.com, Currency codes).

Tests and the other stand-ins count in minor units as Stripe does, where HUF and TWD have two decimals; the two meet in
this file alone. Amounts are kept as Decimals.
"""

import re
from decimal import Decimal
from typing import Any

from . import errors

WHOLE = frozenset({"HUF", "JPY", "TWD"})  # without decimals at PayPal
CURRENCIES = WHOLE | frozenset(
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD ILS MXN MYR NOK NZD PHP PLN SEK SGD THB USD".split()
)
VALUE = re.compile(r"((-?[0-9]+)|(-?([0-9]+)?[.][0-9]+))")
LONGEST = 32


def read(money: Any, field: str) -> tuple[str, Decimal]:
    """(currency, amount above zero) of a caller's money object. Raises Refusal."""
    if not isinstance(money, dict):
        raise errors.invalid(field, "An amount is an object.", "INVALID_PARAMETER_SYNTAX")
    for name in ("currency_code", "value"):
        if name not in money:
            raise errors.invalid(f"{field}/{name}", "A required field is missing.", "MISSING_REQUIRED_PARAMETER")
    currency, value = money["currency_code"], money["value"]
    if not isinstance(currency, str) or len(currency) != 3:
        raise errors.invalid(f"{field}/currency_code", "A currency code has three letters.", "INVALID_STRING_LENGTH")
    if not isinstance(value, str) or len(value) > LONGEST or not VALUE.fullmatch(value):
        raise errors.invalid(f"{field}/value", "A value is a decimal text.", "INVALID_PARAMETER_SYNTAX")
    if currency not in CURRENCIES:
        raise errors.unprocessable("INVALID_CURRENCY_CODE", "PayPal does not know it.", f"{field}/currency_code")
    _check(currency, Decimal(value), f"{field}/value")
    return currency, Decimal(value)


def _check(currency: str, amount: Decimal, field: str) -> None:
    digits = -int(amount.as_tuple().exponent)
    if amount <= 0:
        raise errors.unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE", "The amount is not above zero.", field)
    if currency in WHOLE and digits > 0:
        raise errors.unprocessable("DECIMALS_NOT_SUPPORTED", f"{currency} has no decimals.", field)
    if digits > 2:
        raise errors.unprocessable("DECIMAL_PRECISION", "An amount has two decimals at most.", field)
    if amount >= 10_000_000:
        raise errors.unprocessable("MAX_VALUE_EXCEEDED", "The amount is too large.", field)


def write(currency: str, amount: Decimal) -> dict[str, str]:
    return {"currency_code": currency, "value": f"{amount:.0f}" if currency in WHOLE else f"{amount:.2f}"}


def from_minor(currency: str, amount: int) -> Decimal:
    """An amount in minor units as Stripe counts them."""
    return Decimal(amount) if currency == "JPY" else Decimal(amount) / 100


def to_minor(currency: str, amount: Decimal) -> int:
    return int(amount) if currency == "JPY" else int(amount * 100)
