"""What Stripe lets be charged: currencies, their decimals, least and greatest amounts (docs.stripe.com/currencies)."""

from .parameters import Refusal, invalid

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
# Written with two decimals for history's sake, yet only whole units can be charged.
WHOLE_UNITS = frozenset("isk ugx".split())
TWO_DECIMAL = frozenset(
    """aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop crc
    cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk jmd kes kgs khr
    kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk
    php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah ugx usd
    uyu uzs wst xcd yer zar zmw""".split()
)
CURRENCIES = ZERO_DECIMAL | THREE_DECIMAL | TWO_DECIMAL

# Least charge in minor units. For the rest Stripe converts to the account's own currency, which has no
# rate here: 50 minor units stand for that.
LEAST = {
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
SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def shown(amount: int, currency: str) -> str:
    """An amount in minor units as Stripe's error sentences print it: $0.50, ¥50, 12.30 npr."""
    digits = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    number = f"{amount / 10**digits:,.{digits}f}"
    return f"{SIGNS[currency]}{number}" if currency in SIGNS else f"{number} {currency}"


def check_money(amount: int, currency: str) -> str:
    """Raise as Stripe does when `amount` (minor units) of `currency` cannot be charged; returns the currency's name."""
    name = currency.lower()
    if name not in CURRENCIES:
        known = ", ".join(sorted(CURRENCIES))
        raise invalid(f"Invalid currency: {currency}. Stripe currently supports these: {known}", "currency")
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
    if amount > 99_999_999:
        limit = f"Amount must be no more than {shown(99_999_999, name)}"
        raise Refusal(400, limit, code="amount_too_large", param="amount")
    least = LEAST.get(name, 50)
    if amount < least:
        limit = f"Amount must be at least {shown(least, name)} {name}"
        raise Refusal(400, limit, code="amount_too_small", param="amount")
    step = 100 if name in WHOLE_UNITS else 10 if name in THREE_DECIMAL else 1
    if amount % step:
        raise invalid(f"Amounts of {name} must be multiples of {step}.", "amount", "parameter_invalid_integer")
    return name
