"""Which requests for `/rest/v1` are handed on.

Of everybody: whatever makes PostgREST panic stops here. A panic leaves the connection that it happened on inside its
transaction, and whoever is given that connection next fails (seen with PostgREST 14.17: an empty range of an embedded
resource, text that is not UTF-8). Of visitors: only what costs little.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from werkzeug.datastructures import Headers

from service.errors import BadInput

# Nothing else of the caller's headers goes on: the key that the site was built with gives no rights here.
HEADERS = {
    "Accept": re.compile(r"[\w*+./;=, \"-]{1,300}", re.ASCII),
    "Accept-Profile": re.compile(r"\w{1,63}", re.ASCII),
    "Content-Profile": re.compile(r"\w{1,63}", re.ASCII),
    "Content-Type": re.compile(r"application/json(; ?charset=utf-8)?", re.IGNORECASE),
    "Prefer": re.compile(r"[\w=, /+-]{1,300}", re.ASCII),
    "Range": re.compile(r"[0-9]{1,9}-([0-9]{1,9})?"),
    "Range-Unit": re.compile(r"items"),
}
ESCAPED = re.compile(rb"([^%]|%[0-9A-Fa-f]{2})*")
NUMBER = re.compile(r"[0-9]{1,9}")

# Of visitors.
MAX_QUERY = 2000  # characters
MAX_EMBEDDED = 3  # resources
SELECT = re.compile(r"[\w*,:!() ]*", re.ASCII)  # no casts, aggregates, spreads or paths into JSON
ORDER = re.compile(
    r"\w+(\.(asc|desc|nullsfirst|nullslast)){0,2}(, ?\w+(\.(asc|desc|nullsfirst|nullslast)){0,2})*", re.ASCII
)
FILTER = re.compile(r"(not\.)?(eq|neq|gt|gte|lt|lte|like|ilike|in|is|cs|cd|ov)\..*", re.DOTALL)
UNFILTERED = ("columns", "on_conflict")  # they name columns that are written

Pairs = list[tuple[str, str]]
Known = Callable[[], frozenset[str]]


class QueryRefused(BadInput):
    code = "query_refused"


def read_headers(headers: Headers) -> dict[str, str]:
    """Those of the caller's headers that are handed on. Raises ``QueryRefused``.

    An empty one says nothing: supabase-js sends `Prefer:` with every write that wants no rows back.
    """
    found = {name: value for name in HEADERS if (value := headers.get(name))}
    for name, value in found.items():
        if not HEADERS[name].fullmatch(value):
            raise QueryRefused(f"The header {name} has a form that is not taken here.")
    return found


def read_query(raw: bytes) -> Pairs:
    """The parameters of a query, as PostgREST parts them. Raises ``QueryRefused``."""
    if not ESCAPED.fullmatch(raw):
        raise QueryRefused("A % in the address begins no escape.")
    try:
        text = [unquote_to_bytes(part.replace(b"+", b" ")).decode() for part in re.split(b"[&;]", raw)]
    except UnicodeDecodeError:
        raise QueryRefused("The address is not UTF-8.") from None
    if "\0" in "".join(text):
        raise QueryRefused("The address holds the character NUL.")
    pairs = [(name, value) for name, _, value in (part.partition("=") for part in text)]
    for name, value in pairs:
        _check_range(name, value)
    return pairs


def check_visitors(pairs: Pairs, known: Known) -> None:
    """That a query is one which visitors may ask. ``known`` tells the columns they may read. Raises ``QueryRefused``.

    A name that is none of these is no column: Postgres would call a function of that name with the whole row.
    """
    if sum(len(name) + len(value) + 1 for name, value in pairs) > MAX_QUERY:
        raise QueryRefused(f"The query has more than {MAX_QUERY} characters.")
    for name, value in pairs:
        *_, last = name.split(".")
        if name == "select":
            _check_select(value, known)
        elif last == "order":
            _check_order(value, known)
        elif last not in ("limit", "offset", "") and name not in UNFILTERED:
            _check_columns([last], known)
            if not FILTER.fullmatch(value):
                raise QueryRefused(f"{name}: visitors may not filter like this.")


def _check_range(name: str, value: str) -> None:
    *path, last = name.split(".")
    if last not in ("limit", "offset"):
        return
    if not NUMBER.fullmatch(value):
        raise QueryRefused(f"{name} must be a whole number.")
    if path and last == "limit" and int(value) == 0:
        raise QueryRefused(f"{name} must be 1 or more.")


def _check_select(text: str, known: Known) -> None:
    if not SELECT.fullmatch(text) or "::" in text or "()" in text.replace(" ", ""):
        raise QueryRefused("select: visitors may ask for columns and embedded resources only.")
    depth = deepest = 0
    for sign in re.findall(r"[()]", text):
        depth += 1 if sign == "(" else -1
        deepest = max(deepest, depth)
    if deepest > 2 or text.count("(") > MAX_EMBEDDED:
        raise QueryRefused(f"select: visitors may embed two levels deep and {MAX_EMBEDDED} resources in all.")
    # What stands before a bracket or a colon is a resource, a hint or another name.
    _check_columns(re.findall(r"\w+(?=\s*(?:[,)]|\Z))", text, re.ASCII), known)


def _check_order(text: str, known: Known) -> None:
    if not ORDER.fullmatch(text):
        raise QueryRefused("order: visitors may order by columns only.")
    _check_columns([term.strip().split(".")[0] for term in text.split(",")], known)


def _check_columns(names: list[str], known: Known) -> None:
    for name in names:
        if name not in known():
            raise QueryRefused(f"column {name} does not exist", code="unknown_column")
