"""What every answer tells a browser, unless a view says otherwise: keep nothing, guess nothing, come by HTTPS."""

from flask import Flask, Response, request

from service.config import config
from service.site.policy import hashes_of

A_YEAR = 31536000  # seconds
# The page that shows the API: its own scripts and styles, and calls of this origin; in nobody's frame.
DOCS = "api-docs.openapi_swagger_ui"
DOCS_POLICY = (
    "default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def init_app(app: Flask) -> None:
    app.after_request(_add)


def _add(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if config.is_production:
        headers["Strict-Transport-Security"] = f"max-age={A_YEAR}"
    if request.endpoint == DOCS:
        headers["Content-Security-Policy"] = DOCS_POLICY.format(hashes=" ".join(hashes_of(response.get_data())))
        headers["X-Frame-Options"] = "DENY"
    return response
