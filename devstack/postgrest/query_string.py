"""The query string: select, filters, logic, order, ranges and function arguments, parsed as PostgREST's grammar has it.

Where that grammar leaves the rest of a value unread (after a complete filter path, say), so does this one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import unquote_to_bytes, urlencode

from devstack.postgrest.errors import ApiError

IDENTIFIER = re.compile(r"[\w $]+")
NAME = re.compile(r"[\w $]+(?:-(?!>)[\w $]+)*")
QUOTED = re.compile(r'"((?:[^\\"]|\\.)*)"', re.S)
JSON_INDEX = re.compile(r"(-?)([0-9]+)(?=->|::|\.|,|\Z)")
JSON_KEY = re.compile(r"[^(\-:.,>)]+(?:-(?!>)[^(\-:.,>)]+)*")
BLANK = re.compile(r"[ \t]*")
OPERATION = re.compile(
    r"(?:(in|isdistinct|is)|(fts|plfts|phfts|wfts)(?:\(([\w $]+)\))?|(neq|cs|cd|ov|sl|sr|nxr|nxl|adj)"
    r"|(eq|gte|gt|lte|lt|like|ilike|match|imatch)(?:\((any|all)\))?)\."
)
IS_VALUE = re.compile(r"null|not_null|true|false|unknown", re.I)
AGGREGATE = re.compile(r"\.(sum|avg|count|max|min)\(\)")
RESERVED = ("select", "columns", "on_conflict")

T = TypeVar("T")
Path = tuple[str, ...]
Range = tuple[int, int | None]  # first and last row, counted from 0


@dataclass(frozen=True, slots=True)
class Field:
    """A column and the JSON path into it: steps are (arrow, operand, operand is an index)."""

    name: str
    path: tuple[tuple[str, str, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition; `modifier` is any/all of a comparison or the language of a full-text search."""

    field: Field
    negated: bool
    operator: str
    value: str | list[str]
    modifier: str | None = None


@dataclass(frozen=True, slots=True)
class Logic:
    """A conjunction or disjunction."""

    negated: bool
    operator: str
    parts: tuple["Condition", ...]


Condition = Filter | Logic


@dataclass(frozen=True, slots=True)
class Order:
    """One term of an order; `relation` names the embedded resource whose field it is."""

    field: Field
    relation: str | None
    direction: str
    nulls: str


@dataclass(frozen=True, slots=True)
class Selected:
    """One column of the answer."""

    field: Field
    cast: str | None = None
    alias: str | None = None
    aggregate: str | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """One embedded resource of the answer."""

    name: str
    alias: str | None
    hint: str | None
    join: str | None
    spread: bool
    items: tuple["Selected | Embedded", ...]


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


class Scanner:
    """A text and a position in it."""

    __slots__ = ("text", "at", "what")

    def __init__(self, text: str, what: str) -> None:
        self.text, self.at, self.what = text, 0, what

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def literal(self, text: str) -> bool:
        if self.text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def peek(self, *texts: str) -> bool:
        return self.text.startswith(texts, self.at)

    def ended(self) -> bool:
        return self.at >= len(self.text)

    def blank(self) -> None:
        self.take(BLANK)

    def separator(self, text: str) -> bool:
        """Take `text` with blanks around it, or nothing."""
        start = self.at
        self.blank()
        if self.literal(text):
            self.blank()
            return True
        self.at = start
        return False

    def expect(self, text: str) -> None:
        if not self.separator(text):
            raise self.error(f'"{text}"')

    def error(self, expected: str) -> ApiError:
        found = f'"{self.text[self.at]}"' if not self.ended() else "end of input"
        message = f'"failed to parse {self.what} ({self.text})" (line 1, column {self.at + 1})'
        return ApiError(400, "PGRST100", message, f"unexpected {found} expecting {expected}")


def parse_query(raw: bytes, is_call_by_get: bool = False) -> Query:
    """Parse a query string; with `is_call_by_get`, values without an operator are arguments of the function.

    Raises ApiError PGRST100 at the first part that does not fit the grammar.
    """
    pairs = _split(raw)
    query = Query(canonical=urlencode(sorted((k, v or "") for k, v in pairs)))
    limits: dict[Path, Range] = {}
    offsets: dict[Path, Range] = {}
    for key, value in ((key, value) for key, value in pairs if value is not None):
        *path, last = key.split(".")
        if last == "order":
            query.orders.append((_tree_path(key)[0], _parse_order(value)))
        elif last in ("and", "or"):
            query.logic.append(_parse_logic(key, value))
        elif last == "limit":
            limits[tuple(path)] = _limited(value)
        elif last == "offset":
            number = _integer(value)
            offsets[tuple(path)] = (0 if number is None else number, None)
        elif key not in RESERVED:
            query.filter_keys.add(key)
            _add_filter(query, key, value, is_call_by_get)
    first = {key: value for key, value in reversed(pairs) if key in RESERVED and value is not None}
    if "columns" in first:
        query.columns = _parse_names(first["columns"], "columns parameter")
    if "select" in first:
        query.select = _parse_items(Scanner(first["select"], "select parameter"))
    if "on_conflict" in first:
        query.on_conflict = _parse_names(first["on_conflict"], "on_conflict parameter")
    query.ranges = _combine(limits, offsets)
    return query


