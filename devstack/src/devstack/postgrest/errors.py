"""Errors as PostgREST reports them: a JSON body of code, message, details and hint, and a status by the SQLSTATE."""

import json
from typing import Any

SQLSTATE_STATUS = {
    "08": 503, "09": 500, "0L": 403, "0P": 403, "23503": 409, "23505": 409, "25006": 405, "25": 500, "28": 403,
    "2D": 500, "38": 500, "39": 500, "3B": 500, "40": 500, "53400": 500, "53": 503, "54": 500, "55": 500,
    "57P01": 503, "57": 500, "58": 500, "F0": 500, "HV": 500, "P0001": 400, "P0": 500, "XX": 500, "42883": 404,
    "42P01": 404, "42P17": 500,
}  # fmt: skip


class ApiError(Exception):
    """One refusal: HTTP status, PostgREST code or SQLSTATE, and the three texts of the body."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Any = None,
        hint: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.details, self.hint = status, code, message, details, hint
        self.headers = headers

    def body(self) -> bytes:
        """Return the JSON document of the error."""
        document = {"code": self.code, "details": self.details, "hint": self.hint, "message": self.message}
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


class Panic(Exception):
    """What PostgREST itself stumbles over: it answers 500 and no JSON."""


def up_to_nul(text: str) -> str:
    return text.partition("\0")[0]


def not_supported(what: str) -> ApiError:
    """Return the refusal of something that the real PostgREST does and this one does not."""
    return ApiError(501, "PGRST127", "Feature not implemented", what)


def missing_column(relation: str, column: str) -> ApiError:
    """Return Postgres' own error for a column that is neither in the catalog nor computed."""
    return ApiError(400, "42703", f"column {relation}.{up_to_nul(column)} does not exist")


def from_postgres(sqlstate: str, message: str, detail: str | None, hint: str | None, anonymous: bool) -> ApiError:
    """Map an error of the database to its HTTP answer.

    The table is PostgREST's (docs, "Errors"): a longer SQLSTATE prefix wins; PTnnn sets the status itself, PGRST
    carries the whole answer as JSON in message and detail.
    """
    if sqlstate == "PGRST":
        return _raised_answer(message, detail)
    status = _status(sqlstate, message, anonymous)
    challenge = (("WWW-Authenticate", "Bearer"),) if status == 401 else ()
    return ApiError(status, sqlstate, message, detail, hint, challenge)


def _status(sqlstate: str, message: str, anonymous: bool) -> int:
    if sqlstate.startswith("PT"):
        status = int(sqlstate[2:]) if sqlstate[2:].isdigit() else 500
        return status if 200 <= status < 600 else 500
    if sqlstate == "42501":
        return 401 if anonymous else 403
    if sqlstate == "22023" and message.startswith("role") and message.endswith("does not exist"):
        return 401
    if sqlstate == "21000":
        return 400 if message.endswith("requires a WHERE clause") else 500
    return SQLSTATE_STATUS.get(sqlstate, SQLSTATE_STATUS.get(sqlstate[:2], 400))


def _raised_answer(message: str, detail: str | None) -> ApiError:
    try:
        body = json.loads(message)
        answer = json.loads(detail or "")
        texts = body["code"], body["message"], body.get("details"), body.get("hint")
        if not all(isinstance(t, str) for t in texts[:2]) or not all(t is None or isinstance(t, str) for t in texts):
            raise ValueError("the texts must be strings")
        headers = tuple((str(name), str(value)) for name, value in answer["headers"].items())
        return ApiError(int(answer["status"]), *texts, headers=headers)
    except (ValueError, KeyError, TypeError, AttributeError):
        text = "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error"
        return ApiError(500, "PGRST121", text, f"MESSAGE: {message} DETAIL: {detail}")
