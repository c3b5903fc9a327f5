"""What the client prefers: the Prefer, Accept and Range headers."""

import re
from dataclasses import dataclass, field

from devstack.postgrest.errors import ApiError

CHOICES = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "return": ("representation", "minimal", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "tx": ("commit", "rollback"),
    "missing": ("default", "null"),
    "handling": ("strict", "lenient"),
}
APPLIED_ORDER = ("resolution", "missing", "return", "count", "tx", "handling", "timezone", "max-affected")
JSON, GEOJSON, CSV = "application/json", "application/geo+json", "text/csv"
ARRAY_STRIPPED = "application/vnd.pgrst.array+json;nulls=stripped"
OBJECT, OBJECT_STRIPPED = "application/vnd.pgrst.object+json", "application/vnd.pgrst.object+json;nulls=stripped"


@dataclass(slots=True)
class Preferences:
    """The first value given for each known preference, and what was not understood."""

    chosen: dict[str, str] = field(default_factory=dict)
    invalid: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> str | None:
        return self.chosen.get(name)

    @property
    def strict(self) -> bool:
        return self.chosen.get("handling") == "strict"

    @property
    def max_affected(self) -> int | None:
        """The limit of rows, which counts only with handling=strict."""
        return int(self.chosen["max-affected"]) if self.strict and "max-affected" in self.chosen else None

    @property
    def counts(self) -> bool:
        return self.chosen.get("count") in ("exact", "estimated")

    def applied(self, *names: str) -> str:
        """Return the Preference-Applied header for the preferences that mattered to this kind of request."""
        shown = {*names, "count", "tx", "handling", "timezone"}
        if self.strict and "max-affected" in names:
            shown.add("max-affected")
        else:
            shown.discard("max-affected")
        return ", ".join(f"{n}={self.chosen[n]}" for n in APPLIED_ORDER if n in shown and n in self.chosen)


def parse_preferences(headers: list[str], allow_tx: bool, timezones: frozenset[str]) -> Preferences:
    """Read all Prefer headers; `tx` counts only where the configuration lets it."""
    found = Preferences()
    for part in (part.strip() for header in headers for part in header.split(",")):
        name, _, value = part.partition("=")
        if name == "max-affected":
            known = re.fullmatch(r"\d+", value) is not None
            found.invalid.extend(() if "=" in part else (part,))
        elif name == "timezone":
            known = value in timezones
            found.invalid.extend(() if known else (part,))
        else:
            known = value in CHOICES.get(name, ())
            found.invalid.extend(() if known else (part,))
        if known and (allow_tx or name != "tx"):
            found.chosen.setdefault(name, value)
    return found


def parse_accept(header: str | None) -> list[str]:
    """Return the accepted media types, the most wanted first, each as `type` or `type;nulls=stripped`."""
    ranked = []
    for position, item in enumerate(("*/*" if header is None else header).split(",")):
        name, *options = (part.strip().lower() for part in item.split(";"))
        quality = 1.0
        for option in options:
            match = re.fullmatch(r"q=([0-9.]+)", option)
            quality = float(match[1]) if match and match[1].count(".") < 2 and match[1] != "." else quality
        options = [option for option in options if not option.startswith("q=")]
        ranked.append((-quality, position, _canonical(name, options)))
    return [name for _, _, name in sorted(ranked)]


def _canonical(name: str, options: list[str]) -> str:
    stripped = options == ["nulls=stripped"]
    if name in ("application/vnd.pgrst.object", OBJECT):
        return OBJECT_STRIPPED if stripped else OBJECT
    if name in ("application/vnd.pgrst.array", "application/vnd.pgrst.array+json"):
        return ARRAY_STRIPPED if stripped else JSON
    return name


def negotiate(accepted: list[str]) -> str:
    """Return the first media type that can be produced; raise PGRST107 when there is none."""
    for name in accepted:
        if name == "*/*":
            return JSON
        if name in (JSON, GEOJSON, CSV, OBJECT, OBJECT_STRIPPED, ARRAY_STRIPPED):
            return name
    raise ApiError(406, "PGRST107", "None of these media types are available: " + ", ".join(accepted))


def parse_range(header: str | None) -> tuple[int, int | None]:
    """Return (first, last) of a Range header, (0, None) when there is none or it is not understood."""
    match = re.fullmatch(r"([0-9]{1,18})-([0-9]{0,18})", header or "")
    if not match:
        return 0, None
    first, last = int(match[1]), int(match[2]) if match[2] else None
    if last is not None and last < first:
        text = "The lower boundary must be lower than or equal to the upper boundary in the Range header."
        raise ApiError(416, "PGRST103", "Requested range not satisfiable", text)
    return first, last
