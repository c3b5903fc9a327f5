"""The tree of resources that a query asks for: a table or function at the root, what is embedded in it below.

The aliases given here (`books_1`, `books_authors_1`) are PostgREST's, because Postgres shows them in its errors.
"""

from dataclasses import dataclass, field

from devstack.postgrest.catalog import Catalog, Table
from devstack.postgrest.errors import ApiError, Panic, missing_column, not_supported, up_to_nul
from devstack.postgrest.grammar import Path
from devstack.postgrest.query_string import Query, Range
from devstack.postgrest.relationships import Relationship, find_relationship
from devstack.postgrest.sql import ident, qualified
from devstack.postgrest.terms import Condition, Embedded, Filter, Logic, Order, Selected


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
        if self.label:
            return ident(self.label)
        assert self.table
        return qualified((self.table.schema, self.table.name))

    def check(self, column: str, relation: str | None = None) -> None:
        """Raise Postgres' error for a column that cannot be there."""
        column = up_to_nul(column)
        known = self.table.knows(column) if self.table else self.columns is None or column in self.columns
        if not known:
            raise missing_column(relation or self.label or self.name, column)

    def is_empty(self) -> bool:
        """Whether nothing of this resource or below it is to be shown."""
        return not self.select and all(child.is_empty() for child in self.children)


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
    for path, terms in reversed(query.orders):  # the first of several counts
        _find(root, path).order = terms
    for path, range_ in query.ranges.items():
        if ranges and (path or root.range is None):
            _find(root, path).range = range_
    for path, logic in query.logic:
        if path or filters:
            _find(root, path).conditions.insert(0, logic)
    _relate(root, catalog)
    _check_orders(root)
    _check_aggregates(root)
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


def _check_orders(node: Node) -> None:
    for term in node.order:
        if term.relation is not None:
            ordering_child(node, term.relation)
    for child in node.children:
        _check_orders(child)


def _check_aggregates(node: Node) -> None:
    if any(item.aggregate for item in node.select):
        raise ApiError(400, "PGRST123", "Use of aggregate functions is not allowed")
    for child in node.children:
        _check_aggregates(child)


def negative_limit() -> ApiError:
    text = "Limit should be greater than or equal to zero."
    return ApiError(416, "PGRST103", "Requested range not satisfiable", text)


def ordering_child(node: Node, name: str) -> Node:
    child = next((child for child in node.children if child.shown == name), None)
    if child is None:
        raise ApiError(400, "PGRST108", f"'{name}' is not an embedded resource in this request")
    if child.to_many:
        details = f"'{node.name}' and '{name}' do not form a many-to-one or one-to-one relationship"
        raise ApiError(400, "PGRST118", f"A related order on '{name}' is not possible", details)
    return child


def _restrict(node: Node, max_rows: int) -> None:
    """Ask for no more rows than the configuration allows; an empty range, but for `limit=0`, breaks PostgREST here."""
    first, last = node.range or (0, None)
    highest = first + max_rows - 1
    if last == -1:
        node.range = 0, -1
    elif last is not None and last < first:
        raise Panic("range without lower bound")
    else:
        node.range = first, highest if last is None else min(last, highest)
    for child in node.children:
        _restrict(child, max_rows)


def null_embed(node: Node, condition: Filter) -> Node | None:
    """Return the embedded resource whose absence or presence a filter asks for."""
    if condition.operator != "is" or condition.value != "null" or condition.field.path:
        return None
    return next((child for child in node.children if child.shown == condition.field.name), None)


def needed_columns(node: Node, key: list[str]) -> list[str]:
    """Return the columns that a write or a call must hand on: selected ones, those of the joins, and the key."""
    names = {item.field.name for item in node.select}
    if "*" in names or any(child.relationship and child.relationship.function for child in node.children):
        return ["*"]
    for child in node.children:
        rel = child.relationship
        assert rel
        pairs = rel.junction.source if rel.junction else rel.columns
        names.update(column for column, _ in pairs)
    return sorted(names | set(key))


def filtered_columns(node: Node) -> set[str]:
    """Return the names of all fields that conditions look at, here and (PostgREST does not tell them apart) below."""
    names: set[str] = set().union(*(filtered_columns(child) for child in node.children))

    def visit(condition: Condition) -> None:
        if isinstance(condition, Logic):
            for part in condition.parts:
                visit(part)
        else:
            embedded = null_embed(node, condition)
            names.add(embedded.aggregate if embedded else condition.field.name)

    for condition in node.conditions:
        visit(condition)
    return names
