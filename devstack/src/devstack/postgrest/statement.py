"""The one statement that answers a request, and the transaction around it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import pq

from devstack.postgrest.catalog import Catalog, Function
from devstack.postgrest.connection import Connection, DatabaseError, Step
from devstack.postgrest.errors import ApiError
from devstack.postgrest.preferences import ARRAY_STRIPPED, CSV, GEOJSON, OBJECT, OBJECT_STRIPPED, Preferences
from devstack.postgrest.read import count_sql, read_sql
from devstack.postgrest.resources import Node
from devstack.postgrest.settings import Settings
from devstack.postgrest.sql import Parameters, ident

ISOLATION_LEVELS = {
    "read committed": "READ COMMITTED", "read uncommitted": "READ COMMITTED", "repeatable read": "REPEATABLE READ",
    "serializable": "SERIALIZABLE",
}  # fmt: skip
GUC = "nullif(current_setting('response.{}', true), '')"
CSV_BODY = (
    "(SELECT coalesce(string_agg(k, ','), '') FROM (SELECT json_object_keys(row_to_json(h)) AS k"
    " FROM (SELECT * FROM pgrst_source LIMIT 1) h) s) || E'\\n' || coalesce(string_agg("
    "substring(_postgrest_t::text, 2, length(_postgrest_t::text) - 2), E'\\n'), '')"
)
GEOJSON_BODY = (
    "json_build_object('type', 'FeatureCollection',"
    " 'features', coalesce(json_agg(ST_AsGeoJSON(_postgrest_t)::json), '[]'))"
)


@dataclass(slots=True)
class Outcome:
    """What the statement gave: rows in all, rows on this page, and the pieces of the answer."""

    total: int | None
    rows: int
    location: dict[str, str | None] | None
    body: bytes
    headers: bytes | None
    status: bytes | None
    inserted: int | None


@dataclass(slots=True)
class Statement:
    """A statement with its parameters and how it has to run."""

    sql: str
    parameters: Parameters
    read_only: bool = True
    explain: Step | None = None
    estimates: bool = False
    isolation: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    single: bool = False
    put: bool = False
    max_affected: int | None = None
    rolls_back: bool = False

    @property
    def is_judged(self) -> bool:
        """Whether the number of rows decides if the transaction may be committed."""
        judged = self.single or self.put or self.rolls_back or self.max_affected is not None
        return judged and not self.read_only

    def judge(self, rows: int) -> None:
        """Raise PGRST116, 115 or 124 for a number of rows that the request does not allow."""
        if self.single and rows != 1:
            message = "Cannot coerce the result to a single JSON object"
            raise ApiError(406, "PGRST116", message, f"The result contains {rows} rows")
        if self.put and rows != 1:
            message = "Payload values do not match URL in primary key column(s)"
            raise ApiError(400, "PGRST115", message)
        if self.max_affected is not None and rows > self.max_affected:
            message = "Query result exceeds max-affected preference constraint"
            raise ApiError(400, "PGRST124", message, f"The query affects {rows} rows")


def body_expression(media_type: str, function: Function | None = None) -> str:
    """Return the aggregate that makes the whole body of the rows `_postgrest_t`."""
    if media_type == CSV:
        return CSV_BODY
    if media_type == GEOJSON:  # which needs PostGIS; without it Postgres says so
        return GEOJSON_BODY
    rows, single = "_postgrest_t", media_type in (OBJECT, OBJECT_STRIPPED)
    if function and function.is_scalar and not (single and function.returns_set):
        rows = "_postgrest_t.pgrst_scalar"
    single = single or (function is not None and not function.returns_set)
    body = f"json_agg({rows})" + ("->0" if single else "")
    if media_type in (OBJECT_STRIPPED, ARRAY_STRIPPED):
        body = f"json_strip_nulls({body})"
    return f"coalesce({body}, '{'null' if single else '[]'}')"


def read_statement(
    tree: Node, preferences: Preferences, media_type: str, head: bool, max_rows: int | None
) -> Statement:
    """Return the SELECT of a table or view, counted as the client prefers."""
    parameters = Parameters()
    source = read_sql(tree, parameters)
    count, total = "", "null::bigint"
    if preferences.counts:
        limit = f" LIMIT {max_rows + 1}" if preferences["count"] == "estimated" and max_rows is not None else ""
        count = f", pgrst_source_count AS ({count_sql(tree, parameters)}{limit})"
        total = "(SELECT count(*) FROM pgrst_source_count)"
    sql = _wrapped(
        source, count, total, "SELECT * FROM pgrst_source", body="''::text" if head else body_expression(media_type)
    )
    statement = Statement(sql, parameters)
    if preferences["count"] in ("planned", "estimated"):
        explained = Parameters()
        statement.explain = f"EXPLAIN (FORMAT JSON) {count_sql(tree, explained)}", explained
        statement.estimates = preferences["count"] == "estimated"
    return statement


def write_statement(
    source: str, tree: Node, parameters: Parameters, media_type: str, shows: bool, location: str, inserted: str
) -> Statement:
    """Return a write as a common table expression, and the SELECT of what it gives back."""
    rows = read_sql(tree, parameters) if shows else "SELECT * FROM pgrst_source"
    body = body_expression(media_type) if shows else "''::text"
    sql = _wrapped(source, "", "null::bigint", rows, body=body, location=location, inserted=inserted)
    return Statement(sql, parameters, read_only=False)


def call_statement(
    source: str,
    function: Function,
    tree: Node,
    parameters: Parameters,
    preferences: Preferences,
    media_type: str,
    head: bool,
) -> Statement:
    """Return the call of a function, its rows filtered, ordered and counted like those of a table."""
    rows = read_sql(tree, parameters)
    count, total = "", "null::bigint"
    if preferences.counts:
        count = f", pgrst_source_count AS ({count_sql(tree, parameters)})"
        total = "(SELECT count(*) FROM pgrst_source_count)"
    body = "''::text" if head else body_expression(media_type, function)
    page = "count(_postgrest_t)" if function.returns_set else "1"
    sql = _wrapped(source, count, total, rows, body=body, page=page)
    settings = {k: v for k, v in function.settings.items() if k != "default_transaction_isolation"}
    return Statement(
        sql, parameters, isolation=function.settings.get("default_transaction_isolation"), settings=settings
    )


def _wrapped(
    source: str,
    count: str,
    total: str,
    rows: str,
    *,
    body: str,
    page: str = "count(_postgrest_t)",
    location: str = "null",
    inserted: str = "null",
) -> str:
    return (
        f"WITH pgrst_source AS ({source}){count} SELECT {total}, {page}, {location}, {body},"
        f" {GUC.format('headers')}, {GUC.format('status')}, {inserted} FROM ({rows}) _postgrest_t"
    )


# --- running --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Context:
    """What the transaction is told of the request."""

    role: str
    claims: dict[str, Any]
    method: str
    path: str
    headers: dict[str, str]
    cookies: dict[str, str]
    schema: str
    timezone: str | None


async def run_statement(
    connection: Connection, statement: Statement, context: Context, settings: Settings, catalog: Catalog
) -> Outcome:
    """Run the statement in a transaction of its own; all of it goes out in one trip.

    The transaction is committed only when the number of rows is allowed; on any error it is rolled back. Raises
    DatabaseError for what Postgres refuses and ApiError for what `judge` does.
    """
    role_settings = catalog.role_settings.get(context.role, {})
    isolation = statement.isolation or role_settings.get("default_transaction_isolation") or "read committed"
    access = "READ ONLY" if statement.read_only else "READ WRITE"
    steps: list[Step] = [(f"BEGIN ISOLATION LEVEL {ISOLATION_LEVELS.get(isolation, 'READ COMMITTED')} {access}", ())]
    steps.append(_settings_step(statement, context, settings, role_settings))
    if settings.db_pre_request:
        steps.append((f"SELECT {'.'.join(ident(part) for part in settings.db_pre_request.split('.'))}()", ()))
    steps.append((statement.sql, statement.parameters))
    main = len(steps) - 1
    if statement.explain:
        steps.append(statement.explain)
    if not statement.is_judged:
        steps.append(("COMMIT", ()))
    try:
        results = await connection.run(steps)
        outcome = _outcome(results[main])
        if statement.explain:
            outcome.total = _planned(statement, outcome.total, results[main + 1], settings.db_max_rows)
        statement.judge(outcome.rows)
        if statement.is_judged:
            await connection.run([("ROLLBACK" if statement.rolls_back else "COMMIT", ())])
    except (DatabaseError, ApiError):
        if not connection.broken:
            await connection.run([("ROLLBACK", ())])
        raise
    return outcome


def _settings_step(
    statement: Statement, context: Context, settings: Settings, role_settings: Mapping[str, str]
) -> Step:
    search_path = ", ".join(ident(name) for name in (context.schema, *settings.db_extra_search_path))
    values = [
        ("search_path", search_path),
        *((name, value) for name, value in role_settings.items() if name != "default_transaction_isolation"),
        ("role", context.role),
        ("request.jwt.claims", json.dumps(context.claims, separators=(",", ":"))),
        ("request.method", context.method),
        ("request.path", context.path),
        ("request.headers", json.dumps(context.headers, separators=(",", ":"))),
        ("request.cookies", json.dumps(context.cookies, separators=(",", ":"))),
        *((("timezone", context.timezone),) if context.timezone else ()),
        *statement.settings.items(),
    ]
    parameters: list[bytes] = []
    for name, value in values:
        parameters += (name.encode(), value.encode())
    calls = ", ".join(f"set_config(${at}, ${at + 1}, true)" for at in range(1, len(parameters), 2))
    return f"SELECT {calls}", parameters


def _outcome(result: pq.abc.PGresult) -> Outcome:
    if result.ntuples == 0:
        return Outcome(None, 0, None, b"", None, None, None)
    total, rows, location, body, headers, status, inserted = (result.get_value(0, at) for at in range(7))
    return Outcome(
        int(total) if total else None,
        int(rows or 0),
        json.loads(location) if location else None,
        body or b"",
        headers,
        status,
        int(inserted) if inserted else None,
    )


def _planned(statement: Statement, counted: int | None, result: pq.abc.PGresult, max_rows: int | None) -> int | None:
    planned = int(json.loads(result.get_value(0, 0) or b"[]")[0]["Plan"]["Plan Rows"])
    if not statement.estimates:
        return planned
    return max(counted or 0, planned) if max_rows is None or (counted or 0) > max_rows else counted
