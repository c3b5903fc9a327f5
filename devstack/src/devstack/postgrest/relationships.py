"""Which tables, views and functions can be embedded in which, found from foreign keys, and how a request names them."""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from devstack.postgrest.errors import ApiError

Name = tuple[str, str]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """The table in the middle of a many-to-many relationship; pairs are (outer column, junction column)."""

    table: Name
    source_constraint: str
    target_constraint: str
    source: Pairs
    target: Pairs


@dataclass(frozen=True, slots=True)
class Relationship:
    """A way from `table` to `foreign`; kind is m2o, o2m, o2o, m2m or computed; pairs are (column, foreign column)."""

    kind: str
    table: Name
    foreign: Name
    constraint: str = ""
    columns: Pairs = ()
    junction: Junction | None = None
    table_is_view: bool = False
    foreign_is_view: bool = False
    function: Name | None = None
    single: bool = False

    @property
    def is_to_one(self) -> bool:
        return self.kind in ("m2o", "o2o") or self.single

    def inverse(self) -> "Relationship":
        """Return the same key seen from the other end."""
        kind = {"m2o": "o2m", "o2o": "o2o"}[self.kind]
        columns = tuple((b, a) for a, b in self.columns)
        return replace(
            self, kind=kind, table=self.foreign, foreign=self.table, columns=columns,
            table_is_view=self.foreign_is_view, foreign_is_view=self.table_is_view,
        )  # fmt: skip


def build_relationships(
    tables: Mapping[Name, Any],
    keys: list[dict[str, Any]],
    views: list[dict[str, Any]],
    computed: list[dict[str, Any]],
    schemas: Iterable[str],
) -> dict[Name, list[Relationship]]:
    """Return the relationships of each table or view; also gives views the primary keys that they show."""
    exposed = set(schemas)
    origins = _view_origins(views)
    direct = [_from_key(key) for key in keys if key["type"] == "f"]
    direct += [rel for key in keys if key["type"] == "f" for rel in _through_views(key, origins)]
    _give_views_keys(tables, keys, origins)
    found = [*direct, *_many_to_many(direct, tables), *(rel.inverse() for rel in direct)]
    functions = [
        Relationship(
            "computed", tuple(row["table"]), tuple(row["foreign"]), function=tuple(row["function"]), single=row["one"]
        )
        for row in computed
    ]
    overridden = {(rel.table, rel.function) for rel in functions}
    result: dict[Name, list[Relationship]] = {}
    for rel in (*functions, *(rel for rel in found if (rel.table, rel.foreign) not in overridden)):
        hidden = rel.junction is not None and rel.junction.table[0] not in exposed
        if rel.table[0] in exposed and rel.foreign[0] in exposed and not hidden:
            result.setdefault(rel.table, []).append(rel)
    return result


def _from_key(key: dict[str, Any]) -> Relationship:
    pairs = tuple((a[1], b[1]) for a, b in zip(key["columns"], key["foreign_columns"], strict=True))
    kind = "o2o" if key["unique"] else "m2o"
    return Relationship(kind, tuple(key["table"]), tuple(key["foreign"]), key["name"], pairs)


def _many_to_many(direct: list[Relationship], tables: Mapping[Name, Any]) -> list[Relationship]:
    """Junctions count only when the columns of both keys are part of the primary key."""
    by_table: dict[Name, list[Relationship]] = {}
    for rel in direct:
        if rel.kind == "m2o" and rel.table in tables:
            by_table.setdefault(rel.table, []).append(rel)
    found = []
    for middle, rels in by_table.items():
        for one, other in itertools.permutations(rels, 2):
            columns = {column for column, _ in (*one.columns, *other.columns)}
            if one.constraint != other.constraint and columns <= set(tables[middle].key):
                source = tuple((outer, inner) for inner, outer in one.columns)
                target = tuple((outer, inner) for inner, outer in other.columns)
                junction = Junction(middle, one.constraint, other.constraint, source, target)
                views = one.foreign_is_view, other.foreign_is_view
                found.append(Relationship("m2m", one.foreign, other.foreign, "", (), junction, *views))
    return found


# --- views ----------------------------------------------------------------------------------------------------------

Origins = dict[int, tuple[Name, dict[tuple[int, int], list[str]]]]  # view: its name, (table, column) -> view's columns
ORIGIN = re.compile(r":resno (\d+)\b.*? :resorigtbl (\d+) :resorigcol (\d+)", re.S)


def _view_origins(views: list[dict[str, Any]]) -> Origins:
    """Follow the columns of each view, through other views, down to the columns of tables."""
    shown = {view["id"]: _target_columns(view["rule"]) for view in views}
    result: Origins = {}
    for view in views:
        columns: dict[tuple[int, int], list[str]] = {}
        for number, origin in shown[view["id"]].items():
            seen = set()
            while origin[0] in shown and origin not in seen:
                seen.add(origin)
                origin = shown[origin[0]].get(origin[1], (0, 0))
            if origin[0] and str(number) in view["columns"]:
                columns.setdefault(origin, []).append(view["columns"][str(number)])
        result[view["id"]] = (tuple(view["name"]), columns)
    return result


