"""Supabase's address as its clients see it: keys, cross-origin calls, storage, and supabase-py's everyday calls."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from supabase import Client, ClientOptions, create_client

from devstack.postgres import Postgres
from tests.postgrest.conftest import SCHEMA, SECRET, Server
from tests.postgrest.runner import token

pytestmark = pytest.mark.filterwarnings("ignore:The '(timeout|verify)' parameter is deprecated:DeprecationWarning")


@pytest.fixture
def supabase(annex: Server) -> Iterator[Client]:
    annex.restore()
    annex.is_changed = True
    with httpx.Client() as http:
        yield create_client(annex.origin, token("service_role", SECRET), ClientOptions(httpx_client=http))


def whoami(annex: Server, **headers: str) -> object:
    return annex.client.get(f"{annex.url}/rpc/whoami", headers=headers).json()


def test_key_alone_is_enough(annex: Server) -> None:
    key = token("service_role", SECRET)
    assert whoami(annex, apikey=key) == "service_role"
    assert whoami(annex, apikey=key, Authorization=f"Bearer {token('authenticated', SECRET)}") == "authenticated"
    assert whoami(annex) == "anon"


def test_opaque_keys_stand_for_their_roles(annex: Server) -> None:
    assert whoami(annex, apikey="sb_secret_abc") == "service_role"
    assert whoami(annex, apikey="sb_secret_abc", Authorization="Bearer sb_secret_abc") == "service_role"
    assert whoami(annex, apikey="sb_publishable_abc") == "anon"
    refused = annex.client.get(f"{annex.url}/rpc/whoami", headers={"apikey": "sb_secret_wrong"})
    assert (refused.status_code, refused.json()["code"]) == (401, "PGRST301")


def test_browser_of_another_origin_may_call(annex: Server) -> None:
    asked = {"Origin": "https://site.example", "Access-Control-Request-Method": "PATCH"}
    asked["Access-Control-Request-Headers"] = "apikey,authorization,prefer"
    preflight = annex.client.options(f"{annex.url}/books", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == "apikey,authorization,prefer"
    for path in ("/rest/v1/books?limit=1", "/rest/v1/nope", "/storage/v1/object/public/a/b", "/nowhere"):
        answer = annex.client.get(annex.origin + path, headers={"Origin": "https://site.example"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "Content-Range" in answer.headers["access-control-expose-headers"]


def test_unknown_address_is_404(annex: Server) -> None:
    answer = annex.client.get(f"{annex.origin}/auth/v1/user")
    assert (answer.status_code, answer.json()) == (404, {"message": "no Route matched with those values"})


def test_headers_of_reads_and_errors(annex: Server) -> None:
    annex.skip_before("14", "errors had no Proxy-Status")
    read = annex.client.get(f"{annex.url}/books?select=id&id=eq.1")
    assert read.headers["content-type"] == "application/json; charset=utf-8"
    assert read.headers["content-location"] == "/books?id=eq.1&select=id"
    spaced = annex.client.get(f"{annex.url}/books?select=id;title=eq.a+b%2Bc&")
    assert spaced.headers["content-location"] == "/books?select=id&title=eq.a%20b%2Bc"
    key = {"apikey": "sb_secret_abc", "Prefer": "return=headers-only"}
    made = annex.client.post(f"{annex.url}/settings_kv", json={"owner": "o p", "key": "k&"}, headers=key)
    annex.is_changed = True
    assert made.headers["location"] == "/settings_kv?owner=eq.o%20p&key=eq.k%26"
    refused = annex.client.get(f"{annex.url}/nope")
    assert refused.headers["proxy-status"] == "PostgREST; error=PGRST205"
    raised = annex.client.post(f"{annex.url}/rpc/raise_answer", json={})
    assert (raised.status_code, raised.headers["x-y"]) == (419, "z")
    answered = annex.client.post(f"{annex.url}/rpc/with_answer", json={})
    assert (answered.headers["x-a"], answered.headers["cache-control"]) == ("b", "no-store")
    allowed = annex.client.options(f"{annex.url}/titles")
    assert (allowed.status_code, allowed.headers["allow"]) == (200, "OPTIONS,GET,HEAD")


def test_root_describes_what_the_role_may_use(annex: Server) -> None:
    described = annex.client.get(f"{annex.url}/", headers={"apikey": token("anon", SECRET)})
    assert described.headers["content-type"].startswith("application/openapi+json")
    assert "/books" in described.json()["paths"] and "/members" not in described.json()["paths"]
    assert "/rpc/secret_fn" not in described.json()["paths"]


def test_negative_limit_of_an_embed_is_postgres_to_refuse(library: Server) -> None:
    """Where no max-rows is configured; with it PostgREST itself breaks, see more_cases.jsonl."""
    refused = library.client.get(f"{library.url}/authors?select=name,books(id)&books.limit=-1")
    assert (refused.status_code, refused.json()["code"]) == (400, "2201W")


def test_everyday_calls_of_supabase_py(annex: Server, supabase: Client) -> None:
    annex.skip_before("14", "max-affected was not known")
    table: Any = supabase.table
    assert table("books").select("id, authors(name)").eq("id", 1).single().execute().data == {
        "id": 1,
        "authors": {"name": "Ada Byron"},
    }
    assert table("books").select("id").eq("id", 99).maybe_single().execute() is None
    counted = table("books").select("id", count="exact").order("id", desc=True).range(1, 2).execute()
    assert (counted.data, counted.count) == ([{"id": 3}, {"id": 2}], 4)
    assert table("books").select("id", count="exact", head=True).execute().count == 4
    made = table("settings_kv").insert([{"owner": "z", "key": "1"}, {"owner": "z", "key": "2"}]).execute().data
    assert [row["key"] for row in made] == ["1", "2"]
    assert table("settings_kv").upsert({"owner": "z", "key": "1", "value": "v"}).execute().data[0]["value"] == "v"
    changed = table("settings_kv").update({"value": "w"}).eq("owner", "z").max_affected(2).execute().data
    assert [row["value"] for row in changed] == ["w", "w"]
    assert len(table("settings_kv").delete().eq("owner", "z").execute().data) == 2
    found = table("branches").select("id").or_("name.ilike.*cent*,id.eq.3").in_("id", [1, 3]).order("id").execute()
    assert found.data == [{"id": 1}, {"id": 3}]
    assert table("books").select("id,title").limit(1).csv().execute().data == "id,title\n1,Notes"
    assert supabase.rpc("add", {"a": 1, "b": 2}).execute().data == 3
    assert supabase.rpc("add", {"a": 1}, get=True).execute().data == 11


def test_errors_reach_supabase_py(annex: Server, supabase: Client) -> None:
    annex.skip_before("14", "unknown tables had no code of their own")
    for call, code in (
        (supabase.table("nope").select("*"), "PGRST205"),
        (supabase.table("books").select("id").single(), "PGRST116"),
        (supabase.table("branches").insert({"id": 1, "name": "x"}), "23505"),
        (supabase.table("books").update({"price": 1}).gt("id", 0).max_affected(1), "PGRST124"),
        (supabase.rpc("conflict_now", {"p_hint": "taken"}), "PT409"),
        (supabase.rpc("nope", {}), "PGRST202"),
    ):
        with pytest.raises(APIError) as raised:
            call.execute()
        assert raised.value.code == code
    assert supabase.table("books").select("price").eq("id", 1).execute().data == [{"price": 12.5}]


def test_files_are_stored_served_and_removed(supabase: Client) -> None:
    supabase.storage.create_bucket("logos", options={"public": True})
    assert [bucket.name for bucket in supabase.storage.list_buckets()] == ["logos"]
    logos = supabase.storage.from_("logos")
    logos.upload("a/1.svg", b"<svg/>", {"content-type": "image/svg+xml"})
    served = httpx.get(logos.get_public_url("a/1.svg"))
    assert (served.status_code, served.content) == (200, b"<svg/>")
    assert served.headers["content-type"] == "image/svg+xml"
    with pytest.raises(StorageApiError, match="already exists"):
        logos.upload("a/1.svg", b"other", {"content-type": "image/png"})
    logos.upload("a/1.svg", b"\x89PNG\r\n\0", {"content-type": "image/png", "upsert": "true"})
    assert logos.download("a/1.svg") == b"\x89PNG\r\n\0"
    assert [entry["name"] for entry in logos.list("a")] == ["1.svg"]
    assert len(logos.remove(["a/1.svg", "a/none"])) == 1
    assert httpx.get(logos.get_public_url("a/1.svg")).status_code == 400
    supabase.storage.delete_bucket("logos")
    with pytest.raises(StorageApiError, match="Bucket not found"):
        logos.upload("a", b"x")


def test_files_need_the_service_key_and_never_leave_their_folder(annex: Server) -> None:
    base = f"{annex.origin}/storage/v1"
    for headers in ({}, {"apikey": token("anon", SECRET)}, {"apikey": "x.y.z"}):
        for method, path in (
            ("POST", "/object/b/f"),
            ("DELETE", "/object/b"),
            ("GET", "/bucket"),
            ("GET", "/object/b/f"),
        ):
            refused = annex.client.request(method, base + path, headers=headers)
            assert (refused.status_code, refused.json()["statusCode"]) == (400, "403")
    key = {"apikey": "sb_secret_abc"}
    assert annex.client.post(f"{base}/bucket", json={"name": "b", "public": True}, headers=key).status_code == 200
    for name in ("..%2f..%2fsecrets.json", "%2e%2e/%2e%2e/x", "a%00b", "/etc/passwd", "x" * 3000):
        assert annex.client.get(f"{base}/object/public/b/{name}").status_code in (400, 404)
        made = annex.client.post(f"{base}/object/b/{name}", content=b"1", headers=key)
        assert made.status_code == 200
    outside = [path for path in annex.log.parent.rglob("*") if path.is_file() and "storage" not in path.parts]
    assert outside == [annex.log]
    annex.client.post(f"{base}/bucket/b/empty", headers=key)
    assert annex.client.delete(f"{base}/bucket/b", headers=key).status_code == 200


def test_sigterm_ends_it_quickly_even_with_open_connections(postgres: Postgres, tmp_path: Path) -> None:
    postgres.create_database("brief")
    server = Server(postgres, "brief", "", tmp_path)
    server.load(SCHEMA)
    server.start()
    assert server.ask("GET", "/books?select=id&limit=1")["status"] == 200
    began = time.monotonic()
    assert server.stop() in (0, -signal.SIGTERM)
    assert time.monotonic() - began < 3


def test_executable_of_a_real_postgrest_takes_over(postgres: Postgres, tmp_path: Path) -> None:
    """Stood in for by devstack's own, served as the real one is told to be served: on a Unix socket."""
    executable = tmp_path / "postgrest"
    executable.write_text(f"#!/bin/sh\nexec {sys.executable} -m devstack.postgrest\n")
    executable.chmod(0o755)
    postgres.create_database("stand_in")
    server = Server(postgres, "stand_in", str(executable), tmp_path)
    server.load(SCHEMA)
    server.start()
    child = psutil.Process(server.pid).children()[0]
    read = server.ask("GET", "/books?select=title&title=like.100*&order=id", Prefer="count=exact")
    assert (read["json"], read["headers"]["content-range"]) == ([{"title": "100% (true), *stars*"}], "0-0/1")
    made = server.ask(
        "POST", "/branches?select=id", "service_role", {"id": 9, "name": "é"}, Prefer="return=representation"
    )
    assert (made["status"], made["json"]) == (201, [{"id": 9}])
    assert server.ask("GET", "/nope")["json"]["code"] == "PGRST205"
    assert server.ask("HEAD", "/books", Prefer="count=exact")["headers"]["content-range"] == "0-3/4"
    child.kill()
    assert server.ask("GET", "/books")["status"] == 503
    assert server.stop() in (0, -signal.SIGTERM)


def test_real_postgrest_ends_with_the_gateway(postgres: Postgres, tmp_path: Path) -> None:
    executable = tmp_path / "postgrest"
    executable.write_text("#!/bin/sh\nexec sleep 1000\n")
    executable.chmod(0o755)
    server = Server(postgres, "postgres", str(executable), tmp_path)
    with pytest.raises(AssertionError, match="waited in vain"):
        server.start(seconds=0)
    server.wait(lambda: bool(psutil.Process(server.pid).children()))
    child = psutil.Process(server.pid).children()[0]
    server.kill()
    server.stop()
    gone, alive = psutil.wait_procs([child], 5)
    assert gone and not alive
