"""The HTTP answer: status, headers and body made of what the statement gave."""

import json
import re
from dataclasses import dataclass
from urllib.parse import quote

from devstack.postgrest.catalog import Function, Table
from devstack.postgrest.errors import ApiError
from devstack.postgrest.preferences import Preferences
from devstack.postgrest.query_string import Query, Range
from devstack.postgrest.statement import Outcome


@dataclass(slots=True)
class Answer:
    """One response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""


def error_answer(error: ApiError) -> Answer:
    headers = [("Content-Type", "application/json; charset=utf-8"), ("Proxy-Status", f"PostgREST; error={error.code}")]
    return Answer(error.status, [*headers, *error.headers], error.body())


def content_type(media_type: str) -> tuple[str, str]:
    return ("Content-Type", f"{media_type}; charset=utf-8")


def content_range(first: int, last: int, total: int | None) -> tuple[str, str]:
    rows = f"{first}-{last}" if total != 0 and first <= last else "*"
    return ("Content-Range", f"{rows}/{'*' if total is None else total}")


def read_answer(
    outcome: Outcome, query: Query, range_: Range, preferences: Preferences, media_type: str, head: bool, name: str
) -> Answer:
    """Answer a read: 200, 206 for a part, 416 when it starts behind the end."""
    status, headers = _ranged(outcome, range_)
    headers.append(("Content-Location", "/" + quote(name) + (f"?{query.canonical}" if query.canonical else "")))
    headers += _applied(preferences)
    if status == 416:
        return _out_of_range(outcome, range_, headers)
    return _overridden(Answer(status, [*headers, content_type(media_type)], b"" if head else outcome.body), outcome)


def call_answer(
    outcome: Outcome, function: Function, range_: Range, preferences: Preferences, media_type: str, head: bool
) -> Answer:
    """Answer a call: like a read, or 204 when the function returns nothing."""
    status, headers = _ranged(outcome, range_)
    headers += _applied(preferences, "max-affected")
    if function.is_void:
        return _overridden(Answer(204, headers), outcome)
    if status == 416:
        return _out_of_range(outcome, range_, headers)
    return _overridden(Answer(status, [*headers, content_type(media_type)], b"" if head else outcome.body), outcome)


def insert_answer(outcome: Outcome, table: Table, query: Query, preferences: Preferences, media_type: str) -> Answer:
    """Answer an insert: 201, or 200 when an upsert made no new row."""
    headers = [content_range(1, 0, outcome.rows if preferences.counts else None)]
    if outcome.location:
        pairs = (f"{quote(k)}={'is.null' if v is None else 'eq.' + quote(v)}" for k, v in outcome.location.items())
        headers.append(("Location", f"/{quote(table.name)}?{'&'.join(pairs)}"))
    shown = ("resolution",) if table.key or query.on_conflict is not None else ()
    headers += _applied(preferences, *shown, "return", "missing")
    merges = preferences["resolution"] == "merge-duplicates"
    return _written(
        201 if not merges or (outcome.inserted or 0) > 0 else 200, headers, outcome, preferences, media_type
    )


def update_answer(outcome: Outcome, preferences: Preferences, media_type: str) -> Answer:
    headers = [content_range(0, outcome.rows - 1, outcome.rows if preferences.counts else None)]
    headers += _applied(preferences, "return", "missing", "max-affected")
    return _written(_changed(preferences), headers, outcome, preferences, media_type)


def put_answer(outcome: Outcome, preferences: Preferences, media_type: str) -> Answer:
    status = _changed(preferences)
    if status == 200 and (outcome.inserted or 0) > 0:
        status = 201
    return _written(status, _applied(preferences, "return"), outcome, preferences, media_type)


def delete_answer(outcome: Outcome, preferences: Preferences, media_type: str) -> Answer:
    headers = [content_range(1, 0, outcome.rows if preferences.counts else None)]
    headers += _applied(preferences, "return", "max-affected")
    return _written(_changed(preferences), headers, outcome, preferences, media_type)


def _changed(preferences: Preferences) -> int:
    return 200 if preferences["return"] == "representation" else 204


def _written(
    status: int, headers: list[tuple[str, str]], outcome: Outcome, preferences: Preferences, media_type: str
) -> Answer:
    if preferences["return"] == "representation":
        return _overridden(Answer(status, [*headers, content_type(media_type)], outcome.body), outcome)
    return _overridden(Answer(status, headers), outcome)


def _applied(preferences: Preferences, *names: str) -> list[tuple[str, str]]:
    text = preferences.applied(*names)
    return [("Preference-Applied", text)] if text else []


def _ranged(outcome: Outcome, range_: Range) -> tuple[int, list[tuple[str, str]]]:
    first, total = range_[0], outcome.total
    status = 200
    if total is not None and first > total:
        status = 416
    elif total is not None and outcome.rows < total:
        status = 206
    return status, [content_range(first, first + outcome.rows - 1, total)]


def _out_of_range(outcome: Outcome, range_: Range, headers: list[tuple[str, str]]) -> Answer:
    details = f"An offset of {range_[0]} was requested, but there are only {outcome.total} rows."
    answer = error_answer(ApiError(416, "PGRST103", "Requested range not satisfiable", details))
    answer.headers += headers
    return answer


def _overridden(answer: Answer, outcome: Outcome) -> Answer:
    """Apply the status and headers that the database set in `response.status` and `response.headers`."""
    if outcome.status is not None:
        match = re.match(r"[0-9]{1,3}", outcome.status.decode("utf-8", "replace"))
        if not match or not 200 <= int(match[0]) < 600:
            raise ApiError(500, "PGRST112", "response.status guc must be a valid status code")
        answer.status = int(match[0])
    if outcome.headers is not None:
        own = _own_headers(outcome.headers)
        names = {name.lower() for name, _ in own}
        answer.headers = [(n, v) for n, v in answer.headers if n.lower() not in names] + own
    return answer


def _own_headers(text: bytes) -> list[tuple[str, str]]:
    try:
        pairs = [tuple(item.items())[0] for item in json.loads(text) if len(item) == 1 or _invalid()]
        if not all(isinstance(v, str) and re.fullmatch(r"[!#$%&'*+.^_`|~\w-]+", k, re.A) for k, v in pairs):
            _invalid()
    except (ValueError, AttributeError, TypeError):
        message = "response.headers guc must be a JSON array composed of objects with a single key and a string value"
        raise ApiError(500, "PGRST111", message) from None
    return [(name, re.sub(r"[\r\n\0]+", " ", value)) for name, value in pairs]


def _invalid() -> bool:
    raise ValueError("not a single pair of strings")
