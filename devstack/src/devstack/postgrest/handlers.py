"""What each kind of request means: planning a read, a write or a call, and choosing the answer to it."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from devstack.postgrest import answers
from devstack.postgrest.answers import Answer
from devstack.postgrest.call import call_sql, find_function
from devstack.postgrest.catalog import Catalog, Function, Table
from devstack.postgrest.errors import ApiError, not_supported
from devstack.postgrest.payload import Payload, read_payload
from devstack.postgrest.preferences import OBJECT, OBJECT_STRIPPED, Preferences, negotiate, parse_accept, parse_range
from devstack.postgrest.query_string import Query, Range, parse_query
from devstack.postgrest.read import SOURCE
from devstack.postgrest.resources import Node, negative_limit, plan_read
from devstack.postgrest.settings import Settings
from devstack.postgrest.sql import Parameters, ident
from devstack.postgrest.statement import (
    Outcome,
    Statement,
    call_statement,
    read_statement,
    write_statement,
)
from devstack.postgrest.write import (
    INSERTED,
    check_write,
    delete_sql,
    insert_sql,
    location_sql,
    plan_write,
    put_sql,
    update_sql,
)


@dataclass(slots=True)
class Request:
    """One HTTP request; the path as it was sent, header names in lower case."""

    method: str
    path: str
    query: bytes
    headers: dict[str, str]
    prefer: list[str]
    body: bytes = b""


@dataclass(slots=True)
class Task:
    """A planned request: the statement to run and what to make of its outcome."""

    statement: Statement
    answer: Callable[[Outcome], Answer]


def plan_request(
    request: Request, schema: str, preferences: Preferences, catalog: Catalog, settings: Settings
) -> Task | Answer:
    """Plan any request but the root's; OPTIONS is answered at once. Raises ApiError for what cannot be done."""
    match [unquote(part) for part in request.path.split("/")[1:]]:
        case [name] if name:
            return _plan_table(request, schema, name, preferences, catalog, settings)
        case ["rpc", name]:
            return _plan_call(request, schema, name, preferences, catalog, settings)
    raise ApiError(404, "PGRST125", "Invalid path specified in request URL")


def allowed(methods: str) -> Answer:
    return Answer(200, [("Allow", methods), ("Access-Control-Allow-Origin", "*")])


# --- tables ---------------------------------------------------------------------------------------------------------


def _plan_table(
    request: Request, schema: str, name: str, preferences: Preferences, catalog: Catalog, settings: Settings
) -> Task | Answer:
    writers = {"POST": _plan_insert, "PUT": _plan_put, "PATCH": _plan_update, "DELETE": _plan_delete}
    if request.method not in ("GET", "HEAD", "OPTIONS", *writers):
        raise ApiError(405, "PGRST117", f"Unsupported HTTP method: {request.method}")
    query = parse_query(request.query)
    range_ = _top_range(request, query)
    planner = writers.get(request.method)
    payload_needed = planner is not None and request.method != "DELETE"
    columns = None if request.method == "PUT" else query.columns
    payload = Payload(b"", [], "")
    if payload_needed:
        payload = read_payload(request.body, request.headers.get("content-type"), columns, False)
    table = catalog.tables.get((schema, name))
    if table is None:
        raise ApiError(404, "PGRST205", f"Could not find the table '{schema}.{name}' in the schema cache")
    if request.method == "OPTIONS":
        return allowed(_table_methods(table))
    if table.represented:
        raise not_supported("Columns with data representations (casts of domains) are not supported")
    if planner is None:
        return _plan_get(request, table, query, range_, preferences, catalog, settings)
    root = Node(table.name, [], [], table=table, source=f"{SOURCE} AS {ident(table.name)}", label=table.name)
    tree = plan_read(query, catalog, root, filters=False, ranges=False)
    check_write(table, query, payload, is_put=request.method == "PUT")
    _check_preferences(preferences)
    media_type = _media_type(request, catalog)
    task = planner(table, query, preferences, tree, payload, media_type)
    task.statement.single = media_type in (OBJECT, OBJECT_STRIPPED) and request.method != "PUT"
    task.statement.rolls_back = _rolls_back(preferences, settings)
    return task


def _plan_get(
    request: Request,
    table: Table,
    query: Query,
    range_: Range,
    preferences: Preferences,
    catalog: Catalog,
    settings: Settings,
) -> Task:
    tree = plan_read(query, catalog, Node(table.name, [], [], table=table, range=range_), max_rows=settings.db_max_rows)
    media_type = _media_type(request, catalog)
    _check_preferences(preferences)
    head = request.method == "HEAD"
    statement = read_statement(tree, preferences, media_type, head, settings.db_max_rows)
    statement.single = media_type in (OBJECT, OBJECT_STRIPPED)
    return Task(statement, lambda o: answers.read_answer(o, query, range_, preferences, media_type, head, table.name))


def _plan_insert(
    table: Table, query: Query, preferences: Preferences, tree: Node, payload: Payload, media_type: str
) -> Task:
    write, parameters = plan_write(table, query, preferences, tree), Parameters()
    source = insert_sql(write, payload, parameters)
    located = preferences["return"] == "headers-only"
    inserted = INSERTED if preferences["resolution"] == "merge-duplicates" else "null"
    location = location_sql(write, parameters) if located else "null"
    statement = write_statement(source, tree, parameters, media_type, _shows(preferences), location, inserted)
    return Task(statement, lambda o: answers.insert_answer(o, table, query, preferences, media_type))


