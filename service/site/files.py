"""The files of the built site (FRONTEND_DIST), served by WhiteNoise: none hidden, none outside, text compressed."""

import functools
import gzip
import hashlib
import os
import re
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import cast
from wsgiref.headers import Headers

from flask import Response, request
from werkzeug.wsgi import wrap_file
from whitenoise import WhiteNoise
from whitenoise.responders import MissingFileError, StaticFile

from service.config import Config, config
from service.cookies import own_origin
from service.site.policy import policy_of

# The names that build tools give change with the content: /assets/index-BfX3kd92.js, /static/main.1a2b3c4d5e.css.
# Others may look alike: /photos/winter-20240101.jpg.
HASHED = re.compile(
    r"/(assets|static)/.*[-.](?=[\w-]*[a-zA-Z])(?=[\w-]*[0-9A-Z])([\w-]{8}|[0-9a-f]{8,64})\.[a-z0-9]+\Z", re.ASCII
)
ENCODINGS = ("br", "gzip")
COMPRESSIBLE = re.compile(r"text/|application/(json|javascript|manifest\+json|xml|wasm)|image/svg\+xml")


class Files(WhiteNoise):
    """Finds files by their addresses: in production those that were there at the start."""

    def __init__(self, root: str, config: Config) -> None:
        self.root = Path(root).resolve()
        self.compressed = tempfile.mkdtemp(prefix="site-")
        weakref.finalize(self, shutil.rmtree, self.compressed, ignore_errors=True)
        super().__init__(None, str(self.root), allow_all_origins=False, autorefresh=not config.is_production)

    def find(self, address: str) -> StaticFile | None:
        """The file at an address, for ``serve``."""
        found = self.find_file(address) if self.autorefresh else self.files.get(address)
        return cast(StaticFile | None, found)

    def add_file_to_dictionary(self, url: str, path: str, stat_cache: object = None) -> None:
        try:
            super().add_file_to_dictionary(url, path, stat_cache)
        except MissingFileError:
            pass  # one that get_static_file refuses

    def get_static_file(self, path: str, url: str, stat_cache: object = None) -> StaticFile:
        if any(part.startswith(".") and part != ".well-known" for part in url.split("/")):
            raise MissingFileError(path)
        found: StaticFile = super().get_static_file(path, url, stat_cache)
        if not Path(path).resolve().is_relative_to(self.root):  # by a link
            raise MissingFileError(path)
        if len(found.alternatives) > 1 or not COMPRESSIBLE.match(self.media_types.get_type(path)):
            return found
        ((_, _, headers),) = found.alternatives
        return StaticFile(path, headers, encodings={"gzip": compress(path, self.compressed)})

    def add_mime_headers(self, headers: Headers, path: str, url: str) -> None:
        media_type = self.media_types.get_type(path)
        headers["Content-Type"] = f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type
        headers["X-Content-Type-Options"] = "nosniff"
        if media_type == "text/html":
            headers["Referrer-Policy"] = "strict-origin-when-cross-origin"

    def add_cache_headers(self, headers: Headers, path: str, url: str) -> None:
        headers["Cache-Control"] = "public, max-age=31536000, immutable" if HASHED.search(url) else "no-cache"
        if COMPRESSIBLE.match(self.media_types.get_type(path)):
            # By content: the pages of two builds are of one length and, unpacked from an archive, of one time.
            headers["ETag"] = f'W/"{hash_of(path, os.stat(path).st_ctime_ns)}"'


@functools.lru_cache(maxsize=1000)
def hash_of(path: str, changed_at: int) -> str:
    """SHA-256 of what a file holds. ``changed_at`` makes it be read anew."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def compress(path: str, folder: str) -> str:
    """The path of a file's compressed copy, named by the hash of what it holds; made where it is missing."""
    copy = Path(folder, f"{hash_of(path, os.stat(path).st_ctime_ns)}.gz")
    if not copy.exists():
        copy.write_bytes(gzip.compress(Path(path).read_bytes(), mtime=0))
    return str(copy)


def serve(found: StaticFile) -> Response:
    """A file as the caller can read it, or 304, or the part that was asked for."""
    accepted = [encoding for encoding in ENCODINGS if request.accept_encodings.quality(encoding) > 0]
    answer = found.get_response(request.method, {**request.environ, "HTTP_ACCEPT_ENCODING": ", ".join(accepted)})
    body = wrap_file(request.environ, answer.file) if answer.file else None
    response = Response(body, answer.status, answer.headers, direct_passthrough=True)
    if "Content-Type" not in dict(answer.headers):  # Flask's own would go over that of the copy which a 304 confirms
        del response.headers["Content-Type"]
    elif response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = policy_of(_original(found), config, own_origin())
    return response


def _original(found: StaticFile) -> Path:
    """The file itself, not one of its compressed copies."""
    return next(Path(path) for _, path, headers in found.alternatives if "Content-Encoding" not in dict(headers))
