"""Calling functions: which signature a request means, and the SQL that calls it."""

from collections.abc import Iterable

from devstack.postgrest.catalog import Catalog, Column, Function, Parameter
from devstack.postgrest.connection import Binary
from devstack.postgrest.errors import ApiError, missing_column
from devstack.postgrest.payload import RAW_TYPES, Payload
from devstack.postgrest.resources import Node, filtered_columns, needed_columns
from devstack.postgrest.sql import Parameters, array_literal, ident, qualified
from devstack.postgrest.write import body_source


def find_function(
    catalog: Catalog, schema: str, name: str, keys: Iterable[str], media_type: str, is_post: bool
) -> Function:
    """Return the function that takes these arguments; raise PGRST202 for none, PGRST203 for several."""
    candidates, given = catalog.functions.get((schema, name), []), set(keys)
    raw = is_post and media_type in RAW_TYPES
    named = [function for function in candidates if _takes(function, given, raw)]
    if not named and is_post:
        named = [function for function in candidates if _takes_whole_body(function, media_type)]
    if len(named) == 1:
        return named[0]
    if named:
        texts = ", ".join(_signature(function) for function in named)
        hint = (
            "Try renaming the parameters or the function itself in the database so function overloading can be resolved"
        )
        message = f"Could not choose the best candidate function between: {texts}"
        raise ApiError(300, "PGRST203", message, hint=hint)
    arguments = f"({', '.join(sorted(given))})" if given else " without parameters"
    message = f"Could not find the function {schema}.{name}{arguments} in the schema cache"
    known = "; ".join(_signature(function) for function in candidates)
    raise ApiError(404, "PGRST202", message, hint=f"Known signatures: {known}" if known else None)


def _takes(function: Function, given: set[str], raw: bool) -> bool:
    if not function.parameters:
        return not given and not raw
    required = {p.name for p in function.parameters if p.required}
    optional = {p.name for p in function.parameters if not p.required}
    return given - optional == required


def _takes_whole_body(function: Function, media_type: str) -> bool:
    if len(function.parameters) != 1 or function.parameters[0].name:
        return False
    if media_type == "application/json":
        return function.parameters[0].type in ("json", "jsonb")
    return function.parameters[0].type == RAW_TYPES.get(media_type)


def _signature(function: Function) -> str:
    parameters = ", ".join(f"{p.name} => {p.type}" for p in function.parameters)
    return f"{function.schema}.{function.name}({parameters})"


def call_sql(
    function: Function,
    tree: Node,
    payload: Payload | None,
    arguments: list[tuple[str, str]],
    parameters: Parameters,
) -> str:
    """Return the SELECT that calls the function; arguments come from a JSON body or, by name, as texts."""
    if payload is not None and payload.arguments is not None:
        arguments, payload = payload.arguments, None
    given = {name for name, _ in arguments} if payload is None else set(payload.keys)
    used = [p for p in function.parameters if p.name in given]
    if len(function.parameters) == 1 and not function.parameters[0].name:
        parameter = function.parameters[0]
        raw = payload.raw if payload else b"{}"
        call = _call(function, _raw_argument(parameter, raw, parameters))
        return f"SELECT {_shown(function, tree)} FROM {call}"
    if not used:
        return f"SELECT {_shown(function, tree)} FROM {_call(function, '')}"
    if payload is None:
        texts = ", ".join(_text_argument(p, arguments, parameters) for p in used)
        return f"SELECT {_shown(function, tree)} FROM {_call(function, texts)}"
    columns = [Column(p.name, p.cast, p.cast, None, p.required, None) for p in used]
    source = body_source(payload, columns, parameters, single=True)
    names = ", ".join(f"{_variadic(p)}{ident(p.name)} := pgrst_body.{ident(p.name)}" for p in used)
    return f"SELECT {_shown(function, tree)} FROM {source}, LATERAL {_call(function, names)}"


def _call(function: Function, arguments: str) -> str:
    call = f"{qualified((function.schema, function.name))}({arguments})"
    return f"(SELECT {call} pgrst_scalar) pgrst_call" if function.is_scalar else f"{call} pgrst_call"


def _variadic(parameter: Parameter) -> str:
    return "VARIADIC " if parameter.variadic else ""


def _raw_argument(parameter: Parameter, raw: bytes, parameters: Parameters) -> str:
    if parameter.type == "bytea":
        return parameters.add(Binary(raw))
    text = raw.partition(b"\0")[0]
    return f"{parameters.add(text)}::{parameter.type}"


def _text_argument(parameter: Parameter, arguments: list[tuple[str, str]], parameters: Parameters) -> str:
    values = [value for name, value in arguments if name == parameter.name]
    if parameter.variadic:
        text = array_literal(values)
    else:
        text = values[-1]
    return f"{_variadic(parameter)}{ident(parameter.name)} := {parameters.add(text)}::{parameter.cast}"


def _shown(function: Function, tree: Node) -> str:
    if function.is_scalar:
        return "pgrst_call.pgrst_scalar"
    names = needed_columns(tree, [])
    if names == ["*"] or not names:
        return "pgrst_call.*"
    names = sorted({*names, *filtered_columns(tree)})
    for name in names:
        if function.columns is not None and name not in function.columns:
            raise missing_column("pgrst_call", name)
    return ", ".join(f"pgrst_call.{ident(name)}" for name in names)
