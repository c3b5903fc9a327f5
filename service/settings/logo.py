"""The site's logo: a picture in Supabase Storage, its address among the general settings."""

import uuid

from flask import request
from marshmallow import fields

from service.api import Answer, DoneSchema
from service.errors import BadInput, ServiceError
from service.guards import staff_required
from service.settings import blueprint, storage, store
from service.settings.entries import SettingRowSchema
from service.settings.shapes import ChangedLogo

MAX_BYTES = 5_000_000
# By content, never by what the browser says: the first bytes, the ending, the type to serve it with.
KINDS = (
    (b"\xff\xd8\xff", b"", "jpg", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", b"", "png", "image/png"),
    (b"GIF87a", b"", "gif", "image/gif"),
    (b"GIF89a", b"", "gif", "image/gif"),
    (b"RIFF", b"WEBP", "webp", "image/webp"),
)


class LogoSchema(DoneSchema):
    logoUrl = fields.String(allow_none=True)
    data = fields.List(fields.Nested(SettingRowSchema), metadata={"description": "The general settings"})


@blueprint.post("/logo")
@staff_required("settings_edit")
@blueprint.response(200, LogoSchema)
@blueprint.doc(
    requestBody={
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"logo": {"type": "string", "format": "binary"}}}
            }
        }
    }
)
def upload_logo() -> Answer:
    """Upload the logo

    A JPEG, PNG, GIF or WebP of at most 5 MB, as the part `logo` of a form. The other general settings stay.
    """
    content = _picture()
    ending, media_type = _kind(content)
    path = f"logos/{uuid.uuid4().hex}.{ending}"
    url = storage.upload(path, content, media_type)
    changed = store.set_logo(url)
    storage.remove(changed["previous"])
    return {"success": True, "logoUrl": url, "message": "Logo uploaded successfully", "data": _rows(changed)}


@blueprint.delete("/logo")
@staff_required("settings_edit")
@blueprint.response(200, LogoSchema)
def delete_logo() -> Answer:
    """Take the logo away; the other general settings stay"""
    changed = store.set_logo(None)
    storage.remove(changed["previous"])
    return {"success": True, "logoUrl": None, "message": "Logo deleted successfully", "data": _rows(changed)}


def _rows(changed: ChangedLogo) -> list[dict[str, object]]:
    return [{"key": "general_settings", "value": changed["settings"]}]


def _picture() -> bytes:
    request.max_content_length = MAX_BYTES + 100_000  # the picture and the form around it
    part = request.files.get("logo")
    if part is None:
        raise BadInput("Send the picture as the form's part `logo`.", code="logo_missing")
    content = part.stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ServiceError("The logo is larger than 5 MB.", code="too_large", status=413)
    return content


def _kind(content: bytes) -> tuple[str, str]:
    for start, at_eight, ending, media_type in KINDS:
        if content.startswith(start) and content[8:].startswith(at_eight):
            return ending, media_type
    raise BadInput("The logo must be a JPEG, PNG, GIF or WebP picture.", code="logo_kind")
