"""The built site is served beside the API: its files, its pages, its caching; its edges in tests/security."""

import base64
import gzip
import hashlib
import os
from pathlib import Path

import pytest
from flask import Flask

from service.config import ConfigurationError
from tests.client import Client

INLINE = "window.theme = 'dark';"
FOREIGN = (
    "<script async src='https://maps.example/js?x=1'></script><link rel=stylesheet href=https://css.example/a.css>"
)
INDEX = f"<!doctype html>{FOREIGN}<script>{INLINE}</script><script src='/assets/index-BfX3kd92.js'></script>"
LONG = "body { color: #14635c }\n" * 200
PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    (root / "assets").mkdir()
    (root / "index.html").write_text(INDEX)
    (root / "robots.txt").write_text("User-agent: *")
    (root / "assets" / "index-BfX3kd92.js").write_text("console.log(1)" * 50)
    (root / "assets" / "index-BfX3kd92.js.gz").write_bytes(gzip.compress(b"console.log(1)" * 50, mtime=0))
    (root / "assets" / "index-BfX3kd92.js.br").write_bytes(b"brotli")
    (root / "assets" / "plain.css").write_text("body {}")
    (root / "assets" / "long.css").write_text(LONG)
    (root / "assets" / "photo.jpg").write_bytes(b"jpeg" * 500)
    (root / "assets" / "winter-20240101.jpg").write_bytes(b"jpeg")
    (root / "winter-BfX3kd92.jpg").write_bytes(b"jpeg")
    return root


@pytest.fixture(scope="module")
def site(app_with, dist: Path) -> Client:
    return Client(app_with(FRONTEND_DIST=str(dist), SUPABASE_URL="https://abc.supabase.example"))


@pytest.fixture(scope="module", params=["development", "production"])
def either(app_with, dist: Path, request: pytest.FixtureRequest) -> Client:
    """The site where files are looked for as they are asked for, and where they are as they were at the start."""
    return Client(app_with(FRONTEND_DIST=str(dist), APP_ENV=request.param, BCRYPT_ROUNDS="10"))


def test_the_start_page_and_unknown_pages_are_the_index(either: Client):
    for path in ("/", "/packages/7", "/verify-email?token=a&customerId=b", "/admin", "/index.html", "/blog/v1.2"):
        assert either.get(path, headers=PAGE).decode() == INDEX, path
        headers = either.last.headers
        assert (headers["Content-Type"], headers["Cache-Control"]) == ("text/html; charset=utf-8", "no-cache")
    assert either.get("/packages/7", headers={"Accept": "*/*"}).decode() == INDEX
    assert either.call("HEAD", "/packages/7", headers=PAGE) == b""


def test_the_policy_allows_the_site_supabase_and_stripe(site: Client):
    site.get("/", headers=PAGE)
    policy = dict(rule.split(" ", 1) for rule in site.last.headers["Content-Security-Policy"].split("; "))
    inline = base64.b64encode(hashlib.sha256(INLINE.encode()).digest()).decode()
    assert policy["default-src"] == "'self'"
    assert f"'sha256-{inline}'" in policy["script-src"]
    assert "https://js.stripe.com" in policy["script-src"] and "https:" in policy["frame-src"]
    assert " https://maps.example " in policy["script-src"] and "css.example" not in policy["script-src"]
    assert policy["style-src"].endswith(" https://css.example")
    assert "unsafe" not in policy["script-src"]
    assert {"https://abc.supabase.example", "wss://abc.supabase.example", "https://api.stripe.com"} <= set(
        policy["connect-src"].split()
    )
    assert "http://127.0.0.1" in policy["script-src"]  # the local Stripe, as this is no production


