"""Addresses that mean another one: at `/rest/v1`, at the site's files, and at the routes behind a guard."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from flask import Flask

from tests.client import Client
from tests.factories import Customer
from tests.site.callers import cookie

OF_A_TABLE = re.compile(r"/rest/v1/(rpc/)?\w+", re.ASCII)
# As they stand in a line of HTTP, after /rest/v1.
GAMES = [
    *(
        "/../auth/v1/user",
        "/..%2fauth/v1/user",
        "/..%2Fauth%2Fv1%2Fuser",
        "/%2e%2e/auth/v1/user",
        "/%2e%2e%2fauth%2fv1",
    ),
    *("/%252e%252e%252fauth", "/..;/auth/v1/user", "/..%5cauth", "/..\\auth", "/.", "/..", "/./packages", "//packages"),
    *("/packages/../bookings", "/packages/..%2fbookings", "/packages%2f..%2fbookings", "/packages//", "/packages/"),
    *(
        "/packages%2f",
        "/packages%3fselect=id",
        "/packages%23",
        "/packages;x=1",
        "/packages%20",
        "/ packages",
        "/packages%00",
    ),
    *("/packages%0d%0aX-Evil:%201", "/packages%0aHTTP/1.1", "/%0d%0aHost:%20evil.example", "/packages\\..\\bookings"),
    *("/rpc/../bookings", "/rpc/..%2fbookings", "/rpc/register_customer/..", "/rpc/a/b", "/rpc//a", "/rpc%2fa", "/rpc"),
    *("/http://evil.example/", "/@evil.example/", "/:80/packages", "/%2f%2fevil.example", "//evil.example/packages"),
    *(
        "",
        "/",
        "/a.b",
        "/a-b",
        "/\u00e9",
        "/%c3%a9",
        "/%ff",
        "/" + "x" * 64,
        "/*",
        "/(select)",
        "/packages'",
        '/packages"',
    ),
]
FILES = [
    *("/../secret.txt", "/..%2fsecret.txt", "/assets/../../secret.txt", "/%2e%2e/secret.txt", "/%2e%2e%2fsecret.txt"),
    *(
        "/link.txt",
        "/.env",
        "/.git/config",
        "/assets/..%5c..%5csecret.txt",
        "//etc/passwd",
        "/etc/passwd",
        "///etc/passwd",
    ),
    *(
        "/robots.txt%00",
        "/robots.txt%00.html",
        "/assets/../../../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/secret.txt",
    ),
    *("/%252e%252e/secret.txt", "/assets/....//....//secret.txt", "/assets/..;/..;/secret.txt", "/file:///etc/passwd"),
    *(
        "/assets//../../secret.txt",
        "/.%2e/secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/\\..\\secret.txt",
        "/C:/secret.txt",
    ),
    *("/.well-known/../.env", "/assets/.hidden", "/.DS_Store", "/link/secret.txt", "/%2egit/config", "/.git%2fconfig"),
]


class Supabase(BaseHTTPRequestHandler):
    """Tells which addresses reached it."""

    protocol_version = "HTTP/1.1"
    seen: list[str] = []

    def do_GET(self) -> None:
        self.seen.append(self.requestline)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    do_POST = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def behind(app_with) -> Iterator[Flask]:
    """The service in front of such a one."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Supabase)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield app_with(SUPABASE_URL=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


def ask(app: Flask, target: str, *, method: str = "GET", **kwargs: Any) -> Any:
    """The answer to an address as it is, which a client would put in order first: as gunicorn hands it over."""
    path, _, query = target.partition("?")
    raw = {"PATH_INFO": unquote_to_bytes(path).decode("latin-1"), "RAW_URI": target, "REQUEST_URI": target}
    environ = {**raw, "QUERY_STRING": query, "REMOTE_ADDR": Client(app).address}
    return app.test_client(use_cookies=False).open(
        "/", method=method, environ_overrides=environ, buffered=True, **kwargs
    )


