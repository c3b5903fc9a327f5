"""Money, dates and lengths of time as people write them in one language; the filters of the mail templates.

A language is BCP 47 and one that Babel knows (CLDR).
"""

import re
from datetime import UTC, date, datetime
from decimal import Decimal

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_currency, get_currency_symbol
from babel.units import format_unit


def money(amount: int, currency: str, exponent: int, language: str = "en") -> str:
    """An amount in minor units, of which 10^exponent make one unit: (259800, "usd", 2) → $2,598.00.

    The exponent comes from the database, which alone knows how amounts are counted; CLDR's is the bank notes'.
    Rupees are grouped as in India, in English too: (10000000, "inr", 2) → ₹1,00,000.00.
    """
    code = currency.upper()
    locale = _locale("en-IN" if (language, code) == ("en", "INR") else language)
    pattern = locale.currency_formats["standard"].pattern.replace("0.00", f"{0:.{exponent}f}")
    if get_currency_symbol(code, locale).isalpha():  # CHF 50.00, not CHF50.00
        pattern = re.sub("¤(?=#)", "¤\N{NO-BREAK SPACE}", pattern)
    return format_currency(Decimal(amount).scaleb(-exponent), code, pattern, locale, currency_digits=False)


def day(value: str, language: str = "en") -> str:
    """An ISO date, or the day of an ISO time: 2027-06-12 → Saturday, 12 June 2027."""
    return format_date(date.fromisoformat(value[:10]), "full", _locale_of_dates(language))


def days(first: str, last: str | None, language: str = "en") -> str:
    """From one ISO date to another: Saturday, 12 June 2027 – Sunday, 20 June 2027. One day without a later one."""
    if not last or last[:10] <= first[:10]:
        return day(first, language)
    return f"{day(first, language)} – {day(last, language)}"


def moment(value: str, language: str = "en") -> str:
    """An ISO time: 2026-11-22T08:31:07+00:00 → 22 November 2026, 08:31 UTC. Without offset it is UTC."""
    at = datetime.fromisoformat(value)
    at = at.astimezone(UTC) if at.tzinfo else at
    locale = _locale_of_dates(language)
    return f"{format_date(at, 'long', locale)}, {format_time(at, 'HH:mm', locale=locale)} UTC"


def duration(seconds: int, language: str = "en") -> str:
    """Seconds in the largest unit that fits evenly: 86400 → 24 hours, 172800 → 2 days, 5400 → 90 minutes."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0 and seconds > (size if unit == "day" else 0):
            return format_unit(seconds // size, f"duration-{unit}", locale=_locale(language))
    return format_unit(seconds, "duration-second", locale=_locale(language))


def _locale_of_dates(language: str) -> Locale:
    """English with the day before the month, as everywhere but in the United States."""
    return _locale("en-IN" if language == "en" else language)


def _locale(language: str) -> Locale:
    return Locale.parse(language, sep="-")
