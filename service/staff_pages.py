"""Our own pages, for staff and of mailed links: each one file of HTML and one of JavaScript, and nothing else."""

from pathlib import Path

from flask import Blueprint, Response

from service.guards import View, public

blueprint = Blueprint("staff_pages", __name__)  # pages are no part of the API

# No script but its own file, no frame around it; and no form that a browser would send without the script, as a
# password would then stand in the address.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def add_page(name: str, html: Path, folder: str = "staff") -> None:
    """Serve a page at /<folder>/<name>, and the script beside it at that and .js, to anybody: they hold no data."""
    for path, file, mimetype in (
        (f"/{folder}/{name}", html, "text/html"),
        (f"/{folder}/{name}.js", html.with_suffix(".js"), "text/javascript"),
    ):
        blueprint.add_url_rule(path, path.rpartition("/")[2].replace(".", "-"), _view(file.read_text(), mimetype))


def _view(text: str, mimetype: str) -> View:
    @public
    def show() -> Response:
        response = Response(text, mimetype=mimetype)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"  # a page and a script of two releases do not fit
        return response

    return show
