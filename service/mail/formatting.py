"""Money and dates as a person reads them; the filters of the mail templates."""

from datetime import UTC, date, datetime
from decimal import Decimal

# Currencies whose smallest unit is not a hundredth (docs.stripe.com/currencies).
ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "inr": "₹", "jpy": "¥", "cad": "CA$", "aud": "A$", "nzd": "NZ$"}


def money(amount: int, currency: str) -> str:
    """An amount in minor units of an ISO 4217 currency: (259800, "usd") → $2,598.00; (5000, "chf") → CHF 50.00."""
    code = currency.lower()
    decimals = 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2
    figure = f"{abs(Decimal(amount).scaleb(-decimals)):,.{decimals}f}"
    sign = "-" if amount < 0 else ""
    return f"{sign}{SYMBOLS[code]}{figure}" if code in SYMBOLS else f"{sign}{code.upper()} {figure}"


def day(value: str) -> str:
    """An ISO date, or the day of an ISO time: 2027-06-12 → Saturday, 12 June 2027."""
    on = date.fromisoformat(value[:10])
    return f"{on:%A}, {on.day} {on:%B %Y}"


def moment(value: str) -> str:
    """An ISO time: 2026-11-22T08:31:07+00:00 → 22 November 2026 at 08:31 UTC. Without offset it is UTC."""
    at = datetime.fromisoformat(value)
    at = at.astimezone(UTC) if at.tzinfo else at
    return f"{at.day} {at:%B %Y} at {at:%H:%M} UTC"


def duration(seconds: int) -> str:
    """Seconds in the largest unit that fits evenly: 86400 → 24 hours, 172800 → 2 days, 5400 → 90 minutes."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0 and seconds > (size if unit == "day" else 0):
            return f"{seconds // size} {unit}{'' if seconds == size else 's'}"
    return f"{seconds} seconds"
