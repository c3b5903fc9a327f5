"""Reading: the tree of resources that a query asks for, and the SELECT that answers it.

Names in the SQL come from the catalog or are output labels, and always pass `ident`; values are parameters. The
aliases (`books_1`, `books_authors_1`, `pgrst_source`) are PostgREST's, because Postgres shows them in its errors.
"""

import re
from dataclasses import dataclass, field

from devstack.postgrest.catalog import Catalog, Table
from devstack.postgrest.errors import ApiError, missing_column, not_supported
from devstack.postgrest.query_string import (
    Condition,
    Embedded,
    Field,
    Filter,
    Logic,
    Order,
    Path,
    Query,
    Range,
    Selected,
)
from devstack.postgrest.relationships import Relationship, find_relationship

SOURCE = "pgrst_source"
COMPARISONS = {
    "eq": "=", "gte": ">=", "gt": ">", "lte": "<=", "lt": "<", "like": "like", "ilike": "ilike", "match": "~",
    "imatch": "~*", "neq": "<>", "cs": "@>", "cd": "<@", "ov": "&&", "sl": "<<", "sr": ">>", "nxr": "&<",
    "nxl": "&>", "adj": "-|-",
}  # fmt: skip
SEARCHES = {
    "fts": "to_tsquery", "plfts": "plainto_tsquery", "phfts": "phraseto_tsquery", "wfts": "websearch_to_tsquery",
}  # fmt: skip
IS_VALUES = {"null": "NULL", "not_null": "NOT NULL", "true": "TRUE", "false": "FALSE", "unknown": "UNKNOWN"}
# Type names that are words of SQL's grammar; every other cast is an identifier and quoted.
SQL_TYPES = frozenset(
    "int|integer|smallint|bigint|real|float|dec|decimal|numeric|boolean|char|character|varchar|bit|time|timestamp"
    "|interval|double precision|character varying|char varying|bit varying|national character|national char"
    "|timestamp with time zone|timestamp without time zone|time with time zone|time without time zone".split("|")
)