def _plan_put(
    table: Table, query: Query, preferences: Preferences, tree: Node, payload: Payload, media_type: str
) -> Task:
    write, parameters = plan_write(table, query, preferences, tree), Parameters()
    source = put_sql(write, payload, parameters)
    statement = write_statement(source, tree, parameters, media_type, _shows(preferences), "null", INSERTED)
    statement.put = True
    return Task(statement, lambda o: answers.put_answer(o, preferences, media_type))


def _plan_update(
    table: Table, query: Query, preferences: Preferences, tree: Node, payload: Payload, media_type: str
) -> Task:
    write, parameters = plan_write(table, query, preferences, tree), Parameters()
    source = update_sql(write, payload, parameters)
    statement = write_statement(source, tree, parameters, media_type, _shows(preferences), "null", "null")
    statement.max_affected = preferences.max_affected
    return Task(statement, lambda o: answers.update_answer(o, preferences, media_type))


def _plan_delete(
    table: Table, query: Query, preferences: Preferences, tree: Node, payload: Payload, media_type: str
) -> Task:
    write, parameters = plan_write(table, query, preferences, tree), Parameters()
    source = delete_sql(write, parameters)
    statement = write_statement(source, tree, parameters, media_type, _shows(preferences), "null", "null")
    statement.max_affected = preferences.max_affected
    return Task(statement, lambda o: answers.delete_answer(o, preferences, media_type))


def _shows(preferences: Preferences) -> bool:
    return preferences["return"] == "representation"


def _table_methods(table: Table) -> str:
    inserts, updates, deletes = (bool(table.changes & bit) for bit in (8, 4, 16))
    methods = ["OPTIONS,GET,HEAD"]
    methods += ["POST"] if inserts else []
    methods += ["PUT"] if inserts and updates and table.key else []
    methods += ["PATCH"] if updates else []
    return ",".join(methods + (["DELETE"] if deletes else []))


# --- functions ------------------------------------------------------------------------------------------------------


def _plan_call(
    request: Request, schema: str, name: str, preferences: Preferences, catalog: Catalog, settings: Settings
) -> Task | Answer:
    if request.method not in ("GET", "HEAD", "POST", "OPTIONS"):
        raise ApiError(405, "PGRST101", f"Cannot use the {request.method} method on RPC")
    is_post, head = request.method == "POST", request.method == "HEAD"
    query = parse_query(request.query, is_call_by_get=request.method in ("GET", "HEAD"))
    range_ = _top_range(request, query)
    payload = read_payload(request.body, request.headers.get("content-type"), query.columns, True) if is_post else None
    keys = payload.keys if payload else [name for name, _ in query.arguments]
    function = find_function(catalog, schema, name, keys, payload.media_type if payload else "", is_post)
    tree = plan_read(query, catalog, _call_root(function, catalog, range_), max_rows=settings.db_max_rows)
    media_type = _media_type(request, catalog)
    _check_preferences(preferences)
    if request.method == "OPTIONS":
        return allowed("OPTIONS,POST" if function.volatility == "v" else "OPTIONS,GET,HEAD,POST")
    if preferences.max_affected is not None and not function.returns_set:
        message = "Function must return SETOF or TABLE when max-affected preference is used with handling=strict"
        raise ApiError(400, "PGRST128", message)
    parameters = Parameters()
    source = call_sql(function, tree, payload, query.arguments, parameters)
    statement = call_statement(source, function, tree, parameters, preferences, media_type, head)
    statement.read_only = not is_post or function.volatility != "v"
    statement.single = media_type in (OBJECT, OBJECT_STRIPPED) and function.returns_set
    statement.max_affected = preferences.max_affected
    statement.rolls_back = _rolls_back(preferences, settings)
    return Task(statement, lambda o: answers.call_answer(o, function, range_, preferences, media_type, head))


def _call_root(function: Function, catalog: Catalog, range_: Range) -> Node:
    table = catalog.tables.get(function.returns) if function.is_composite else None
    name = function.name if function.is_scalar else function.returns[1]
    columns = frozenset(("pgrst_scalar",)) if function.is_scalar else function.columns
    source = f"{SOURCE} AS {ident(name)}"
    return Node(name, [], [], table=table, columns=columns, source=source, label=name, range=range_)


# --- shared ---------------------------------------------------------------------------------------------------------


def _top_range(request: Request, query: Query) -> Range:
    """Return the rows asked for by limit and offset within those of the Range header (GET only)."""
    header = parse_range(request.headers.get("range") if request.method == "GET" else None)
    wanted = query.ranges.get((), (0, None))
    if wanted[1] == -1:
        return 0, -1
    ends = [last for last in (header[1], wanted[1]) if last is not None]
    range_ = max(header[0], wanted[0]), min(ends) if ends else None
    if range_[1] is not None and range_[1] < range_[0]:
        raise negative_limit()
    if request.method == "PUT" and range_ != (0, None):
        raise ApiError(400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT")
    return range_


def _media_type(request: Request, catalog: Catalog) -> str:
    accepted = parse_accept(request.headers.get("accept"))
    if catalog.media_types & {*accepted, "*/*"}:
        raise not_supported("Media type handlers are not supported")
    return negotiate(accepted)


def _check_preferences(preferences: Preferences) -> None:
    if preferences.strict and preferences.invalid:
        details = "Invalid preferences: " + ", ".join(preferences.invalid)
        raise ApiError(400, "PGRST122", "Invalid preferences given with handling=strict", details)


def _rolls_back(preferences: Preferences, settings: Settings) -> bool:
    if preferences["tx"]:
        return preferences["tx"] == "rollback"
    return settings.db_tx_end.startswith("rollback")
