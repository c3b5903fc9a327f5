"""The schema cache: tables, columns, functions and settings, read from Postgres' catalogs in one transaction."""

import json
from dataclasses import dataclass, field
from typing import Any

from devstack.postgrest import catalog_queries as queries
from devstack.postgrest.connection import Connection
from devstack.postgrest.relationships import Relationship, build_relationships
from devstack.postgrest.settings import Settings

Name = tuple[str, str]  # schema, name
SYSTEM_COLUMNS = frozenset(("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"))


@dataclass(slots=True)
class Column:
    """A column: its full type, the type below all domains, and its default as SQL."""

    name: str
    type: str
    base: str
    default: str | None
    required: bool
    description: str | None


@dataclass(slots=True)
class Table:
    """A table or view; `computed` are the functions usable as its columns."""

    schema: str
    name: str
    is_view: bool
    changes: int
    key: list[str]
    columns: dict[str, Column]
    computed: frozenset[str]
    description: str | None
    represented: bool = False

    def knows(self, column: str) -> bool:
        """Whether Postgres can find a column of that name."""
        return column in self.columns or column in self.computed or (column in SYSTEM_COLUMNS and not self.is_view)


@dataclass(slots=True)
class Parameter:
    """An input of a function; `cast` is its type without a length."""

    name: str
    type: str
    cast: str
    required: bool
    variadic: bool


@dataclass(slots=True)
class Function:
    """One signature of a function."""

    schema: str
    name: str
    parameters: list[Parameter]
    returns_set: bool
    is_composite: bool
    returns: Name
    volatility: str
    settings: dict[str, str]
    columns: frozenset[str] | None
    description: str | None

    @property
    def is_scalar(self) -> bool:
        return not self.is_composite

    @property
    def is_void(self) -> bool:
        return self.returns == ("pg_catalog", "void") and not self.returns_set


@dataclass(slots=True)
class Catalog:
    """Everything that planning a request needs to know of the database."""

    tables: dict[Name, Table] = field(default_factory=dict)
    functions: dict[Name, list[Function]] = field(default_factory=dict)
    relationships: dict[Name, list[Relationship]] = field(default_factory=dict)
    media_types: frozenset[str] = frozenset()
    role_settings: dict[str, dict[str, str]] = field(default_factory=dict)


async def load_catalog(connection: Connection, settings: Settings) -> Catalog:
    """Read the exposed schemas; raise ApiError when the database refuses."""
    schemas = _array(settings.db_schemas)
    view_schemas = _array({*settings.db_schemas, *settings.db_extra_search_path})
    questions = {
        "tables": (queries.TABLES, (schemas,)),
        "keys": (queries.KEYS, ()),
        "views": (queries.VIEWS, (view_schemas,)),
        "computed": (queries.COMPUTED_RELATIONSHIPS, ()),
        "functions": (queries.FUNCTIONS, (schemas,)),
        "row_functions": (queries.ROW_FUNCTIONS, ()),
        "media_types": (queries.MEDIA_TYPES, ()),
        "roles": (queries.ROLE_SETTINGS, ()),
        "user_settings": (queries.USER_SETTINGS, ()),
    }
    begin = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ())
    names_in_full = ("select pg_catalog.set_config('search_path', '', true)", ())
    results = await connection.run([begin, names_in_full, *questions.values(), ("COMMIT", ())])
    told = {
        name: json.loads(result.get_value(0, 0) or b"") for name, result in zip(questions, results[2:], strict=False)
    }
    return _build(told, settings)


def _build(told: dict[str, Any], settings: Settings) -> Catalog:
    catalog = Catalog(media_types=frozenset(told["media_types"]))
    for row in told["tables"]:
        catalog.tables[row["schema"], row["name"]] = _table(row, told["row_functions"])
    catalog.relationships = build_relationships(
        catalog.tables, told["keys"], told["views"], told["computed"], settings.db_schemas
    )
    for row in told["functions"]:
        if function := _function(row, catalog.tables, settings.db_hoisted_tx_settings):
            catalog.functions.setdefault((function.schema, function.name), []).append(function)
            if function.columns is not None:
                function.columns |= frozenset(told["row_functions"])
    for role, given in told["roles"]:
        catalog.role_settings.setdefault(role, {}).update(_assignments(given, told["user_settings"]))
    return catalog


async def load_configuration(connection: Connection) -> dict[str, str]:
    """Return the `pgrst.…` settings of the connected role, as `ALTER ROLE … SET pgrst.name` leaves them."""
    sql = """select coalesce(json_agg(line), '[]') from pg_catalog.pg_db_role_setting s, unnest(s.setconfig) line
      where s.setrole = current_user::regrole
        and s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))"""
    (result,) = await connection.run([(sql, ())])
    lines = (line.partition("=") for line in json.loads(result.get_value(0, 0) or b""))
    return {name.removeprefix("pgrst."): value for name, _, value in lines if name.startswith("pgrst.")}


def _array(names: tuple[str, ...] | set[str]) -> bytes:
    return json.dumps(list(names)).replace("[", "{").replace("]", "}").encode()


def _assignments(lines: list[str], allowed: list[str]) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines or ())
    return {name: value for name, _, value in pairs if name in allowed}


def _table(row: dict[str, Any], row_functions: list[str]) -> Table:
    columns = {
        c["name"]: Column(c["name"], c["type"], c["base"], c["default"], c["required"], c["description"])
        for c in row["columns"]
    }
    represented = any(c["represented"] for c in row["columns"])
    computed, text = frozenset((*row["computed"], *row_functions)), row["description"]
    return Table(
        row["schema"], row["name"], row["view"], row["changes"], row["key"], columns, computed, text, represented
    )


LENGTHLESS = {"bit": "bit varying", "bit[]": "bit varying[]", "character": "character varying"}
SINGLE_TYPES = ("bytea", "json", "jsonb", "text", "xml")


def _function(row: dict[str, Any], tables: dict[Name, Table], hoisted: tuple[str, ...]) -> Function | None:
    given = row["parameters"]
    required = len(given) - row["defaults"]
    parameters = [
        Parameter(name, type_, LENGTHLESS.get(type_, type_), position < required, variadic)
        for position, (name, type_, variadic) in enumerate(given)
    ]
    unnamed = [parameter for parameter in parameters if not parameter.name]
    if unnamed and (len(parameters) > 1 or unnamed[0].type not in SINGLE_TYPES):
        return None  # cannot be called by name
    returns = (row["return_schema"], row["return_name"])
    columns: frozenset[str] | None = None
    if returns in tables:
        columns = frozenset(tables[returns].columns) | tables[returns].computed
    elif any(mode in "tbo" for mode in row["modes"]):
        columns = frozenset(n for n, m in zip(row["all_names"], row["modes"], strict=False) if m in "tbo")
    pairs = (line.partition("=") for line in row["settings"])
    settings = {name: value for name, _, value in pairs if name in hoisted}
    return Function(
        row["schema"], row["name"], parameters, row["set"], row["composite"], returns,
        row["volatility"], settings, columns, row["description"],
    )  # fmt: skip
