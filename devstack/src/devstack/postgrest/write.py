"""Writing: INSERT (also as upsert), UPDATE and DELETE, with what they return read like any other resource."""

from dataclasses import dataclass

from devstack.postgrest.catalog import Column, Table
from devstack.postgrest.conditions import condition_sql
from devstack.postgrest.errors import ApiError, missing_column
from devstack.postgrest.payload import Payload
from devstack.postgrest.preferences import Preferences
from devstack.postgrest.query_string import Query
from devstack.postgrest.resources import Node, needed_columns
from devstack.postgrest.sql import Parameters, array_literal, ident, qualified
from devstack.postgrest.terms import Condition

INSERTED = "nullif(current_setting('pgrst.inserted', true), '')::int"


@dataclass(slots=True)
class Write:
    """One write to one table; `shown` are the columns it hands on to the answer."""

    table: Table
    query: Query
    preferences: Preferences
    shown: list[str]

    @property
    def conflict_columns(self) -> list[str]:
        return self.table.key if self.query.on_conflict is None else self.query.on_conflict

    @property
    def conditions(self) -> list[Condition]:
        """The conditions that choose the rows to change: of the logic also that of embedded resources, as PostgREST."""
        logic = [condition for _, condition in self.query.logic]
        return [condition for path, condition in self.query.filters if not path] + logic

    def returning(self) -> str:
        if not self.shown:
            return " RETURNING 1"
        for name in self.shown:
            if name != "*" and not self.table.knows(name):
                raise missing_column(self.table.name, name)
        table = qualified((self.table.schema, self.table.name))
        return " RETURNING " + ", ".join(f"{table}.*" if n == "*" else f"{table}.{ident(n)}" for n in self.shown)

    def where(self, parameters: Parameters, qualifier: str | None = None) -> list[str]:
        node = Node(self.table.name, [], [], table=self.table)
        return [condition_sql(node, condition, parameters, qualifier) for condition in self.conditions]


def plan_write(table: Table, query: Query, preferences: Preferences, tree: Node) -> Write:
    """Gather what the statement needs; `tree` is the planned answer."""
    wanted = preferences["return"] in ("representation", "headers-only")
    return Write(table, query, preferences, needed_columns(tree, table.key) if wanted else [])


def check_write(table: Table, query: Query, payload: Payload, *, is_put: bool) -> None:
    """Raise PGRST105 for a PUT that does not name one row by its key, PGRST204 for a column that is not there."""
    if is_put:
        plain = all(
            f.operator == "eq" and not f.negated and f.modifier is None and not path for path, f in query.filters
        )
        if query.logic or not plain or not table.key or query.filter_keys != set(table.key):
            message = "Filters must include all and only primary key columns with 'eq' operators"
            raise ApiError(405, "PGRST105", message)
    _columns(table, payload)


def insert_sql(write: Write, payload: Payload, parameters: Parameters) -> str:
    """Return the INSERT of the rows of a body, with the upsert that was asked for."""
    columns = _columns(write.table, payload)
    sql = _insert_into(write, payload, columns, parameters)
    resolution = write.preferences["resolution"]
    merges = resolution == "merge-duplicates"
    if merges:
        sql += f" WHERE {_counted(+1)}"
    if resolution and write.conflict_columns:
        for name in write.conflict_columns:
            if name not in write.table.columns:
                raise ApiError(400, "42703", f'column "{name}" does not exist')
        sql += _on_conflict(write.conflict_columns, columns if merges else [])
    return sql + write.returning()


def put_sql(write: Write, payload: Payload, parameters: Parameters) -> str:
    """Return the upsert of the one row whose key the URL names."""
    columns = _columns(write.table, payload)
    sql = _insert_into(write, payload, columns, parameters, defaults=False)
    conditions = [_counted(+1), *write.where(parameters, "pgrst_body")]
    return f"{sql} WHERE {' AND '.join(conditions)}{_on_conflict(write.table.key, columns)}{write.returning()}"


def update_sql(write: Write, payload: Payload, parameters: Parameters) -> str:
    """Return the UPDATE; with no columns to set, a SELECT of no rows with the same columns."""
    columns = _columns(write.table, payload)
    table = qualified((write.table.schema, write.table.name))
    if not columns:
        names = ", ".join(f"{table}.*" if n == "*" else f"{table}.{ident(n)}" for n in write.shown) or "NULL"
        return f"SELECT {names} FROM {table} WHERE false"
    sets = ", ".join(f"{ident(c.name)} = pgrst_body.{ident(c.name)}" for c in columns)
    source = body_source(payload, columns, parameters, _applies_defaults(write))
    where = write.where(parameters)
    return f"UPDATE {table} SET {sets} FROM {source}{_where(where)}{write.returning()}"