def test_the_page_connects_to_its_own_origin_and_to_no_websocket_of_it(either: Client, app: Flask):
    def connects(host: str) -> list[str]:
        either.get("/packages/7", headers={**PAGE, "Host": host})
        policy = dict(rule.split(" ", 1) for rule in either.last.headers["Content-Security-Policy"].split("; "))
        return policy["connect-src"].split()

    assert connects("travel.example:8080")[:2] == ["http://travel.example:8080", app.extensions["config"].frontend_url]
    for host in ("travel.example", "[::1]:3000", "evil.example;script-src", "a b", "a'b"):
        sources = connects(host)
        assert "'self'" not in sources and not any("ws" in source for source in sources if host in source), host
        assert not any(";" in source or "'" in source for source in sources), host
        assert (f"http://{host}" in sources) == (host in ("travel.example", "[::1]:3000")), host


def test_in_production_no_local_stripe_is_allowed(app_with, dist: Path):
    app = app_with(FRONTEND_DIST=str(dist), APP_ENV="production", BCRYPT_ROUNDS="10")
    site = Client(app)
    site.get("/", headers=PAGE)
    policy = site.last.headers["Content-Security-Policy"]
    assert app.extensions["config"].stripe_api_base not in policy


def test_hashed_files_are_kept_for_ever_and_others_asked_for_again(either: Client):
    either.get("/assets/index-BfX3kd92.js")
    headers = either.last.headers
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/assets/plain.css", "/robots.txt", "/assets/winter-20240101.jpg", "/winter-BfX3kd92.jpg"):
        either.get(path)
        assert either.last.headers["Cache-Control"] == "no-cache", path
        either.get(path, headers={"If-None-Match": either.last.headers["ETag"]}, expect=304)


@pytest.mark.parametrize(
    ("accepted", "encoding", "content"),
    [
        ("br, gzip", "br", b"brotli"),
        ("gzip, br;q=0", "gzip", gzip.compress(b"console.log(1)" * 50, mtime=0)),
        ("identity", None, b"console.log(1)" * 50),
        ("", None, b"console.log(1)" * 50),
    ],
)
def test_compressed_siblings_are_served(accepted: str, encoding: str | None, content: bytes, either: Client):
    body = either.get("/assets/index-BfX3kd92.js", headers={"Accept-Encoding": accepted})
    headers = either.last.headers
    assert (headers.get("Content-Encoding"), headers["Vary"]) == (encoding, "Accept-Encoding")
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert len(body) == len(content)