def _split(raw: bytes) -> list[tuple[str, str | None]]:
    pairs = []
    try:
        for part in raw.split(b"&") if raw else ():
            key, equals, value = part.replace(b"+", b" ").partition(b"=")
            pairs.append((unquote_to_bytes(key).decode(), unquote_to_bytes(value).decode() if equals else None))
    except UnicodeDecodeError:
        raise ApiError(400, "PGRST100", "The query string is not valid UTF-8") from None
    if any("\0" in key or "\0" in (value or "") for key, value in pairs):
        raise ApiError(400, "22021", 'invalid byte sequence for encoding "UTF8": 0x00')
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


# --- names ----------------------------------------------------------------------------------------------------------


def _quoted(scanner: Scanner) -> str | None:
    match = scanner.take(QUOTED)
    return re.sub(r"\\(.)", r"\1", match[1], flags=re.S) if match else None


def _name(scanner: Scanner) -> str:
    if scanner.peek('"'):
        quoted = _quoted(scanner)
        if quoted is None:
            raise scanner.error("a closing quote")
        return quoted
    match = scanner.take(NAME)
    if not match:
        raise scanner.error("field name (* or [a..z0..9_$])")
    text = match[0]
    return text.strip() if "-" not in text else "-".join(part.strip() for part in text.split("-"))


def _json_path(scanner: Scanner) -> tuple[tuple[str, str, bool], ...]:
    steps = []
    while scanner.peek("->"):
        arrow = "->>" if scanner.literal("->>") else "->"
        if arrow == "->":
            scanner.literal("->")
        if index := scanner.take(JSON_INDEX):
            steps.append((arrow, (index[1] or "+") + index[2], True))
        elif (quoted := _quoted(scanner)) is not None:
            steps.append((arrow, quoted, False))
        elif key := scanner.take(JSON_KEY):
            steps.append((arrow, "-".join(part.strip() for part in key[0].split("-")), False))
        else:
            raise scanner.error("any non reserved character different from: .,>()")
    return tuple(steps)


def _field(scanner: Scanner) -> Field:
    scanner.blank()
    found = Field(_name(scanner), _json_path(scanner))
    scanner.blank()
    return found


def _tree_path(key: str) -> tuple[Path, Field]:
    scanner = Scanner(key, "tree path")
    names = [_name(scanner)]
    while scanner.literal("."):
        names.append(_name(scanner))
    return tuple(names[:-1]), Field(names[-1], _json_path(scanner))


def _parse_names(text: str, what: str) -> list[str]:
    scanner = Scanner(text, what)
    names = [_name(scanner)]
    while scanner.separator(","):
        names.append(_name(scanner))
    return names


# --- select ---------------------------------------------------------------------------------------------------------


def _parse_items(scanner: Scanner) -> tuple[Selected | Embedded, ...]:
    items: list[Selected | Embedded] = []
    if scanner.ended() or scanner.peek(")"):
        return ()
    while True:
        items.append(_embedded(scanner) or _selected(scanner))
        if not scanner.separator(","):
            return tuple(items)


def _attempt(scanner: Scanner, parse: Callable[[Scanner], T | None]) -> T | None:
    start = scanner.at
    try:
        found = parse(scanner)
    except ApiError:
        found = None
    if found is None:
        scanner.at = start
    return found


def _alias(scanner: Scanner) -> str | None:
    name = _name(scanner)
    return name if scanner.literal(":") and not scanner.peek(":") else None


def _embedded(scanner: Scanner) -> Embedded | None:
    head = _attempt(scanner, _embedded_head)
    if head is None:
        return None
    scanner.literal("(")
    items = _parse_items(scanner)
    if not scanner.literal(")"):
        raise scanner.error('")" or ","')
    return Embedded(*head, items)


def _embedded_head(scanner: Scanner) -> tuple[str, str | None, str | None, str | None, bool] | None:
    scanner.blank()
    spread = scanner.literal("...")
    alias = None if spread else _attempt(scanner, _alias)
    name = _name(scanner)
    hints, joins = [], []
    for _ in range(2):
        if scanner.literal("!"):
            join = "left" if scanner.literal("left") else "inner" if scanner.literal("inner") else None
            joins.append(join) if join else hints.append(_name(scanner))
    if not scanner.peek("(") or (name == "count" and not spread):
        return None
    return name, alias, hints[0] if hints else None, joins[0] if joins else None, spread


def _selected(scanner: Scanner) -> Selected:
    scanner.blank()
    if scanner.literal("*"):
        return _item_end(scanner, Selected(Field("*")))
    alias = _attempt(scanner, _alias)
    if scanner.literal("count()"):
        return _item_end(scanner, Selected(Field("*"), _cast(scanner), alias, "count"))
    found = _field(scanner)
    cast = _cast(scanner)
    aggregate = scanner.take(AGGREGATE)
    if aggregate:
        _cast(scanner)
    return _item_end(scanner, Selected(found, cast, alias, aggregate[1] if aggregate else None))


