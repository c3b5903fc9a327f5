"""The root: a short OpenAPI 2.0 description of what the asking role may use."""

import json

from devstack.postgrest.answers import Answer
from devstack.postgrest.catalog import Catalog
from devstack.postgrest.errors import ApiError
from devstack.postgrest.handlers import Request, Task
from devstack.postgrest.preferences import parse_accept
from devstack.postgrest.sql import Parameters
from devstack.postgrest.statement import Outcome, Statement

PRODUCED = ("*/*", "application/json", "application/openapi+json")
USABLE = """
SELECT null, 1, null, json_build_object(
  'tables', (SELECT coalesce(json_agg(c.relname), '[]') FROM pg_class c
     WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
       AND (has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE') OR has_any_column_privilege(c.oid, 'SELECT'))),
  'functions', (SELECT coalesce(json_agg(DISTINCT p.proname), '[]') FROM pg_proc p
     WHERE p.pronamespace = $1::regnamespace AND has_function_privilege(p.oid, 'EXECUTE'))), null, null, null"""


def describe(request: Request, schema: str, catalog: Catalog) -> Task:
    """Plan the description; raise PGRST107 when the client takes neither JSON nor OpenAPI."""
    accepted = parse_accept(request.headers.get("accept"))
    if not set(accepted) & set(PRODUCED):
        raise ApiError(406, "PGRST107", "None of these media types are available: " + ", ".join(accepted))
    quoted = '"' + schema.replace('"', '""') + '"'
    statement = Statement(USABLE, Parameters([quoted.encode()]))
    return Task(statement, lambda outcome: _answer(outcome, request, schema, catalog))


def _answer(outcome: Outcome, request: Request, schema: str, catalog: Catalog) -> Answer:
    usable = json.loads(outcome.body)
    tables = [table for (s, name), table in catalog.tables.items() if s == schema and name in usable["tables"]]
    functions = [name for s, name in catalog.functions if s == schema and name in usable["functions"]]
    done = {"responses": {"200": {"description": "OK"}}}
    paths = {f"/{t.name}": {verb: done for verb in ("get", "post", "patch", "delete")} for t in tables}
    paths |= {f"/rpc/{name}": {"post": done} for name in functions}
    definitions = {
        t.name: {
            "type": "object",
            "required": [c.name for c in t.columns.values() if c.required],
            "properties": {c.name: {"format": c.type, "description": c.description} for c in t.columns.values()},
        }
        for t in tables
    }
    info = {"title": "PostgREST API", "version": "14"}
    document = {"swagger": "2.0", "info": info, "paths": paths, "definitions": definitions}
    body = b"" if request.method == "HEAD" else json.dumps(document).encode()
    return Answer(200, [("Content-Type", "application/openapi+json; charset=utf-8")], body)