@pytest.mark.parametrize("game", GAMES)
def test_nothing_but_a_tables_own_address_reaches_supabase(game: str, behind: Flask):
    Supabase.seen.clear()
    for target in (f"/rest/v1{game}", f"//rest/v1{game}", f"/rest//v1{game}", f"/api/../rest/v1{game}"):
        answer = ask(behind, target)
        assert answer.status_code in (200, 301, 308, 400, 404), f"{target}: {answer.status}"
        assert "X-Evil" not in answer.headers
    for line in Supabase.seen:
        method, path, version = line.split(" ")
        assert (method, version) == ("GET", "HTTP/1.1")
        assert OF_A_TABLE.fullmatch(path), line


def test_a_query_stays_a_query(behind: Flask):
    for query in (
        "select=id&x=../../auth",
        "select=%0d%0aX-Evil:%201",
        "a b",
        "select=%",
        "x=%zz#y",
        "é=1",
        "?a=/../b",
    ):
        Supabase.seen.clear()
        assert ask(behind, f"/rest/v1/packages?{query}").status_code in (200, 400)
        for line in Supabase.seen:
            method, target, version = line.split(" ")
            asked = ("POST", "/rest/v1/rpc/visitor_columns"), ("GET", "/rest/v1/packages")
            assert (method, target.partition("?")[0]) in asked and version == "HTTP/1.1", line


@pytest.fixture(scope="module", params=["development", "production"])
def site(app_with, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Flask:
    folder: Path = tmp_path_factory.mktemp("site")
    root = folder / "dist"
    for path in ("assets/.hidden", ".git/config", ".env", ".DS_Store", "../secret.txt", "../outside/secret.txt"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("secret")
    (root / "index.html").write_text("<!doctype html>")
    (root / "robots.txt").write_text("User-agent: *")
    (root / "link.txt").symlink_to(folder / "secret.txt")
    (root / "link").symlink_to(folder / "outside")
    return app_with(FRONTEND_DIST=str(root), APP_ENV=request.param, BCRYPT_ROUNDS="10")


@pytest.mark.parametrize("path", FILES)
def test_no_file_outside_the_site_or_hidden_in_it_is_served(path: str, site: Flask):
    for accept in ("text/html", "*/*"):
        answer = ask(site, path, headers={"Accept": accept})
        assert answer.status_code in (301, 308, 400, 404) or answer.data == b"<!doctype html>", (
            f"{path}: {answer.status}"
        )
        assert b"secret" not in answer.data and b"root:" not in answer.data


def test_no_spelling_of_an_address_gets_by_its_guard(app: Flask, customer: Customer):
    """What the router takes for a route of ours has that route's guard, and what it does not is nothing."""
    for address in ("/api/users", "/api/bookings", "/api/payments/transactions", "/api/customers/me"):
        for spelt in (
            *(f"/{address}", f"{address}/", address.replace("/api/", "/api//"), address.replace("/api/", "/api/./")),
            *(f"/x/..{address}", address.upper(), f"{address}%00", f"{address};x", f"{address}%2f", f"{address}.json"),
            *(
                address.replace("/api/", "/%61pi/"),
                f"/api/health/..{address[4:]}",
                f"/customers/..{address}",
                f"{address}?",
            ),
        ):
            answer = ask(app, spelt, headers={"X-Original-URL": address, "X-Rewrite-URL": address})
            assert answer.status_code in (308, 401, 404), f"{spelt}: {answer.status} {answer.text[:200]}"


def test_a_cookie_of_staff_opens_no_other_address(behind: Flask, staff):
    headers = cookie(staff())
    for game in GAMES:
        Supabase.seen.clear()
        for method in ("GET", "POST", "PATCH", "DELETE"):
            ask(behind, f"/rest/v1{game}", method=method, headers=headers)
        assert all(OF_A_TABLE.fullmatch(line.split(" ")[1]) for line in Supabase.seen), game
