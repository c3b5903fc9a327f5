"""What a call may send, and Razorpay's words for saying no (razorpay.com/docs/errors)."""

import re
from collections.abc import Mapping
from typing import Any

from devstack.gateway import Refusal

# Currencies without decimals and with three of them; of the latter the last digit is 0.
WHOLE, FINE = frozenset({"JPY"}), frozenset({"KWD", "BHD", "OMR"})
CURRENCIES = WHOLE | FINE
CURRENCIES |= frozenset(
    """AED ALL AMD ARS AUD AWG BBD BDT BMD BND BOB BSD BWP BZD CAD CHF CNY COP CRC CUP CZK DKK DOP DZD EGP ETB EUR FJD
    GBP GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR JMD KES KGS KHR KYD KZT LAK LKR LRD LSL MAD MDL MKD MMK MNT
    MOP MUR MVR MWK MXN MYR NAD NGN NIO NOK NPR NZD PEN PGK PHP PKR QAR RUB SAR SCR SEK SGD SLL SOS SSP SVC SZL THB TTD
    TZS USD UYU UZS YER ZAR""".split()
)
# Name -> kind of each parameter that is modelled; one that ends in ! has to be there.
ORDER = {"amount!": "amount", "currency!": "currency", "receipt": "receipt", "notes": "notes", "payment": "capture"}
ORDER |= {"payment_capture": "flag", "partial_payment": "flag", "unique_receipt": "flag"}
CAPTURE = {"amount!": "amount", "currency!": "currency"}
REFUND = {"amount": "amount", "speed": "speed", "notes": "notes", "receipt": "receipt"}
NOTES = {"notes!": "notes"}
PAGE = {"from": "number", "to": "number", "count": "number", "skip": "number"}
ORDERS_PAGE = PAGE | {"receipt": "receipt", "authorized": "number"}


def refusal(status: int, text: str, reason: str | None = "input_validation_failed", **fields: Any) -> Refusal:
    error = {"code": "BAD_REQUEST_ERROR", "description": text, "source": "business", "step": "payment_initiation"}
    if status >= 500:
        error |= {"code": "SERVER_ERROR", "source": "internal"}
    return Refusal(status, {"error": error | {"reason": reason, "metadata": {}} | fields}, saved=False)


def check(params: Mapping[str, Any], schema: Mapping[str, str]) -> dict[str, Any]:
    """`params` as they are understood. Raises Refusal for what is unknown, malformed or missing."""
    kinds = {name.rstrip("!"): kind for name, kind in schema.items()}
    if unknown := sorted(params.keys() - kinds.keys()):
        raise refusal(400, f"{', '.join(unknown)} is/are not required and should not be sent", "extra_field_sent")
    for name in (name[:-1] for name in schema if name.endswith("!")):
        if params.get(name) is None:
            raise refusal(400, f"{name}: is required.", field=name)
    return {name: CHECKS[kinds[name]](name, value) for name, value in params.items() if value is not None}


def check_amount(amount: int, currency: str) -> None:
    """Of what is to be paid or given back."""
    if currency == "INR" and amount < 100:
        text = "Order amount less than minimum amount allowed"
        raise refusal(400, text, "amount_less_than_minimum_amount", step="order_creation")
    if currency in FINE and amount % 10:
        raise refusal(400, "The last digit of an amount in this currency must be 0.", field="amount")


def _amount(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise refusal(400, f"The {name} must be an integer.", field=name)
    if value < 1:
        raise refusal(400, f"The {name} must be at least 1.", field=name)
    return value


def _currency(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in CURRENCIES:
        raise refusal(400, "Currency is not supported", field=name)
    return value


def _receipt(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > 40:
        raise refusal(400, f"The {name} may not be greater than 40 characters.", field=name)
    return value


def _notes(name: str, value: Any) -> dict[str, str]:
    if value == []:
        return {}
    if not isinstance(value, dict) or len(value) > 15:
        raise refusal(400, "notes must be an object of at most 15 pairs.", field=name)
    for note in value.values():
        if not isinstance(note, (str, int, float)) or len(str(note)) > 256:
            raise refusal(400, "notes must be texts of at most 256 characters.", field=name)
    return {str(key): str(note) for key, note in value.items()}


def _capture(name: str, value: Any) -> str:
    """The part `payment` of an order: only whether it is captured by itself is modelled."""
    if not isinstance(value, dict) or value.keys() - {"capture"} or value.get("capture") not in ("automatic", "manual"):
        raise refusal(400, "Of payment the local Razorpay models capture alone: automatic or manual.", field=name)
    return str(value["capture"])


def _flag(name: str, value: Any) -> bool:
    if value not in (True, False, 0, 1):
        raise refusal(400, f"The {name} must be true or false.", field=name)
    return bool(value)


def _speed(name: str, value: Any) -> str:
    if value not in ("normal", "optimum"):
        raise refusal(400, "The speed is invalid.", field=name)
    return str(value)


def _number(name: str, value: Any) -> int:
    if not re.fullmatch(r"\d{1,12}", str(value)):
        raise refusal(400, f"The {name} must be an integer.", field=name)
    return int(value)


CHECKS = {
    "amount": _amount,
    "currency": _currency,
    "receipt": _receipt,
    "notes": _notes,
    "capture": _capture,
    "flag": _flag,
    "speed": _speed,
    "number": _number,
}