def _target_columns(rule: str) -> dict[int, tuple[int, int]]:
    """Read column number -> (table, column) from the outermost target list of a stored rule (a pg_node_tree)."""
    start = _find_at_depth(rule, ":targetList (", 1)
    found = {}
    for entry in _braced(rule, start) if start >= 0 else ():
        match = ORIGIN.search(entry)
        if match:
            found[int(match[1])] = (int(match[2]), int(match[3]))
    return found


def _find_at_depth(rule: str, text: str, wanted: int) -> int:
    depth, at = 0, 0
    while at < len(rule):
        character = rule[at]
        if character == "\\":
            at += 1
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
        elif depth == wanted and character == ":" and rule.startswith(text, at):
            return at + len(text)
        at += 1
    return -1


def _braced(rule: str, at: int) -> Iterable[str]:
    """Yield each `{…}` of a list as text without the nodes inside it."""
    depth = 0
    parts: list[str] = []
    while at < len(rule):
        character = rule[at]
        if character == "\\":
            at += 1
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                yield "".join(parts)
                parts = []
        elif character == ")" and depth == 0:
            return
        elif depth == 1:
            parts.append(character)
        at += 1


def _shown(key_columns: list[list[Any]], table: int, columns: dict[tuple[int, int], list[str]]) -> list[list[str]]:
    """Return each way a view shows all columns of a key; no way when one is missing."""
    options = [columns.get((table, number), []) for number, _ in key_columns]
    return [list(choice) for choice in itertools.product(*options)]


def _through_views(key: dict[str, Any], origins: Origins) -> Iterable[Relationship]:
    base = _from_key(key)
    referring = [
        (name, names)
        for name, columns in origins.values()
        for names in _shown(key["columns"], key["id"], columns)
    ]  # fmt: skip
    referred = [
        (name, names)
        for name, columns in origins.values()
        for names in _shown(key["foreign_columns"], key["foreign_id"], columns)
    ]
    own, foreign = [a for a, _ in base.columns], [b for _, b in base.columns]
    for name, names in referring:
        yield replace(base, table=name, columns=tuple(zip(names, foreign, strict=True)), table_is_view=True)
    for name, names in referred:
        yield replace(base, foreign=name, columns=tuple(zip(own, names, strict=True)), foreign_is_view=True)
    for (one, names), (other, others) in itertools.product(referring, referred):
        pairs = tuple(zip(names, others, strict=True))
        yield replace(base, table=one, foreign=other, columns=pairs, table_is_view=True, foreign_is_view=True)


def _give_views_keys(tables: Mapping[Name, Any], keys: list[dict[str, Any]], origins: Origins) -> None:
    for key in (key for key in keys if key["type"] == "p"):
        for name, columns in origins.values():
            ways = _shown(key["columns"], key["id"], columns)
            if ways and name in tables:
                tables[name].key.extend(ways[0])


# --- finding one ----------------------------------------------------------------------------------------------------


def find_relationship(candidates: list[Relationship], origin: str, target: str, hint: str | None) -> Relationship:
    """Return the one relationship that `target` and `hint` mean; raise PGRST200 for none, PGRST201 for several."""
    found = [rel for rel in candidates if _matches(rel, target, hint)]
    if len(found) == 1:
        return found[0]
    if not found:
        message = f"Could not find a relationship between '{origin}' and '{target}' in the schema cache"
        using = f" using the hint '{hint}'" if hint else ""
        details = f"Searched for a foreign key relationship between '{origin}' and '{target}'{using}, found none."
        raise ApiError(400, "PGRST200", message, details)
    message = f"Could not embed because more than one relationship was found for '{origin}' and '{target}'"
    names = ", ".join(f"'{target}!{rel.junction.table[1] if rel.junction else rel.constraint}'" for rel in found)
    hint_text = f"Try changing '{target}' to one of the following: {names}."
    raise ApiError(300, "PGRST201", message, [_described(rel) for rel in found], hint_text)


def _matches(rel: Relationship, target: str, hint: str | None) -> bool:
    if rel.function:
        return target == rel.function[1]
    column, foreign_column = rel.columns[0] if len(rel.columns) == 1 else (None, None)
    named = target == rel.foreign[1]
    if rel.table == rel.foreign:  # the table's name means its children, the column's name the parent
        if hint is None:
            return (named and rel.kind == "o2m") or (rel.kind == "m2o" and target == column)
        return named and rel.kind == "o2m" and hint == foreign_column
    if hint is None:
        return named or (not rel.foreign_is_view and target in (rel.constraint or None, column))
    junction = rel.junction.table[1] if rel.junction else None
    return named and hint in (rel.constraint or None, column, foreign_column, junction)


def _described(rel: Relationship) -> dict[str, str]:
    names = {"m2o": "many-to-one", "o2m": "one-to-many", "o2o": "one-to-one", "m2m": "many-to-many"}
    if rel.junction:
        middle = rel.junction
        ends = [
            f"{name}({', '.join(inner for _, inner in pairs)})"
            for name, pairs in ((middle.source_constraint, middle.source), (middle.target_constraint, middle.target))
        ]
        text = f"{middle.table[1]} using {ends[0]} and {ends[1]}"
    else:
        own, other = (", ".join(pair[end] for pair in rel.columns) for end in (0, 1))
        text = f"{rel.constraint} using {rel.table[1]}({own}) and {rel.foreign[1]}({other})"
    embedding = f"{rel.table[1]} with {rel.foreign[1]}"
    return {"cardinality": names.get(rel.kind, rel.kind), "embedding": embedding, "relationship": text}
