"""The parts of a parsed query: fields, filters, logic, orders and selected items."""

from dataclasses import dataclass


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
