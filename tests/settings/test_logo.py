"""The logo: stored by content, its address among the general settings, which stay."""

import httpx
import psycopg
import pytest

from tests.client import Client

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
PICTURES = {
    "jpg": (b"\xff\xd8\xff\xe0" + b"\0" * 50, "image/jpeg"),
    "png": (PNG, "image/png"),
    "gif": (b"GIF89a" + b"\0" * 50, "image/gif"),
    "webp": (b"RIFF\x24\0\0\0WEBPVP8 " + b"\0" * 50, "image/webp"),
}


def upload(api: Client, content: bytes, *, name: str = "logo.png", part: str = "logo", expect: int = 200) -> dict:
    """Send the form; written by hand, as the test client leaves the temporary files of large ones open."""
    head = f'--edge\r\nContent-Disposition: form-data; name="{part}"; filename="{name}"\r\n'
    form = head.encode() + b"Content-Type: text/html\r\n\r\n" + content + b"\r\n--edge--\r\n"
    kind = "multipart/form-data; boundary=edge"
    return api.post("/api/settings/logo", data=form, content_type=kind, expect=expect)


@pytest.mark.parametrize("ending", PICTURES)
def test_a_logo_is_stored_and_the_other_settings_stay(ending: str, staff, db: psycopg.Connection):
    admin = staff().api
    content, media_type = PICTURES[ending]
    admin.put(
        "/api/settings/general_settings", {"value": {"siteName": "JKLG", "logoUrl": "https://elsewhere.example/x"}}
    )
    body = upload(admin, content, name="evil.html")
    assert (body["success"], body["message"]) == (True, "Logo uploaded successfully")
    logo = {"logoUrl": body["logoUrl"], "logoFileName": body["logoUrl"].rpartition("/")[2]}
    assert body["data"] == [{"key": "general_settings", "value": {"siteName": "JKLG", **logo}}]
    assert "/storage/v1/object/public/site-assets/logos/" in body["logoUrl"]
    assert body["logoUrl"].endswith(f".{ending}")
    served = httpx.get(body["logoUrl"])
    assert (served.status_code, served.content, served.headers["Content-Type"]) == (200, content, media_type)
    assert admin.get("/api/settings/general_settings") == {"general_settings": body["data"][0]["value"]}


def test_another_logo_replaces_the_first(staff):
    admin = staff().api
    first, second = upload(admin, PNG)["logoUrl"], upload(admin, PNG)["logoUrl"]
    assert first != second
    assert httpx.get(first).status_code >= 400
    assert httpx.get(second).status_code == 200


def test_a_logo_is_taken_away(staff):
    admin = staff().api
    admin.put("/api/settings/general_settings", {"value": {"siteName": "JKLG"}})
    url = upload(admin, PNG)["logoUrl"]
    body = admin.delete("/api/settings/logo")
    left = {"siteName": "JKLG", "logoUrl": None, "logoFileName": None}
    assert (body["success"], body["data"]) == (True, [{"key": "general_settings", "value": left}])
    assert httpx.get(url).status_code >= 400
    admin.delete("/api/settings/logo")


@pytest.mark.parametrize(
    "content", [b"", b"<svg onload=alert(1)>", b"<html>", b"RIFF\x24\0\0\0AVI ", PNG[1:], b"MZ" + PNG]
)
def test_what_is_no_picture_is_refused(content: bytes, staff):
    body = upload(staff().api, content, name="logo.png", expect=400)
    assert body == {"error": "The logo must be a JPEG, PNG, GIF or WebP picture.", "code": "logo_kind"}


def test_too_large_a_picture_is_refused(staff):
    admin = staff().api
    assert upload(admin, PNG + b"\0" * 5_000_000, expect=413)["code"] == "too_large"
    assert upload(admin, PNG + b"\0" * 7_000_000, expect=413)["code"] == "too_large"
    upload(admin, PNG + b"\0" * (5_000_000 - len(PNG)))


def test_a_form_without_the_picture(staff):
    admin = staff().api
    assert upload(admin, PNG, part="file", expect=400)["code"] == "logo_missing"
    assert admin.post("/api/settings/logo", {}, expect=400)["code"] == "logo_missing"
