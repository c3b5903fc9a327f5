"""What callers are told when something fails: one JSON shape for all, causes only in the log."""

import logging
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

log = logging.getLogger(__name__)

SENTENCES = {
    400: ("bad_request", "The request cannot be understood."),
    401: ("unauthorized", "Please sign in."),
    403: ("forbidden", "You may not do that."),
    404: ("not_found", "API endpoint not found"),
    405: ("method_not_allowed", "This address does not take that method."),
    406: ("not_acceptable", "This address cannot answer in the form asked for."),
    408: ("request_timeout", "The request took too long to arrive."),
    413: ("too_large", "The request is too large."),
    414: ("uri_too_long", "The address is too long."),
    415: ("unsupported_media_type", "Send the body as JSON (Content-Type: application/json)."),
    429: ("too_many_requests", "Too many requests. Please try again later."),
    431: ("headers_too_large", "The request's headers are too large."),
}
UNEXPECTED = ("internal_error", "Something went wrong. Please try again later.")


class ServiceError(Exception):
    """A refusal with a sentence for the person and a stable code for the program.

    ``retry_after`` is in seconds; further keywords become keys of the answer's body.
    """

    status = 500
    code = UNEXPECTED[0]
    message = UNEXPECTED[1]

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        status: int | None = None,
        retry_after: int | None = None,
        **extra: Any,
    ) -> None:
        self.message = message or self.message
        self.code = code or self.code
        self.status = status or self.status
        self.retry_after = retry_after
        self.extra = extra
        super().__init__(self.message)


class BadInput(ServiceError):
    status, code, message = 400, *SENTENCES[400]


class NothingToUpdate(BadInput):
    code, message = "nothing_to_update", "No fields to update"


class Unauthorized(ServiceError):
    status, code, message = 401, *SENTENCES[401]


class Forbidden(ServiceError):
    status, code, message = 403, *SENTENCES[403]


class NotFound(ServiceError):
    status, code, message = 404, "not_found", "Not found"

    @classmethod
    def of(cls, thing: str) -> "NotFound":
        """``NotFound.of("Booking")``: "Booking not found", ``booking_not_found``."""
        return cls(f"{thing} not found", code=f"{thing.lower()}_not_found")


class ReadOnly(ServiceError):
    status, code, message = 405, *SENTENCES[405]


class Conflict(ServiceError):
    status, code, message = 409, "conflict", "This conflicts with what is stored already."


class BadGateway(ServiceError):
    status, code, message = 502, "bad_gateway", "A service we depend on refused. Please try again later."


class KeyRefused(ServiceError):
    """The database does not take the service's own key; the caller has no part in it."""


class FunctionMissing(ServiceError):
    """The database lacks the function that was called: its migrations are older than this code."""


class Unavailable(ServiceError):
    status, code, message = 503, "unavailable", "The service is busy or being maintained. Please try again later."

    def __init__(self, message: str | None = None, *, retry_after: int = 5, **extra: Any) -> None:
        super().__init__(message, retry_after=retry_after, **extra)


def init_app(app: Flask) -> None:
    app.register_error_handler(ServiceError, answer_service_error)
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(Exception, answer_unexpected)
    app.after_request(stay_on_this_host)


def answer_service_error(error: ServiceError) -> Response:
    response = jsonify({"error": error.message, "code": error.code, **error.extra})
    response.status_code = error.status
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def answer_http_error(error: HTTPException) -> BaseResponse:
    """From the error's own response, so that Allow, Retry-After and the like survive."""
    response = error.get_response()
    if error.code is not None and error.code < 400:
        return response
    code, sentence = SENTENCES.get(error.code or 500, UNEXPECTED)
    body: dict[str, object] = {"error": sentence, "code": code}
    messages = getattr(error, "data", {}).get("messages")
    if messages:
        body = _validation_body(messages)
    answer = jsonify(body)
    response.data, response.content_type = answer.data, answer.content_type
    return response


def answer_unexpected(error: Exception) -> Response:
    log.exception("unexpected error", extra={"path": request.path})
    return answer_service_error(ServiceError())


def stay_on_this_host(response: Response) -> Response:
    """The router's own redirects, of two slashes in an address to one, would name whatever host the caller named."""
    if response.status_code == 308:
        response.location = urlunsplit(urlsplit(response.location or "/")._replace(scheme="", netloc=""))
        response.data = b""
    return response


def _validation_body(messages: dict[str, Any]) -> dict[str, object]:
    """webargs' {"json": {"email": ["…"]}} as our body: the first sentence, and all of them under ``details``."""
    details: dict[str, str] = {}
    for by_field in messages.values():
        if not isinstance(by_field, dict):
            return {"error": _sentence(by_field), "code": "invalid_json"}
        for field, found in by_field.items():
            details["body" if field == "_schema" else str(field)] = _sentence(found)
    field, sentence = next(iter(details.items()))
    error = sentence if field == "body" else f"{field}: {sentence}"
    return {"error": error, "code": "validation_failed", "details": details}


def _sentence(found: Any) -> str:
    """The first text in what marshmallow says of a field: a list, or nested by index and key."""
    while not isinstance(found, str):
        found = next(iter(found.values())) if isinstance(found, dict) else found[0]
    return found