def _cast(scanner: Scanner) -> str | None:
    if not scanner.literal("::"):
        return None
    match = scanner.take(IDENTIFIER)
    if not match:
        raise scanner.error("letter or digit")
    return match[0].strip()


def _item_end(scanner: Scanner, item: Selected) -> Selected:
    if not (scanner.ended() or scanner.peek(")", ",")):
        raise scanner.error('letter, digit, "-", "->>", "->", "::", ".", ")", "," or end of input')
    return item


# --- order ----------------------------------------------------------------------------------------------------------


def _parse_order(text: str) -> list[Order]:
    scanner = Scanner(text, "order")
    terms = []
    while True:
        scanner.blank()
        relation = _attempt(scanner, _relation_term)
        found = relation[1] if relation else _field(scanner)
        direction = "desc" if scanner.literal(".desc") else "asc" if scanner.literal(".asc") else ""
        nulls = "first" if scanner.literal(".nullsfirst") else "last" if scanner.literal(".nullslast") else ""
        terms.append(Order(found, relation[0] if relation else None, direction, nulls))
        scanner.blank()
        if scanner.ended():
            return terms
        if not scanner.literal(","):
            scanner.literal(".")
            raise scanner.error('"asc", "desc", "nullsfirst" or "nullslast"')


def _relation_term(scanner: Scanner) -> tuple[str, Field] | None:
    name = _name(scanner)
    if not scanner.literal("("):
        return None
    found = _field(scanner)
    return (name, found) if scanner.literal(")") else None


# --- filters --------------------------------------------------------------------------------------------------------


def _add_filter(query: Query, key: str, value: str, is_call_by_get: bool) -> None:
    path, found = _tree_path(key)
    scanner = Scanner(value, "filter")
    if is_call_by_get and not scanner.peek("not.") and not OPERATION.match(value):
        query.arguments.append((found.name, value))
    else:
        query.filters.append((path, _operation(scanner, found, _rest)))


def _rest(scanner: Scanner) -> str:
    value, scanner.at = scanner.text[scanner.at :], len(scanner.text)
    return value


def _operation(scanner: Scanner, found: Field, read_value: Callable[[Scanner], str]) -> Filter:
    negated = scanner.literal("not.")
    match = scanner.take(OPERATION)
    if not match:
        raise scanner.error("operator (eq, gt, ...)" if negated else '"not" or operator (eq, gt, ...)')
    special, search, language, simple, comparison, quantifier = match.groups()
    value: str | list[str]
    if special == "in":
        value = _list(scanner)
    elif special == "is":
        word = scanner.take(IS_VALUE)
        if not word:
            raise scanner.error("isVal: (null, not_null, true, false, unknown)")
        value = word[0].lower()
    else:
        value = read_value(scanner)
    operator = special or search or simple or comparison
    return Filter(found, negated, operator, value, language.strip() if language else quantifier)


def _list(scanner: Scanner) -> list[str]:
    scanner.expect("(")
    values = [_element(scanner)]
    while scanner.literal(","):
        values.append(_element(scanner))
    scanner.expect(")")
    return values


def _element(scanner: Scanner) -> str:
    start = scanner.at
    quoted = _quoted(scanner)
    if quoted is not None and (scanner.ended() or scanner.peek(",", ")")):
        return quoted
    scanner.at = start
    match = scanner.take(re.compile(r"[^,)]*"))
    return match[0] if match else ""


def _logic_value(scanner: Scanner) -> str:
    start = scanner.at
    quoted = _quoted(scanner)
    if quoted is not None and (scanner.ended() or scanner.peek(",", ")")):
        return quoted
    scanner.at = start
    array = scanner.take(re.compile(r"\{[^{}]*\}"))
    return array[0] if array else _element(scanner)


def _parse_logic(key: str, value: str) -> tuple[Path, Condition]:
    scanner = Scanner(key, "logic path")
    names = [_name(scanner)]
    while scanner.literal("."):
        names.append(_name(scanner))
    prefix = "not." if "not" in names else ""
    tree = _condition(Scanner(prefix + names[-1] + value, "logic tree"))
    return tuple(name for name in names[:-1] if name != "not"), tree


def _condition(scanner: Scanner) -> Condition:
    simple = _attempt(scanner, _simple_condition)
    if simple:
        return simple
    negated = scanner.literal("not.")
    operator = "and" if scanner.literal("and") else "or" if scanner.literal("or") else None
    if operator is None:
        raise scanner.error("field name, negation operator (not) or logic operator (and, or)")
    scanner.expect("(")
    parts = [_condition(scanner)]
    while scanner.separator(","):
        parts.append(_condition(scanner))
    scanner.expect(")")
    return Logic(negated, operator, tuple(parts))


def _simple_condition(scanner: Scanner) -> Filter:
    found = _field(scanner)
    if not scanner.literal("."):
        raise scanner.error("delimiter (.)")
    return _operation(scanner, found, _logic_value)
