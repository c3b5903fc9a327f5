"""Pictures that are something else as well: what staff uploads is kept and served as the picture that it begins as."""

import io
import zipfile

import httpx
import psycopg
import pytest
from flask import Flask

from tests.client import Client
from tests.settings.test_logo import PICTURES, upload

SCRIPT = b"<script>alert(document.cookie)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
NO_PICTURES = {
    "svg": SVG,
    "svg with a head": b'<?xml version="1.0"?>' + SVG,
    "svg after space": b"\n \t" + SVG,
    "svg after a byte order mark": b"\xef\xbb\xbf" + SVG,
    "html": b"<!doctype html>" + SCRIPT,
    "html in utf-16": ("<html>" + SCRIPT.decode()).encode("utf-16"),
    "javascript": b"alert(1)//",
    "pdf": b"%PDF-1.7\n/JS (app.alert(1))",
    "icon": b"\x00\x00\x01\x00\x01\x00",
    "a gif's name alone": b"GIF88a" + b"\0" * 50,
    "a picture later on": SCRIPT + PICTURES["png"][0],
    "a wave": b"RIFF\x24\0\0\0WAVEfmt ",
    "a wave that names webp": b"RIFF\x24\0\0\0WAVEfmt WEBP",
    "a program": b"\x7fELF" + b"\0" * 50,
}


def archive() -> bytes:
    """A zip, which is read from its end."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        made.writestr("index.html", SCRIPT)
    return content.getvalue()


# One that begins as a picture, and the kind as which it has to be served.
POLYGLOTS = {
    "gif and javascript": (b"GIF89a/*" + b"\0" * 40 + b"*/=1;alert(document.cookie)//", "gif"),
    "gif and html": (b"GIF89a" + SCRIPT, "gif"),
    "png and html": (PICTURES["png"][0] + SCRIPT, "png"),
    "jpeg with html as its comment": (b"\xff\xd8\xff\xfe\x00\x40" + SCRIPT + b"\xff\xd9", "jpg"),
    "webp and svg": (PICTURES["webp"][0] + SVG, "webp"),
    "png and zip": (PICTURES["png"][0] + archive(), "png"),
}
NAMES = [
    "logo.svg",
    "logo.html",
    "logo.png.html",
    "../../index.html",
    "..\\x.js",
    "x\0.html",
    "a" * 300,
    "",
    "logo.php;.png",
]


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_what_does_not_begin_as_a_picture_is_refused(kind: str, staff, db: psycopg.Connection):
    admin = staff().api
    for name in ("logo.png", "logo.svg", "logo.jpg"):
        assert upload(admin, NO_PICTURES[kind], name=name, expect=400)["code"] == "logo_kind"


@pytest.mark.parametrize("kind", POLYGLOTS)
def test_a_polyglot_is_served_as_a_picture_and_never_run(kind: str, staff, app: Flask):
    content, ending = POLYGLOTS[kind]
    url = upload(staff().api, content, name="evil.html")["logoUrl"]
    served = httpx.get(url)
    assert served.headers["Content-Type"] == PICTURES[ending][1] and url.endswith(f".{ending}")
    # At Supabase's address and not at the service's, from which pages of the site take no script.
    assert url.startswith(app.extensions["config"].supabase_url)
    assert Client(app).get(url.removeprefix(app.extensions["config"].supabase_url), expect=404)["code"] == "not_found"


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_the_services_own(name: str, staff):
    url = upload(staff().api, PICTURES["png"][0], name=name)["logoUrl"]
    folder, _, file = url.rpartition("/")
    assert folder.endswith("/object/public/site-assets/logos")
    assert len(file) == len("0" * 32 + ".png") and file.endswith(".png")


def test_a_second_part_of_the_form_is_no_way_around(staff):
    admin = staff().api
    form = b"".join(
        b'--edge\r\nContent-Disposition: form-data; name="logo"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + content + b"\r\n"
        for content in (SVG, PICTURES["png"][0])
    )
    sent = {"data": form + b"--edge--\r\n", "content_type": "multipart/form-data; boundary=edge"}
    assert admin.post("/api/settings/logo", **sent, expect=400)["code"] == "logo_kind"


@pytest.mark.parametrize("role", ["Manager", "Guide", "Support"])
def test_who_may_not_edit_settings_uploads_nothing(role: str, staff, customer):
    for person in (staff(role).api, customer.api):
        answer = upload(person, PICTURES["png"][0], expect=403 if person is not customer.api else 401)
        assert answer["code"] in ("insufficient_permissions", "session_invalid", "token_invalid")
