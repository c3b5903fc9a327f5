"""Pictures in Supabase Storage, through supabase-py's storage client."""

import logging
from collections.abc import Callable

import httpx
from storage3.exceptions import StorageApiError
from storage3.types import FileOptions

from service.database import client
from service.errors import BadGateway, Unavailable

log = logging.getLogger(__name__)

BUCKET = "site-assets"
A_YEAR = "31536000"  # seconds; a new picture gets a new name


def upload(path: str, content: bytes, media_type: str) -> str:
    """Keep a picture; its public address. Makes the bucket where it is missing.

    Raises ``BadGateway`` when Storage refuses it, ``Unavailable`` when Storage cannot be reached.
    """
    options: FileOptions = {"content-type": media_type, "cache-control": A_YEAR}
    bucket = client().storage.from_(BUCKET)

    def send() -> None:
        try:
            bucket.upload(path, content, options)
        except StorageApiError as error:
            if "bucket not found" not in error.message.lower():
                raise
            client().storage.create_bucket(BUCKET, options={"public": True})
            bucket.upload(path, content, options)

    _translated(send)
    return bucket.get_public_url(path)


def remove(url: str | None) -> None:
    """Remove a picture that is no longer shown. One that cannot be removed stays behind, unseen."""
    _, found, path = (url or "").partition(f"/object/public/{BUCKET}/")
    if not (found and path.startswith("logos/")):
        return
    try:
        client().storage.from_(BUCKET).remove([path.partition("?")[0]])
    except (StorageApiError, httpx.HTTPError) as error:
        log.warning("an old logo stays in storage", extra={"path": path, "cause": repr(error)})


def _translated(send: Callable[[], object]) -> None:
    try:
        send()
    except StorageApiError as error:
        log.error("storage refused", extra={"cause": error.message, "storage_code": error.code})
        raise BadGateway("The picture could not be stored. Please try again later.", code="storage_refused") from error
    except httpx.HTTPError as error:
        log.error("storage unreachable", extra={"cause": repr(error)})
        raise Unavailable(code="storage_unavailable") from error
