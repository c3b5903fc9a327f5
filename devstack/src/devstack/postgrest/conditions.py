"""SQL of fields, conditions, orders and limits; values are parameters throughout."""

from devstack.postgrest.query_string import Range
from devstack.postgrest.resources import Node, null_embed, ordering_child
from devstack.postgrest.sql import Parameters, array_literal, ident
from devstack.postgrest.terms import Condition, Field, Filter, Logic, Order

COMPARISONS = {
    "eq": "=", "gte": ">=", "gt": ">", "lte": "<=", "lt": "<", "like": "like", "ilike": "ilike", "match": "~",
    "imatch": "~*", "neq": "<>", "cs": "@>", "cd": "<@", "ov": "&&", "sl": "<<", "sr": ">>", "nxr": "&<",
    "nxl": "&>", "adj": "-|-",
}  # fmt: skip
SEARCHES = {
    "fts": "to_tsquery", "plfts": "plainto_tsquery", "phfts": "phraseto_tsquery", "wfts": "websearch_to_tsquery",
}  # fmt: skip
IS_VALUES = {"null": "NULL", "not_null": "NOT NULL", "true": "TRUE", "false": "FALSE", "unknown": "UNKNOWN"}


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


def order_sql(node: Node, parameters: Parameters) -> str:
    if not node.order:
        return ""
    return " ORDER BY " + ", ".join(term_sql(node, term, parameters) + direction_sql(term) for term in node.order)


def term_sql(node: Node, term: Order, parameters: Parameters) -> str:
    if term.relation is None:
        if term.field.name != "*":
            node.check(term.field.name)
        return field_sql(node, term.field, parameters)
    child = ordering_child(node, term.relation)
    child.check(term.field.name, child.aggregate)
    return field_sql(Node(child.name, [], []), term.field, parameters, ident(child.aggregate))


def direction_sql(term: Order) -> str:
    return (f" {term.direction.upper()}" if term.direction else "") + (
        f" NULLS {term.nulls.upper()}" if term.nulls else ""
    )


def limit_sql(range_: Range | None, parameters: Parameters) -> str:
    if range_ is None or range_ == (0, None):
        return ""
    first, last = range_
    limit = "ALL" if last is None else parameters.add(str(last - first + 1))
    return f" LIMIT {limit} OFFSET {parameters.add(str(first))}"
