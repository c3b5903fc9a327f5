"""Pages and files of the site where the API has no such address; without a site, a page saying what this is.

The API's own answers (405, 401 …) stay.
"""

import re
from html import escape
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, redirect, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as BaseResponse

from service import errors
from service.config import Config, config
from service.site.files import Files, serve

# Addresses that are the API's, and those of Supabase that the service does not have: a page in place of an answer makes
# supabase-js stumble over its HTML.
API = re.compile(r"/+(api|rest|customers|(auth|storage|realtime|functions|graphql)/v1)(/|\Z)")
PAGES_TOO = re.compile(r"/+customers(/|\Z)")  # of these, what a browser may also open as a page of the site
WELCOME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>JKLG Travel: the backend</title>
<style>
  body {{ font: 17px/1.6 system-ui, sans-serif; max-width: 36rem; margin: 14vh auto; padding: 0 1rem; color: #1d2b2a }}
  a {{ color: #14635c }}
</style>
<h1>JKLG Travel: the backend</h1>
<p>The API of the travel site: customers, bookings, payments and mail, directly over Supabase.</p>
<ul>
  <li><a href="/api/docs">What it can do</a>, to read and to try out (<a href="/api/openapi.json">OpenAPI</a>)</li>
  <li><a href="/api/ready">Whether everything it needs is there</a></li>
  <li>The site itself: <a href="{frontend_url}">{frontend_url}</a>. It is served here when FRONTEND_DIST names its
    built folder.</li>
</ul>
</html>
"""


def init_app(app: Flask) -> None:
    config: Config = app.extensions["config"]
    app.register_error_handler(NotFound, answer_missing)
    if config.frontend_dist:
        app.extensions["site"] = Files(config.frontend_dist, config)
        app.before_request(open_page)


def answer_missing(error: NotFound) -> BaseResponse:
    """A file or a page of the site where the API has no such address."""
    if request.method not in ("GET", "HEAD") or API.match(request.path):
        return errors.answer_http_error(error)
    if not config.frontend_dist:
        return _welcome() if request.path == "/" else errors.answer_http_error(error)
    if found := _files().find(request.path):
        return serve(found)
    # A file that is gone must not become a page: a browser would take the HTML for the script it asked for.
    if Path(request.path).suffix and not _wants_page():
        return errors.answer_http_error(error)
    return _index()


def open_page() -> BaseResponse | None:
    """The page, when a browser opens an address that is both one of the API and one of the site's own pages."""
    if request.method in ("GET", "HEAD") and PAGES_TOO.match(request.path) and _wants_page():
        return _index()
    return None


def _files() -> Files:
    return cast(Files, current_app.extensions["site"])


def _wants_page() -> bool:
    """Whether a person opens the address: browsers then ask for text/html, scripts for */* or JSON."""
    return "text/html" in request.headers.get("Accept", "")


def _index() -> BaseResponse:
    if _wants_page() and _is_other_name():
        return redirect(config.frontend_url + request.full_path.rstrip("?"))
    index = _files().find("/index.html")
    return serve(index) if index else errors.answer_http_error(NotFound())  # it was there at the start


def _is_other_name() -> bool:
    """Whether somebody who develops asked for the page by the other name of this machine.

    There the cookies and the mailed links would be those of another site, and built pages call the one that
    they were built for.
    """
    own = urlsplit(config.frontend_url).netloc
    others = {own.replace("localhost", "127.0.0.1"), own.replace("127.0.0.1", "localhost")} - {own}
    return not config.is_production and request.host in others


def _welcome() -> Response:
    response = Response(WELCOME.format(frontend_url=escape(config.frontend_url)), mimetype="text/html")
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    )
    response.headers["Cache-Control"] = "no-cache"
    return response
