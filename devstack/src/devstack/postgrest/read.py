"""Reading: the SELECT that answers for a tree of resources, and the one that counts it."""

import re

from devstack.postgrest.catalog import Table
from devstack.postgrest.conditions import (
    condition_sql,
    direction_sql,
    field_sql,
    limit_sql,
    order_sql,
    term_sql,
)
from devstack.postgrest.errors import ApiError
from devstack.postgrest.resources import Node, null_embed
from devstack.postgrest.sql import Parameters, ident
from devstack.postgrest.terms import Condition, Field, Logic, Selected

SOURCE = "pgrst_source"
# Type names that are words of SQL's grammar; every other cast is an identifier and quoted.
SQL_TYPES = frozenset(
    "int|integer|smallint|bigint|real|float|dec|decimal|numeric|boolean|char|character|varchar|bit|time|timestamp"
    "|interval|double precision|character varying|char varying|bit varying|national character|national char"
    "|timestamp with time zone|timestamp without time zone|time with time zone|time without time zone".split("|")
)


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
        extra = [f"{term_sql(node, t, parameters)} AS {ident(_sort_label(node, i))}" for i, t in enumerate(node.order)]
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
                f"{alias}.{ident(_sort_label(child, i))}{direction_sql(t)}" for i, t in enumerate(child.order)
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
