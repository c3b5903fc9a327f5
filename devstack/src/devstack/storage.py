"""Just enough of Supabase Storage for its Python client: buckets, uploads, public and signed-in downloads, removal.

No name of a request ever becomes a path: an object lies under the hash of its bucket and name, its description
beside it as JSON.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jwt

from devstack.postgrest.answers import Answer
from devstack.postgrest.app import Receive, read_body
from devstack.postgrest.errors import ApiError
from devstack.postgrest.handlers import Request

MAX_FILE = 50_000_000


class StorageError(Exception):
    """A refusal in the shape of Supabase Storage: `code` is what the client shows as statusCode."""

    def __init__(self, status: int, code: str, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.error, self.message = status, code, error, message


class Storage:
    """Buckets and objects in a folder; `secret` is that of the tokens."""

    def __init__(self, folder: Path, secret: bytes) -> None:
        self._folder, self._secret = folder, secret
        self._objects = folder / "objects"

    async def respond(self, request: Request, receive: Receive) -> Answer:
        """Answer one request below /storage/v1."""
        try:
            request.body = await read_body(request, receive, MAX_FILE)
            return await asyncio.to_thread(self._dispatch, request)
        except ApiError as error:
            refusal = StorageError(error.status, str(error.status), "Payload too large", error.message)
        except StorageError as error:
            refusal = error
        body = {"statusCode": refusal.code, "error": refusal.error, "message": refusal.message}
        return _json(body, refusal.status)

    def _dispatch(self, request: Request) -> Answer:
        writes = request.method not in ("GET", "HEAD")
        match request.method, *(unquote(part) for part in request.path.strip("/").split("/")):
            case "GET" | "HEAD", "object", "public", bucket, *path if path:
                return self._download(request, bucket, "/".join(path), public=True)
            case "GET" | "HEAD", "object", "info", bucket, *path if path:
                return self._info(request, bucket, "/".join(path))
            case method, "object", "list", bucket if method == "POST":
                self._require_service(request)
                return self._list(bucket, _object(request))
            case method, "object", bucket if method == "DELETE":
                self._require_service(request)
                return self._remove(bucket, _object(request).get("prefixes", []))
            case "POST" | "PUT", "object", bucket, *path if path:
                self._require_service(request)
                return self._upload(request, bucket, "/".join(path))
            case "GET" | "HEAD", "object", *rest if len(rest) > 1:
                bucket, *path = rest[1:] if rest[0] == "authenticated" else rest
                self._require_service(request)
                return self._download(request, bucket, "/".join(path), public=False)
            case method, "bucket", *rest:
                self._require_service(request)
                return self._bucket(method, rest, _object(request) if writes else {})
        raise StorageError(404, "404", "not_found", f"Route {request.method}:{request.path} not found")

    def _require_service(self, request: Request) -> None:
        token = request.headers.get("authorization", "").partition(" ")[2]
        try:
            claims = jwt.decode(token, self._secret, ["HS256"], options={"verify_aud": False})
        except jwt.InvalidTokenError:
            raise StorageError(400, "403", "Unauthorized", "Invalid Compact JWS") from None
        if claims.get("role") != "service_role":
            raise StorageError(400, "403", "Unauthorized", "new row violates row-level security policy")

    # --- buckets ---

    def _buckets(self) -> dict[str, dict[str, Any]]:
        try:
            return json.loads((self._folder / "buckets.json").read_bytes())
        except FileNotFoundError:
            return {}

    def _known_bucket(self, name: str) -> dict[str, Any]:
        bucket = self._buckets().get(name)
        if bucket is None:
            raise StorageError(400, "404", "Bucket not found", "Bucket not found")
        return bucket

    def _bucket(self, method: str, rest: list[str], body: dict[str, Any]) -> Answer:
        if not rest:
            return _json(list(self._buckets().values())) if method == "GET" else self._create_bucket(method, body)
        bucket = self._known_bucket(rest[0])
        if method == "GET":
            return _json(bucket)
        if rest[1:] == ["empty"]:
            self._remove(rest[0], [name for name, _ in self._described(rest[0])])
            return _json({"message": "Successfully emptied"})
        if method == "PUT":
            changed = {key: body[key] for key in ("public", "file_size_limit", "allowed_mime_types") if key in body}
            self._keep_buckets(lambda buckets: buckets[rest[0]].update(changed))
            return _json({"message": "Successfully updated"})
        if self._described(rest[0]):
            raise StorageError(400, "409", "InvalidRequest", "The bucket you tried to delete is not empty")
        self._keep_buckets(lambda buckets: buckets.pop(rest[0]))
        return _json({"message": "Successfully deleted"})

    def _create_bucket(self, method: str, body: dict[str, Any]) -> Answer:
        name = str(body.get("id") or body.get("name") or "")
        if method != "POST" or not name or "/" in name:
            raise StorageError(400, "400", "InvalidRequest", "The bucket needs a name without slashes")
        if name in self._buckets():
            raise StorageError(400, "409", "Duplicate", "The resource already exists")
        limits = {key: body.get(key) for key in ("file_size_limit", "allowed_mime_types")}
        made = {"id": name, "name": name, "owner": "", "public": bool(body.get("public")), "created_at": _now()}
        self._keep_buckets(lambda buckets: buckets.update({name: {**made, "updated_at": made["created_at"], **limits}}))
        return _json({"name": name})

    def _keep_buckets(self, change: Callable[[dict[str, Any]], object]) -> None:
        buckets = self._buckets()
        change(buckets)
        _write(self._folder / "buckets.json", json.dumps(buckets).encode())

    # --- objects ---

    def _place(self, bucket: str, name: str) -> Path:
        return self._objects / hashlib.sha256(f"{bucket}/{name}".encode()).hexdigest()

    def _described(self, bucket: str) -> list[tuple[str, dict[str, Any]]]:
        found = (json.loads(path.read_bytes()) for path in self._objects.glob("*.json"))
        return sorted((about["name"], about) for about in found if about["bucket"] == bucket)

    def _upload(self, request: Request, bucket: str, name: str) -> Answer:
        self._known_bucket(bucket)
        place = self._place(bucket, name)
        exists, upsert = place.exists(), request.headers.get("x-upsert") == "true"
        if request.method == "POST" and exists and not upsert:
            raise StorageError(400, "409", "Duplicate", "The resource already exists")
        if request.method == "PUT" and not exists:
            raise StorageError(400, "404", "not_found", "Object not found")
        content, media_type, cache = _file(request)
        about = {"bucket": bucket, "name": name, "type": media_type, "cache": cache, "size": len(content), "at": _now()}
        _write(place, content)
        _write(place.with_suffix(".json"), json.dumps(about).encode())
        return _json({"Id": place.name, "Key": f"{bucket}/{name}"})

    def _about(self, bucket: str, name: str) -> dict[str, Any]:
        try:
            return json.loads(self._place(bucket, name).with_suffix(".json").read_bytes())
        except FileNotFoundError:
            raise StorageError(400, "404", "not_found", "Object not found") from None

    def _download(self, request: Request, bucket: str, name: str, public: bool) -> Answer:
        if public and not self._known_bucket(bucket)["public"]:
            raise StorageError(400, "404", "Bucket not found", "Bucket not found")
        about = self._about(bucket, name)
        headers = [
            ("Content-Type", about["type"]),
            ("Cache-Control", about["cache"]),
            ("X-Content-Type-Options", "nosniff"),
        ]
        body = b"" if request.method == "HEAD" else self._place(bucket, name).read_bytes()
        return Answer(200, headers, body)

    def _info(self, request: Request, bucket: str, name: str) -> Answer:
        self._require_service(request)
        about = self._about(bucket, name)
        return _json({"name": name, "bucket_id": bucket, "size": about["size"], "content_type": about["type"]})

    def _list(self, bucket: str, body: dict[str, Any]) -> Answer:
        prefix = str(body.get("prefix") or "").strip("/")
        start = f"{prefix}/" if prefix else ""
        rows = [
            {"name": name.removeprefix(start), "metadata": {"size": about["size"], "mimetype": about["type"]}}
            for name, about in self._described(bucket)
            if name.startswith(start)
        ]
        return _json(rows[: int(body.get("limit") or 100)])

    def _remove(self, bucket: str, names: list[str]) -> Answer:
        self._known_bucket(bucket)
        removed = []
        for name in names:
            place = self._place(bucket, str(name))
            if place.exists():
                removed.append({"name": name, "bucket_id": bucket})
            place.unlink(missing_ok=True)
            place.with_suffix(".json").unlink(missing_ok=True)
        return _json(removed)


def _object(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(request.body or b"{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise StorageError(400, "400", "InvalidRequest", "The body must be a JSON object")
    return value


def _file(request: Request) -> tuple[bytes, str, str]:
    """Return content, media type and Cache-Control of an upload, sent as a form or as the body itself."""
    media_type = request.headers.get("content-type", "application/octet-stream")
    cache = request.headers.get("cache-control", "max-age=3600")
    if not media_type.startswith("multipart/form-data"):
        return request.body, media_type, cache
    message = message_from_bytes(
        f"Content-Type: {media_type}\r\n\r\n".encode("latin-1", "replace") + request.body, policy=policy.HTTP
    )
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        if name == "cacheControl":
            cache = f"max-age={int(part.get_content().strip() or 3600)}"
        if part.get_filename() is not None:
            content = part.get_payload(decode=True)
            return content if isinstance(content, bytes) else b"", part.get_content_type(), cache
    raise StorageError(400, "400", "InvalidRequest", "The form holds no file")


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    draft.write_bytes(content)
    draft.replace(path)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, [("Content-Type", "application/json; charset=utf-8")], json.dumps(value).encode())