def delete_sql(write: Write, parameters: Parameters) -> str:
    table = qualified((write.table.schema, write.table.name))
    return f"DELETE FROM {table}{_where(write.where(parameters))}{write.returning()}"


def location_sql(write: Write, parameters: Parameters) -> str:
    """Return an expression for the key of the one new row, as a JSON object of texts."""
    keys = parameters.add(array_literal(write.table.key))
    return (
        "CASE WHEN count(_postgrest_t) = 1 THEN (SELECT json_object_agg(d.key, d.value)"
        " FROM (SELECT row_to_json(s) AS r FROM pgrst_source AS s LIMIT 1) AS one"
        f" CROSS JOIN json_each_text(one.r) AS d WHERE d.key = ANY ({keys}::text[])) END"
    )


def body_source(
    payload: Payload, columns: list[Column], parameters: Parameters, defaults: bool = False, single: bool = False
) -> str:
    """Return the FROM items that make rows `pgrst_body` of a JSON body; `single` takes the first row only."""
    kind = "jsonb" if defaults else "json"
    source = f"(SELECT {parameters.add(payload.raw)}::{kind} AS json_data) pgrst_payload, "
    value = "pgrst_payload.json_data"
    if defaults:
        values = ", ".join(f"{_literal(c.name)}, {c.default}" for c in columns if c.default is not None)
        value = "pgrst_json_defs.val"
        row = f"jsonb_build_object({values}) || "
        rows = f"jsonb_agg({row}elem) AS val FROM jsonb_array_elements(pgrst_payload.json_data) elem"
        whole = f"{row}pgrst_payload.json_data AS val"
        source += f"LATERAL (SELECT {whole if payload.is_object else rows}) pgrst_json_defs, "
    names = ", ".join(ident(c.name) for c in columns)
    if columns:
        function = f"{kind}_to_record" if payload.is_object else f"{kind}_to_recordset"
        typed = ", ".join(f"{ident(c.name)} {c.type}" for c in columns)
        rows = f"{function}({value}) AS _({typed}){' LIMIT 1' if single else ''}"
    else:
        rows = "(VALUES (1)) _" if payload.is_object else f"{kind}_array_elements({value}) _"
    return f"{source}LATERAL (SELECT {names} FROM {rows}) pgrst_body"


def _insert_into(
    write: Write, payload: Payload, columns: list[Column], parameters: Parameters, defaults: bool | None = None
) -> str:
    names = f" ({', '.join(ident(c.name) for c in columns)})" if columns else ""
    values = ", ".join(f"pgrst_body.{ident(c.name)}" for c in columns)
    with_defaults = _applies_defaults(write) if defaults is None else defaults
    source = body_source(payload, columns, parameters, with_defaults)
    return f"INSERT INTO {qualified((write.table.schema, write.table.name))}{names} SELECT {values} FROM {source}"


def _columns(table: Table, payload: Payload) -> list[Column]:
    for name in payload.keys:
        if name not in table.columns:
            message = f"Could not find the '{name}' column of '{table.name}' in the schema cache"
            raise ApiError(400, "PGRST204", message)
    return [table.columns[name] for name in payload.keys]


def _applies_defaults(write: Write) -> bool:
    return write.preferences["missing"] == "default"


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _on_conflict(keys: list[str], columns: list[Column]) -> str:
    target = f" ON CONFLICT ({', '.join(ident(name) for name in keys)}) "
    if not columns:
        return target + "DO NOTHING"
    sets = ", ".join(f"{ident(c.name)} = EXCLUDED.{ident(c.name)}" for c in columns)
    return f"{target}DO UPDATE SET {sets} WHERE {_counted(-1)}"


def _counted(step: int) -> str:
    """Return an expression that is true and counts a new row (+1), or takes it back as it was there already (-1)."""
    never = "0" if step > 0 else "-1"
    return f"set_config('pgrst.inserted', (coalesce({INSERTED}, 0) + ({step}))::text, true) <> '{never}'"


def _literal(text: str) -> str:
    """Quote a name of the catalog as a string."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
