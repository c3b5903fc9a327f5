"""Serves the built site (FRONTEND_DIST), so that it and the API share one origin; else a page saying what this is.

A file of the site is looked for where the API has no such address, so the API's own answers (405, 401 …) stay.
"""

import base64
import functools
import hashlib
import mimetypes
import os
import re
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, request, send_file
from werkzeug.exceptions import NotFound
from werkzeug.utils import safe_join

from service import errors
from service.config import settings

API = ("api", "rest", "customers")  # first parts of addresses that are the API's
PAGES_TOO = ("customers",)  # of these, what a browser may also open as a page of the site
# A build tool's names change with the content: index-BfX3kd92.js, main.1a2b3c4d.css.
HASHED = re.compile(r"[-.](?=[\w-]*[0-9A-Z])[\w-]{8,}\.[a-z0-9]+\Z", re.ASCII)
FOREIGN_SCRIPT = re.compile(rb"<script[^>]*\bsrc\s*=\s*[\"']?(https://[^/\"'\s>]+)", re.IGNORECASE)
FOREIGN_STYLE = re.compile(rb"<link[^>]*\bhref\s*=\s*[\"']?(https://[^/\"'\s>]+)[^>]*>", re.IGNORECASE)
INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\bsrc\s*=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
TYPES = {  # where the machine's own table may be missing or wrong
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain",
}
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
    app.register_error_handler(NotFound, answer_missing)
    if app.extensions["settings"].frontend_dist:
        app.before_request(open_page)


def answer_missing(error: NotFound) -> Response:
    """A file or a page of the site where the API has no such address."""
    if request.method not in ("GET", "HEAD") or _first_part() in API:
        return errors.answer_http_error(error)
    if not settings.frontend_dist:
        return _welcome() if request.path == "/" else errors.answer_http_error(error)
    path = _file(Path(settings.frontend_dist), request.path)
    if path is not None:
        return _with_headers(path, is_hashed=bool(HASHED.search(path.name)))
    # A file that is gone must not become a page: a browser would take the HTML for the script it asked for.
    if Path(request.path).suffix and not _wants_page():
        return errors.answer_http_error(error)
    return _index()


def open_page() -> Response | None:
    """The page, when a browser opens an address that is both one of the API and one of the site's own pages."""
    if request.method in ("GET", "HEAD") and _first_part() in PAGES_TOO and _wants_page():
        return _index()
    return None


def _first_part() -> str:
    return request.path.lstrip("/").partition("/")[0]


def _wants_page() -> bool:
    """Whether a person opens the address: browsers then ask for text/html, scripts for */* or JSON."""
    return "text/html" in request.headers.get("Accept", "")


def _file(root: Path, address: str) -> Path | None:
    """The site's file at an address; None for none, a hidden one, and one outside the folder by whatever way."""
    parts = address.lstrip("/")
    if "\0" in parts or any(part.startswith(".") and part != ".well-known" for part in parts.split("/")):
        return None
    joined = safe_join(os.fspath(root), parts)
    if joined is None or not os.path.isfile(joined):
        return None
    path = Path(joined).resolve()
    return path if path.is_relative_to(root.resolve()) else None


def _index() -> Response:
    return _with_headers(Path(settings.frontend_dist or "").resolve() / "index.html")


def _with_headers(path: Path, is_hashed: bool = False) -> Response:
    sibling, encoding = _encoded(path)
    media_type = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    response = send_file(sibling, mimetype=media_type, conditional=True)
    if encoding:
        response.headers["Content-Encoding"] = encoding
    if any(path.with_name(path.name + ending).is_file() for _, ending in ENCODINGS):
        response.vary.add("Accept-Encoding")
    response.headers["X-Content-Type-Options"] = "nosniff"
    if is_hashed:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    else:
        response.headers["Cache-Control"] = "no-cache"
    if media_type == "text/html":
        response.headers["Content-Security-Policy"] = _policy(path)
        response.headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
    return response


def _encoded(path: Path) -> tuple[Path, str | None]:
    """The compressed sibling of a file that the caller can read best, or the file itself."""
    for encoding, ending in ENCODINGS:
        sibling = path.with_name(path.name + ending)
        if request.accept_encodings.quality(encoding) > 0 and sibling.is_file():
            return sibling, encoding
    return path, None


def _policy(page: Path) -> str:
    local = settings.stripe_api_base if not settings.is_production else None
    return content_security_policy(
        page, page.stat().st_mtime_ns, settings.supabase_url, settings.frontend_url, local and local.rstrip("/")
    )


@functools.lru_cache(maxsize=32)
def content_security_policy(
    page: Path, changed_at: int, supabase_url: str, frontend_url: str, local_stripe: str | None
) -> str:
    """What a page of the site may load: itself, Supabase, Stripe, and pictures, fonts and frames from anywhere secure.

    What the built page names itself is the site's own choice: its inline scripts are allowed by the hashes of their
    texts, other hosts of scripts and styles by name (``changed_at`` makes the page be read anew).
    Stripe's hosts: https://docs.stripe.com/security/guide#content-security-policy
    """
    supabase = "{0.scheme}://{0.netloc}".format(urlsplit(supabase_url))
    stripe = ["https://js.stripe.com", "https://*.js.stripe.com"]
    local = [local_stripe] if local_stripe else []
    html = page.read_bytes()
    inline = [hashlib.sha256(text).digest() for text in INLINE_SCRIPT.findall(html)]
    scripts, styles = ([host.decode() for host in found.findall(html)] for found in (FOREIGN_SCRIPT, FOREIGN_STYLE))
    hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in inline]
    api = [supabase, supabase.replace("http", "ws", 1), "https://api.stripe.com", frontend_url]
    rules = {
        "default-src": ["'self'"],
        "script-src": ["'self'", *hashes, *stripe, *local, *scripts],
        "style-src": ["'self'", "'unsafe-inline'", "https://fonts.googleapis.com", *styles],
        "font-src": ["'self'", "data:", "https:"],
        "img-src": ["'self'", "data:", "blob:", "https:", supabase],
        "media-src": ["'self'", "data:", "blob:", "https:"],
        "connect-src": ["'self'", *api, *stripe, *local],
        "frame-src": ["'self'", "https:", *local],  # Stripe's own, and a map or a film in a page
        "worker-src": ["'self'", "blob:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'"],
    }
    return "; ".join(f"{name} {' '.join(dict.fromkeys(sources))}" for name, sources in rules.items())


def _welcome() -> Response:
    response = Response(WELCOME.format(frontend_url=escape(settings.frontend_url)), mimetype="text/html")
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    )
    response.headers["Cache-Control"] = "no-cache"
    return response
