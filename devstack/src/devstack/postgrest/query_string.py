"""The query string, taken apart into what it asks for."""

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes, urlencode

from devstack.postgrest.errors import Panic
from devstack.postgrest.grammar import (
    Path,
    is_filter,
    parse_filter,
    parse_logic,
    parse_names,
    parse_order,
    parse_select,
    tree_path,
)
from devstack.postgrest.terms import Condition, Embedded, Field, Filter, Order, Selected

RESERVED = ("select", "columns", "on_conflict")

Range = tuple[int, int | None]  # first and last row, counted from 0


@dataclass(slots=True)
class Query:
    """A parsed query string; filters, logic and orders each carry the path of the resource they are for."""

    select: tuple[Selected | Embedded, ...] = (Selected(Field("*")),)
    filters: list[tuple[Path, Filter]] = field(default_factory=list)
    logic: list[tuple[Path, Condition]] = field(default_factory=list)
    orders: list[tuple[Path, list[Order]]] = field(default_factory=list)
    ranges: dict[Path, Range] = field(default_factory=dict)
    columns: list[str] | None = None
    on_conflict: list[str] | None = None
    arguments: list[tuple[str, str]] = field(default_factory=list)
    filter_keys: set[str] = field(default_factory=set)
    canonical: str = ""


def parse_query(raw: bytes, is_call_by_get: bool = False) -> Query:
    """Parse a query string; with `is_call_by_get`, values without an operator are arguments of the function.

    Raises ApiError PGRST100 at the first part that does not fit the grammar.
    """
    pairs = split_pairs(raw)
    query = Query(canonical=urlencode(sorted((k, v or "") for k, v in pairs), quote_via=quote, safe=""))
    limits: dict[Path, Range] = {}
    offsets: dict[Path, Range] = {}
    for key, value in ((key, value) for key, value in pairs if value is not None):
        *path, last = key.split(".")
        if last == "limit":
            limits[tuple(path)] = _limited(value)
        elif last == "offset":
            offsets[tuple(path)] = (_integer(value) or 0, None)
        elif key not in RESERVED:
            _take(query, key, value, last, is_call_by_get)
    first = {key: value for key, value in reversed(pairs) if key in RESERVED and value is not None}
    if "columns" in first:
        query.columns = parse_names(first["columns"], "columns parameter")
    if "select" in first:
        query.select = parse_select(first["select"])
    if "on_conflict" in first:
        query.on_conflict = parse_names(first["on_conflict"], "on_conflict parameter")
    query.ranges = _combine(limits, offsets)
    return query


def _take(query: Query, key: str, value: str, last: str, is_call_by_get: bool) -> None:
    if last == "order":
        query.orders.append((tree_path(key)[0], parse_order(value)))
    elif last in ("and", "or"):
        query.logic.append(parse_logic(key, value))
    else:
        query.filter_keys.add(key)
        if is_call_by_get and not is_filter(value):
            query.arguments.append((tree_path(key)[1].name, value))
        else:
            query.filters.append(parse_filter(key, value))


def split_pairs(raw: bytes) -> list[tuple[str, str | None]]:
    """Take a query string or a form apart; a semicolon parts as `&` does. What is not UTF-8 breaks PostgREST here."""
    parts = raw.replace(b";", b"&").removesuffix(b"&").split(b"&") if raw else []
    pairs = []
    try:
        for part in parts:
            key, equals, value = part.replace(b"+", b" ").partition(b"=")
            pairs.append((unquote_to_bytes(key).decode(), unquote_to_bytes(value).decode() if equals else None))
    except UnicodeDecodeError:
        raise Panic("not UTF-8") from None
    return pairs


# --- ranges ---------------------------------------------------------------------------------------------------------


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\s*-?[0-9]{1,1000}\s*", text) else None


def _limited(text: str) -> Range:
    number = _integer(text)
    return (0, None) if number is None else (0, number - 1)


def _combine(limits: dict[Path, Range], offsets: dict[Path, Range]) -> dict[Path, Range]:
    ranges = {**limits, **offsets}
    for path in limits.keys() & offsets.keys():
        last, first = limits[path][1], offsets[path][0]
        ranges[path] = (first, first - 1 if last is None else first + last)
    return ranges