def ident(name: str) -> str:
    """Quote an identifier."""
    if "\0" in name:
        raise ApiError(400, "22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    return '"' + name.replace('"', '""') + '"'


def qualified(name: tuple[str, str]) -> str:
    return f"{ident(name[0])}.{ident(name[1])}"


class Parameters(list[bytes | None]):
    """The values of a statement in the making."""

    def add(self, value: str | bytes | None) -> str:
        """Keep a value and return its placeholder."""
        self.append(value.encode() if isinstance(value, str) else value)
        return f"${len(self)}"


@dataclass(slots=True)
class Node:
    """One resource of the answer, with what was asked of it and how it hangs on its parent."""

    name: str
    select: list[Selected]
    children: list["Node"]
    alias: str | None = None
    hint: str | None = None
    join: str | None = None
    spread: bool = False
    depth: int = 0
    table: Table | None = None
    columns: frozenset[str] | None = None  # what is known of a source that is no table; None: anything may be there
    source: str = ""
    label: str = ""
    relationship: Relationship | None = None
    aggregate: str = ""
    on: list[str] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    order: list[Order] = field(default_factory=list)
    range: Range | None = None

    @property
    def shown(self) -> str:
        return self.alias or self.name

    @property
    def to_many(self) -> bool:
        return self.relationship is not None and not self.relationship.is_to_one

    @property
    def qualifier(self) -> str:
        """The SQL that precedes a column of this resource."""
        return ident(self.label) if self.label else qualified((self.table.schema, self.table.name))

    def check(self, column: str, relation: str | None = None) -> None:
        """Raise Postgres' error for a column that cannot be there."""
        known = self.table.knows(column) if self.table else self.columns is None or column in self.columns
        if not known:
            raise missing_column(relation or self.label or self.name, column)

    def is_empty(self) -> bool:
        """Whether nothing of this resource or below it is to be shown."""
        return not self.select and all(child.is_empty() for child in self.children)


# --- planning -------------------------------------------------------------------------------------------------------


def plan_read(
    query: Query,
    catalog: Catalog,
    root: Node,
    *,
    filters: bool = True,
    ranges: bool = True,
    max_rows: int | None = None,
) -> Node:
    """Build the tree below `root`; its own source must be set.

    `filters` says whether conditions on the root count here (for writes they choose the rows instead), `ranges`
    whether limits do. Raises PGRST108 for a path that is not embedded, PGRST200/201 for embeds that do not exist or
    are ambiguous, PGRST118 and 123 for orders and aggregates that are not allowed.
    """
    root.select, root.children = _split_items(query.select, 1)
    for path, condition in query.filters:
        if path or filters:
            _find(root, path).conditions.append(condition)
    for path, terms in query.orders:
        _find(root, path).order = terms
    for path, range_ in query.ranges.items():
        if ranges and (path or root.range is None):
            _find(root, path).range = range_
    for path, logic in query.logic:
        if path or filters:
            _find(root, path).conditions.insert(0, logic)
    _relate(root, catalog)
    _check(root)
    if ranges and max_rows is not None:
        _restrict(root, max_rows)
    return root


def _split_items(items: tuple[Selected | Embedded, ...], depth: int) -> tuple[list[Selected], list[Node]]:
    selected, nodes = [], []
    for item in items:
        if isinstance(item, Selected):
            selected.append(item)
        else:
            below = _split_items(item.items, depth + 1)
            nodes.append(Node(item.name, *below, item.alias, item.hint, item.join, item.spread, depth))
    return selected, nodes


def _find(node: Node, path: Path) -> Node:
    for name in path:
        found = next((child for child in node.children if name in (child.name, child.alias)), None)
        if found is None:
            hint = f"Verify that '{name}' is included in the 'select' query parameter."
            message = f"'{name}' is not an embedded resource in this request"
            raise ApiError(400, "PGRST108", message, hint=hint)
        node.children.remove(found)
        node.children.insert(0, found)
        node = found
    return node


def _relate(parent: Node, catalog: Catalog) -> None:
    name = (parent.table.schema, parent.table.name) if parent.table else ("", "")
    for node in parent.children:
        candidates = catalog.relationships.get(name, [])
        rel = find_relationship(candidates, parent.table.name if parent.table else parent.name, node.name, node.hint)
        node.relationship, node.table = rel, catalog.tables[rel.foreign]
        _refuse_represented(node.table)
        node.aggregate = f"{rel.table[1]}_{node.shown}_{node.depth}"
        node.source, node.on = _join(parent, node, rel)
        _relate(node, catalog)


def _join(parent: Node, node: Node, rel: Relationship) -> tuple[str, list[str]]:
    foreign = qualified(rel.foreign)
    if rel.junction:
        middle = qualified(rel.junction.table)
        ends = ((foreign, rel.junction.target), (parent.qualifier, rel.junction.source))
        on = [f"{outer}.{ident(a)} = {middle}.{ident(b)}" for outer, pairs in ends for a, b in pairs]
        return f"{foreign}, {middle}", on
    node.label = f"{rel.foreign[1]}_{node.depth}"
    alias = ident(node.label)
    if rel.function:
        argument = f"{ident(parent.label or rel.table[1])}::{qualified(rel.table)}"
        return f"{qualified(rel.function)}({argument}) AS {alias}", []
    on = [f"{alias}.{ident(b)} = {parent.qualifier}.{ident(a)}" for a, b in rel.columns]
    return f"{foreign} AS {alias}", on


def _refuse_represented(table: Table | None) -> None:
    if table and table.represented:
        raise not_supported("Columns with data representations (casts of domains) are not supported")


def _check(node: Node) -> None:
    if any(item.aggregate for item in node.select):
        raise ApiError(400, "PGRST123", "Use of aggregate functions is not allowed")
    for term in node.order:
        if term.relation is not None:
            _ordering_child(node, term.relation)
    if node.range and node.range[1] is not None and node.range[1] < node.range[0] - 1:
        raise negative_limit()
    for child in node.children:
        _check(child)


def negative_limit() -> ApiError:
    text = "Limit should be greater than or equal to zero."
    return ApiError(416, "PGRST103", "Requested range not satisfiable", text)


def _ordering_child(node: Node, name: str) -> Node:
    child = next((child for child in node.children if child.shown == name), None)
    if child is None:
        raise ApiError(400, "PGRST108", f"'{name}' is not an embedded resource in this request")
    if child.to_many:
        details = f"'{node.name}' and '{name}' do not form a many-to-one or one-to-one relationship"
        raise ApiError(400, "PGRST118", f"A related order on '{name}' is not possible", details)
    return child


def _restrict(node: Node, max_rows: int) -> None:
    first, last = node.range or (0, None)
    highest = first + max_rows - 1
    node.range = first, highest if last is None else min(last, highest)
    for child in node.children:
        _restrict(child, max_rows)


# --- SQL: fields and conditions -------------------------------------------------------------------------------------


def field_sql(node: Node, found: Field, parameters: Parameters, qualifier: str | None = None) -> str:
    """Return the SQL of a column or a JSON path into it."""
    qualifier = qualifier or node.qualifier
    if found.name == "*":
        return f"{qualifier}.*"
    column = f"{qualifier}.{ident(found.name)}"
    if not found.path:
        return column
    known = node.table.columns.get(found.name) if node.table else None
    if not (known and known.type in ("json", "jsonb")):
        column = f"to_jsonb({column})"
    steps = (f"{a}{parameters.add(operand)}{'::int' if is_index else ''}" for a, operand, is_index in found.path)
    return column + "".join(steps)


def condition_sql(node: Node, condition: Condition, parameters: Parameters, qualifier: str | None = None) -> str:
    """Return the SQL of a filter or of a tree of them."""
    if isinstance(condition, Logic):
        joiner = " AND " if condition.operator == "and" else " OR "
        parts = [condition_sql(node, part, parameters, qualifier) for part in condition.parts]
        return f"{'NOT ' if condition.negated else ''}({joiner.join(parts)})"
    if child := null_embed(node, condition):
        return f"{ident(child.aggregate)} IS {'' if condition.negated else 'NOT '}DISTINCT FROM NULL"
    if condition.field.name != "*":
        node.check(condition.field.name)
    return _filter_sql(node, condition, parameters, qualifier)


def null_embed(node: Node, condition: Filter) -> Node | None:
    """Return the embedded resource whose absence or presence a filter asks for."""
    if condition.operator != "is" or condition.value != "null" or condition.field.path:
        return None
    return next((child for child in node.children if child.shown == condition.field.name), None)


def _filter_sql(node: Node, condition: Filter, parameters: Parameters, qualifier: str | None) -> str:
    operator, value, modifier = condition.operator, condition.value, condition.modifier
    prefix = "NOT " if condition.negated else ""
    if operator in SEARCHES:
        return prefix + _search_sql(node, condition, parameters, qualifier)
    column = prefix + field_sql(node, condition.field, parameters, qualifier)
    if operator == "in":
        values = [] if value == [""] else list(value)  # `in.()`
        return f"{column} = ANY ({parameters.add(array_literal(values))})"
    if operator == "is":
        return f"{column} IS {IS_VALUES[str(value)]}"
    if operator == "isdistinct":
        return f"{column} IS DISTINCT FROM {parameters.add(str(value))}"
    text = str(value).replace("*", "%") if operator in ("like", "ilike") else str(value)
    placeholder = parameters.add(text)
    return f"{column} {COMPARISONS[operator]} " + (f"{modifier}({placeholder})" if modifier else placeholder)


def _search_sql(node: Node, condition: Filter, parameters: Parameters, qualifier: str | None) -> str:
    language = f"{parameters.add(condition.modifier)}, " if condition.modifier else ""
    column = field_sql(node, condition.field, parameters, qualifier)
    known = node.table.columns.get(condition.field.name) if node.table else None
    if not (known and known.base == "tsvector"):
        column = f"to_tsvector({language}{column})"
    return f"{column} @@ {SEARCHES[condition.operator]}({language}{parameters.add(str(condition.value))})"


def array_literal(values: list[str]) -> str:
    """Return the text of an array."""
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


def order_sql(node: Node, parameters: Parameters) -> str:
    if not node.order:
        return ""
    return " ORDER BY " + ", ".join(_term_sql(node, term, parameters) + _direction(term) for term in node.order)


def _term_sql(node: Node, term: Order, parameters: Parameters) -> str:
    if term.relation is None:
        if term.field.name != "*":
            node.check(term.field.name)
        return field_sql(node, term.field, parameters)
    child = _ordering_child(node, term.relation)
    child.check(term.field.name, child.aggregate)
    return field_sql(Node(child.name, [], []), term.field, parameters, ident(child.aggregate))


def _direction(term: Order) -> str:
    return (f" {term.direction.upper()}" if term.direction else "") + (
        f" NULLS {term.nulls.upper()}" if term.nulls else ""
    )


def limit_sql(range_: Range | None, parameters: Parameters) -> str:
    if range_ is None or range_ == (0, None):
        return ""
    first, last = range_
    limit = "ALL" if last is None else parameters.add(str(last - first + 1))
    return f" LIMIT {limit} OFFSET {parameters.add(str(first))}"


# --- SQL: the tree --------------------------------------------------------------------------------------------------


def selected_sql(node: Node, item: Selected, parameters: Parameters) -> str:
    """Return the SQL of one column of the answer, under the name it is to have."""
    if item.field.name != "*":
        node.check(item.field.name)
    sql = field_sql(node, item.field, parameters)
    if item.cast is not None:
        sql = f"CAST({sql} AS {_cast_type(item.cast)})"
    label = item.alias or _path_label(item.field) or (item.field.name if item.cast and item.field.name != "*" else None)
    return f"{sql} AS {ident(label)}" if label else sql


def _cast_type(text: str) -> str:
    name = re.sub(r"\s+", " ", text.lower())
    if name in SQL_TYPES:
        return name
    if " " in name:
        raise ApiError(400, "42601", f'syntax error at or near "{name.split(" ")[1]}"')
    return ident(name)


def _path_label(found: Field) -> str | None:
    if not found.path:
        return None
    keys = [operand for _, operand, is_index in found.path if not is_index]
    return keys[-1] if keys else found.name


def read_sql(node: Node, parameters: Parameters) -> str:
    """Return the SELECT of a resource with all that is embedded in it."""
    items = node.select or ([] if node.children else [Selected(Field("*"))])
    if node.spread and node.to_many and node.table:
        items = _expanded(items, node.table)
    columns = [selected_sql(node, item, parameters) for item in items]
    extra = []
    if node.spread and node.to_many:
        extra = [f"{_term_sql(node, t, parameters)} AS {ident(_sort_label(node, i))}" for i, t in enumerate(node.order)]
    columns += extra
    for child in node.children:
        columns += _embedded_columns(child)
    joins = [_join_sql(child, parameters) for child in node.children]
    where = [condition_sql(node, condition, parameters) for condition in node.conditions] + node.on
    return (
        f"SELECT {', '.join(columns)} FROM {node.source or node.qualifier}{''.join(joins)}"
        + (f" WHERE {' AND '.join(where)}" if where else "")
        + ("" if extra else order_sql(node, parameters))
        + limit_sql(node.range, parameters)
    )


def _expanded(items: list[Selected], table: Table) -> list[Selected]:
    stars = [Selected(Field(name)) for name in table.columns]
    return [one for item in items for one in (stars if item.field.name == "*" else [item])]


def _sort_label(node: Node, position: int) -> str:
    return f"{node.aggregate}_{node.order[position].field.name}_{position + 1}"


def _labels(node: Node) -> list[str]:
    """Return the output names of a resource that is spread into its parent."""
    items = _expanded(node.select, node.table) if node.to_many and node.table else node.select
    labels = [item.alias or _path_label(item.field) or item.field.name for item in items]
    for child in node.children:
        labels += _labels(child) if child.spread else [] if child.is_empty() else [child.shown]
    return labels


def _embedded_columns(child: Node) -> list[str]:
    alias = ident(child.aggregate)
    if child.spread:
        return [f"{alias}.*" if label == "*" else f"{alias}.{ident(label)}" for label in _labels(child)]
    if child.is_empty():
        return []
    if child.to_many:
        return [f"COALESCE({alias}.{alias}, '[]') AS {ident(child.shown)}"]
    return [f"row_to_json({alias}.*)::jsonb AS {ident(child.shown)}"]


def _join_sql(child: Node, parameters: Parameters) -> str:
    alias = ident(child.aggregate)
    inner = child.join == "inner"
    sql, on = read_sql(child, parameters), "TRUE"
    if child.to_many:
        columns = [f"json_agg({alias})::jsonb AS {alias}"]
        if child.spread:
            order = ", ".join(
                f"{alias}.{ident(_sort_label(child, i))}{_direction(t)}" for i, t in enumerate(child.order)
            )
            by = f" ORDER BY {order}" if order else ""
            columns += [
                f"COALESCE(json_agg({alias}.{ident(label)}{by}), '[]')::jsonb AS {ident(label)}"
                for label in _labels(child)
            ]
        sql = f"SELECT {', '.join(columns)} FROM ({sql}) AS {alias}"
        on = f"{alias} IS NOT NULL" if inner else "TRUE"
    return f" {'INNER' if inner else 'LEFT'} JOIN LATERAL ({sql}) AS {alias} ON {on}"


def count_sql(node: Node, parameters: Parameters) -> str:
    """Return a SELECT with one row for each row of the whole result, without limits."""
    where = [_count_condition(node, condition, parameters) for condition in node.conditions] + node.on
    where += [f"EXISTS ({count_sql(child, parameters)})" for child in node.children if child.join == "inner"]
    return f"SELECT 1 FROM {node.source or node.qualifier}" + (f" WHERE {' AND '.join(where)}" if where else "")


def _count_condition(node: Node, condition: Condition, parameters: Parameters) -> str:
    if isinstance(condition, Logic):
        joiner = " AND " if condition.operator == "and" else " OR "
        parts = [_count_condition(node, part, parameters) for part in condition.parts]
        return f"{'NOT ' if condition.negated else ''}({joiner.join(parts)})"
    if child := null_embed(node, condition):
        return f"{'' if condition.negated else 'NOT '}EXISTS ({count_sql(child, parameters)})"
    return condition_sql(node, condition, parameters)


def needed_columns(node: Node, key: list[str]) -> list[str]:
    """Return the columns that a write or a call must hand on: selected ones, those of the joins, and the key."""
    names = {item.field.name for item in node.select}
    if "*" in names or any(child.relationship and child.relationship.function for child in node.children):
        return ["*"]
    for child in node.children:
        rel = child.relationship
        pairs = rel.junction.source if rel.junction else rel.columns
        names.update(column for column, _ in pairs)
    return sorted(names | set(key))


def filtered_columns(node: Node) -> set[str]:
    """Return the names of all fields that the conditions of a resource look at."""
    names: set[str] = set()

    def visit(condition: Condition) -> None:
        if isinstance(condition, Logic):
            for part in condition.parts:
                visit(part)
        elif not null_embed(node, condition):
            names.add(condition.field.name)

    for condition in node.conditions:
        visit(condition)
    return names
