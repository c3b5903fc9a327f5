"""The grammar of PostgREST's query parameters: select, order, filters and logic.

Where that grammar leaves the rest of a value unread (after a complete filter path, say), so does this one.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from devstack.postgrest.errors import ApiError
from devstack.postgrest.scanner import Scanner
from devstack.postgrest.terms import Condition, Embedded, Field, Filter, Logic, Order, Selected

IDENTIFIER = re.compile(r"[\w $]+")
NAME = re.compile(r"[\w $]+(?:-(?!>)[\w $]+)*")
QUOTED = re.compile(r'"((?:[^\\"]|\\.)*)"', re.S)
JSON_INDEX = re.compile(r"(-?)([0-9]+)(?=->|::|\.|,|\Z)")
JSON_KEY = re.compile(r"[^(\-:.,>)]+(?:-(?!>)[^(\-:.,>)]+)*")
OPERATION = re.compile(
    r"(?:(in|isdistinct|is)|(fts|plfts|phfts|wfts)(?:\(([\w $]+)\))?|(neq|cs|cd|ov|sl|sr|nxr|nxl|adj)"
    r"|(eq|gte|gt|lte|lt|like|ilike|match|imatch)(?:\((any|all)\))?)\."
)
IS_VALUE = re.compile(r"null|not_null|true|false|unknown", re.I)
BEGINNING = re.compile(r'[\w $\t"]|\*(?=[,)]|\Z)')
AGGREGATE = re.compile(r"\.(sum|avg|count|max|min)\(\)")

T = TypeVar("T")
Path = tuple[str, ...]


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


def tree_path(key: str) -> tuple[Path, Field]:
    """Parse the key of a parameter into the resource and the field it is about."""
    scanner = Scanner(key, "tree path")
    names = [_name(scanner)]
    while scanner.literal("."):
        names.append(_name(scanner))
    return tuple(names[:-1]), Field(names[-1], _json_path(scanner))


def parse_names(text: str, what: str) -> list[str]:
    """Parse a list of columns."""
    scanner = Scanner(text, what)
    names = [_name(scanner)]
    while scanner.separator(","):
        names.append(_name(scanner))
    return names


# --- select ---------------------------------------------------------------------------------------------------------


def parse_select(text: str) -> tuple[Selected | Embedded, ...]:
    """Parse the value of `select`; one that does not begin like any item asks for nothing in particular."""
    scanner = Scanner(text, "select parameter")
    if not BEGINNING.match(text):
        head = _attempt(scanner, _embedded_head) if scanner.peek("...") else None
        if head is None:
            return ()
        scanner.at = 0
    return _items(scanner)


def _items(scanner: Scanner) -> tuple[Selected | Embedded, ...]:
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
    items = _items(scanner)
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


def parse_order(text: str) -> list[Order]:
    """Parse the value of `order`."""
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


def parse_filter(path: str, value: str) -> tuple[Path, Filter]:
    """Parse `path=operator.value`."""
    where, found = tree_path(path)
    return where, _operation(Scanner(value, "filter"), found, _rest)


def is_filter(value: str) -> bool:
    """Whether a value begins like a filter; otherwise it is an argument of a function called by GET."""
    return value.startswith("not.") or OPERATION.match(value) is not None


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


def parse_logic(key: str, value: str) -> tuple[Path, Condition]:
    """Parse `and=(…)`, `or=(…)` and their negations, for the resource that the key names."""
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