def test_text_without_a_compressed_sibling_is_compressed(either: Client):
    body = either.get("/assets/long.css", headers={"Accept-Encoding": "br, gzip"})
    headers = either.last.headers
    assert (headers["Content-Encoding"], headers["Vary"], gzip.decompress(body).decode()) == (
        "gzip",
        "Accept-Encoding",
        LONG,
    )
    assert int(headers["Content-Length"]) == len(body) < len(LONG) / 10
    assert either.get("/assets/long.css", headers={"Accept-Encoding": "gzip;q=0"}).decode() == LONG
    for path in ("/assets/photo.jpg", "/assets/plain.css"):  # smaller it would not get
        either.get(path, headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in either.last.headers


def test_a_changed_file_is_served_as_it_is_now_while_developing(site: Client, dist: Path):
    changing = dist / "changing.txt"
    for text in ("before " * 100, "after " * 300):
        changing.write_text(text)
        packed = site.get("/changing.txt", headers={"Accept-Encoding": "gzip"})
        assert gzip.decompress(packed).decode() == text
    changing.unlink()
    site.get("/changing.txt", headers={"Accept": "*/*"}, expect=404)


def test_a_page_of_the_same_length_and_time_is_another(app_with, tmp_path: Path):
    def page(text: str) -> Client:
        (tmp_path / "index.html").write_text(text)
        os.utime(tmp_path / "index.html", (1_000_000_000, 1_000_000_000))  # as of an archive that was unpacked
        return Client(app_with(FRONTEND_DIST=str(tmp_path), APP_ENV="production", BCRYPT_ROUNDS="10"))

    first = page("<script src=/assets/index-aaaaaaa1.js></script>")
    first.get("/", headers=PAGE)
    known = {"If-None-Match": first.last.headers["ETag"]}
    first.get("/", headers={**PAGE, **known}, expect=304)
    assert b"aaaaaaa2" in page("<script src=/assets/index-aaaaaaa2.js></script>").get("/", headers={**PAGE, **known})


def test_a_part_of_a_file_and_its_type_after_304(either: Client):
    assert either.get("/assets/long.css", headers={"Range": "bytes=0-3"}, expect=206) == b"body"
    either.get("/assets/long.css")
    either.get("/assets/long.css", headers={"If-None-Match": either.last.headers["ETag"]}, expect=304)
    assert "Content-Type" not in either.last.headers


def test_a_missing_file_is_no_page(either: Client):
    body = either.get("/assets/old-Xk29dk3s.js", headers={"Accept": "*/*"}, expect=404)
    assert body["code"] == "not_found"


def test_the_api_keeps_its_own_answers(site: Client):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        for path in ("/api/nothing", "/api", "/rest/nothing", "/customers/a/b/c/d"):
            body = site.call(method, path, headers={"Accept": "*/*"}, expect=404)
            assert (body["code"], "error" in body) == ("not_found", True)
    assert site.get("/api/nothing", headers=PAGE, expect=404)["error"] == "API endpoint not found"
    assert site.call("PATCH", "/api/auth/login", {}, expect=405)["code"] == "method_not_allowed"
    assert site.post("/packages/7", {}, expect=404)["code"] == "not_found"
    assert site.get("/api/health")["status"] == "ok"


def test_what_the_service_has_not_of_supabase_is_no_page(either: Client):
    for service in ("realtime", "auth", "storage", "functions", "graphql"):
        for path in (f"/{service}/v1", f"/{service}/v1/websocket?apikey=x&vsn=1.0.0", f"/{service}/v1/a/b"):
            for method in ("GET", "POST", "PATCH"):
                body = either.call(method, path, headers=PAGE, expect=404)
                assert (body["code"], set(body)) == ("not_found", {"error", "code"})
        assert either.get(f"/{service}", headers=PAGE).decode() == INDEX  # the site may have such a page


@pytest.mark.parametrize(("own", "other"), [("localhost", "127.0.0.1"), ("127.0.0.1", "localhost")])
def test_while_developing_a_page_has_one_name(app_with, dist: Path, own: str, other: str):
    site = Client(app_with(FRONTEND_DIST=str(dist), FRONTEND_URL=f"http://{own}:3000"))
    for path in ("/", "/verify-email?token=a&customerId=b", "/customers/login"):
        site.get(path, headers={**PAGE, "Host": f"{other}:3000"}, expect=302)
        assert site.last.headers["Location"] == f"http://{own}:3000{path}"
        site.get(path, headers={**PAGE, "Host": f"{own}:3000"})
    for host in (f"{other}:8080", "travel.example:3000", f"{other}:x"):
        site.get("/", headers={**PAGE, "Host": host})
    assert site.get("/api/health", headers={"Host": f"{other}:3000"})["status"] == "ok"
    site.get("/robots.txt", headers={"Accept": "*/*", "Host": f"{other}:3000"})
    settings = {"FRONTEND_DIST": str(dist), "FRONTEND_URL": f"http://{own}:3000", "BCRYPT_ROUNDS": "10"}
    live = Client(app_with(**settings, APP_ENV="production"))
    live.get("/", headers={**PAGE, "Host": f"{other}:3000"})


def test_a_page_of_the_site_below_an_address_of_the_api(either: Client):
    assert either.get("/customers/login", headers=PAGE).decode() == INDEX
    assert either.get("/customers/login", headers={"Accept": "*/*"}, expect=404)["code"] == "customer_not_found"


def test_without_a_site_the_start_page_says_what_this_is(api: Client):
    body = api.get("/", headers=PAGE).decode()
    assert "/api/docs" in body and "<h1>" in body
    assert api.get("/packages/7", headers=PAGE, expect=404)["code"] == "not_found"


def test_a_folder_without_a_site_stops_the_start(settings_for, tmp_path: Path):
    with pytest.raises(ConfigurationError, match="FRONTEND_DIST"):
        settings_for(FRONTEND_DIST=str(tmp_path))
