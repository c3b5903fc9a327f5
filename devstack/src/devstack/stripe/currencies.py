"""What Stripe lets be charged: currencies, their decimals, least and greatest amounts (docs.stripe.com/currencies).

A project whose own table of currencies is to hold gives it as a JSON file (`--currencies`): a list of objects with
`code`, `exponent` (decimals as Stripe counts them) and, where it is not the usual, `minimum` (the least charge in minor
units) and `step` (what amounts must be multiples of). Other keys are ignored. Without one the built-in table holds.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .parameters import Refusal, invalid

# For the rest Stripe converts to the account's own currency, which has no rate here: 50 minor units stand for that.
MINIMUM, MAXIMUM = 50, 99_999_999
SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


class Unreadable(Exception):
    """Why a table of currencies cannot be used, in a sentence."""


@dataclass(frozen=True)
class Currency:
    """One currency; amounts in minor units."""

    code: str
    exponent: int
    minimum: int = MINIMUM
    step: int = 1


class Currencies(dict[str, Currency]):
    """The currencies that can be charged, by their codes in lower case."""

    def shown(self, amount: int, code: str) -> str:
        """An amount in minor units as Stripe's error sentences print it: $0.50, ¥50, 12.30 npr."""
        digits = self[code].exponent
        number = f"{amount / 10**digits:,.{digits}f}"
        return f"{SIGNS[code]}{number}" if code in SIGNS else f"{number} {code}"

    def check(self, amount: int, currency: str) -> str:
        """Raise as Stripe does when an amount (minor units) cannot be charged; gives the currency's code."""
        code = currency.lower()
        if code not in self:
            known = ", ".join(sorted(self))
            raise invalid(f"Invalid currency: {currency}. Stripe currently supports these: {known}", "currency")
        if amount < 1:
            raise invalid("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
        if amount > MAXIMUM:
            limit = f"Amount must be no more than {self.shown(MAXIMUM, code)}"
            raise Refusal(400, limit, code="amount_too_large", param="amount")
        if amount < self[code].minimum:
            limit = f"Amount must be at least {self.shown(self[code].minimum, code)} {code}"
            raise Refusal(400, limit, code="amount_too_small", param="amount")
        if amount % self[code].step:
            text = f"Amounts of {code} must be multiples of {self[code].step}."
            raise invalid(text, "amount", "parameter_invalid_integer")
        return code


def from_rows(rows: Iterable[Mapping[str, Any]]) -> Currencies:
    """The table of rows as the JSON file has them. Raises ``Unreadable``."""
    made = Currencies()
    try:
        for row in rows:
            code, exponent = row["code"].lower(), row["exponent"]
            minimum, step = row.get("minimum") or MINIMUM, row.get("step") or (10 if exponent == 3 else 1)
            made[code] = Currency(code, int(exponent), int(minimum), int(step))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"each is an object with code and exponent ({error!r})") from None
    if not made:
        raise Unreadable("there are none")
    return made


def read(path: Path | str) -> Currencies:
    """The table in a JSON file. Raises ``Unreadable``."""
    try:
        rows = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise Unreadable(str(error)) from None
    return from_rows(rows if isinstance(rows, list) else [rows])


ZERO_DECIMAL = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()
THREE_DECIMAL = "bhd jod kwd omr tnd".split()
TWO_DECIMAL = """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop crc cve
    czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk jmd kes kgs khr kyd kzt
    lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln
    qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah ugx usd uyu uzs wst xcd
    yer zar zmw
""".split()
MINIMA = {
    "aed": 200,
    "bgn": 100,
    "czk": 1500,
    "dkk": 250,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
    "mxn": 1000,
    "myr": 200,
    "nok": 300,
    "pln": 200,
    "ron": 200,
    "sek": 300,
    "thb": 1000,
}
# Written with two decimals for history's sake, yet only whole units can be charged.
STEPS = {"isk": 100, "ugx": 100}
BUILT_IN = from_rows(
    {"code": code, "exponent": exponent, "minimum": MINIMA.get(code), "step": STEPS.get(code)}
    for exponent, codes in ((0, ZERO_DECIMAL), (2, TWO_DECIMAL), (3, THREE_DECIMAL))
    for code in codes
)

# The one that holds; a global, as localstripe's own state is.
table = BUILT_IN
