"""The body of a request as JSON that Postgres can take apart, and the names of its columns or arguments."""

import csv
import io
import json
from dataclasses import dataclass
from typing import Any, NoReturn

from devstack.postgrest.errors import ApiError
from devstack.postgrest.query_string import split_pairs

RAW_TYPES = {"text/plain": "text", "text/xml": "xml", "application/octet-stream": "bytea"}
JSON_TYPES = ("application/json", "application/vnd.pgrst.array+json", "application/vnd.pgrst.array")
FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Payload:
    """`raw` is JSON, or the bytes for a single unnamed argument; `arguments` are those of a form."""

    raw: bytes
    keys: list[str]
    media_type: str
    arguments: list[tuple[str, str]] | None = None

    @property
    def is_object(self) -> bool:
        return self.raw.lstrip(b" \t\r\n").startswith(b"{")


def read_payload(body: bytes, content_type: str | None, columns: list[str] | None, is_call: bool) -> Payload:
    """Parse a body; `columns` (of the query string) replace its own keys.

    Raises PGRST102 for what is not JSON, rows of different keys, and content types that are not understood.
    """
    media_type = (content_type or "application/json").partition(";")[0].strip().lower()
    if media_type in JSON_TYPES:
        return _json_payload(body, columns, is_call)
    if media_type == "text/csv":
        return _csv_payload(body)
    if media_type == FORM:
        return _form_payload(body, is_call)
    if is_call and media_type in RAW_TYPES:
        return Payload(body, [], media_type)
    raise ApiError(400, "PGRST102", f"Content-Type not acceptable: {media_type}")


def _json_payload(body: bytes, columns: list[str] | None, is_call: bool) -> Payload:
    if columns is not None:
        return Payload(body.partition(b"\0")[0], sorted(set(columns)), "application/json")
    if not body and is_call:
        return Payload(body, [], "application/json")
    value = _parse(body)
    if isinstance(value, dict):
        return Payload(body, sorted(value), "application/json")
    if not isinstance(value, list) or not value:
        return Payload(b"[]", [], "application/json")
    first = value[0]
    if not isinstance(first, dict) or not all(isinstance(v, dict) and v.keys() == first.keys() for v in value):
        raise ApiError(400, "PGRST102", "All object keys must match")
    return Payload(body, sorted(first), "application/json")


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ApiError(400, "PGRST102", "Empty or invalid json") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _csv_payload(body: bytes) -> Payload:
    try:
        rows = list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ApiError(400, "PGRST102", f"not CSV: {error}") from None
    rows = [row for row in rows if row]
    if not rows:
        raise ApiError(400, "PGRST102", "not enough input")
    header, *lines = rows
    objects = [{k: None if v == "NULL" else v for k, v in zip(header, line, strict=False)} for line in lines]
    if any(each.keys() != objects[0].keys() for each in objects):
        raise ApiError(400, "PGRST102", "All lines must have same number of fields")
    return Payload(json.dumps(objects).encode(), sorted(objects[0]) if lines else [], "text/csv")


def _form_payload(body: bytes, is_call: bool) -> Payload:
    pairs = [(key, value or "") for key, value in split_pairs(body)]
    keys = sorted({key for key, _ in pairs})
    return Payload(json.dumps(dict(pairs)).encode(), keys, FORM, pairs if is_call else None)
