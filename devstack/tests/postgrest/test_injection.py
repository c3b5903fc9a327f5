"""Hostile text in every place of a request: it stays text, and no statement is ever broken by it."""

import json
from urllib.parse import quote

import httpx
import jwt
import pytest

from tests.postgrest.conftest import SECRET, Server

HOSTILE = [
    "'; drop table books; --",
    '"; drop table books; --',
    "') or true --",
    "1 or 1=1",
    "$1",
    "$$; drop table books; $$",
    "\\'; drop table books; --",
    "/* */ union select secret from members",
    "a\nb\r\tc",
    "É€😀 ' \" \\ ; ,",
    "{a,b}",
    "%_*",
    "null",
    '","',
    "x" * 200,
]
PLACES = {
    "table": "/{}",
    "function": "/rpc/{}",
    "column": "/books?select={}",
    "quoted column": "/books?select={quoted}",
    "cast": "/books?select=id::{}",
    "embed": "/books?select=id,{}(id)",
    "quoted embed": "/books?select=id,{quoted}(id)",
    "hint": "/books?select=id,authors!{}(id)",
    "embedded column": "/books?select=id,authors({quoted})",
    "spread": "/books?select=id,...{quoted}(id)",
    "json key": "/books?select=meta->{quoted}",
    "filter column": "/books?{}=eq.1",
    "quoted filter column": "/books?{quoted}=eq.1",
    "operator": "/books?id={}.1",
    "number": "/books?id=eq.{}",
    "list": "/books?id=in.({quoted})",
    "array": "/branches?tags=cs.{}",
    "pattern": "/books?title=ilike.{}",
    "regular expression": "/books?title=eq(any).{}",
    "search": "/books?title=plfts.{}",
    "language": "/books?title=fts({}).a",
    "is": "/books?id=is.{}",
    "logic": "/books?or=({},id.eq.1)",
    "value in logic": "/books?or=(title.eq.{quoted},id.eq.0)",
    "order": "/books?order={}",
    "quoted order": "/books?order={quoted}",
    "direction": "/books?order=id.{}",
    "limit": "/books?limit={}",
    "offset": "/books?offset={}",
    "argument": "/rpc/add?a=1&{}=1",
    "argument value": "/rpc/add?a={}",
}


@pytest.fixture(autouse=True)
def nothing_is_lost(annex: Server) -> object:
    """Whatever was sent, the tables and their rows are there afterwards."""
    annex.restore()
    yield
    assert annex.ask("GET", "/books?select=id&order=id")["json"] == [{"id": n} for n in (1, 2, 3, 4)]


def read(annex: Server, target: str, **headers: str) -> httpx.Response:
    return annex.client.get(annex.url + target, headers=headers)


def assert_harmless(answer: httpx.Response) -> None:
    """A success, or a refusal that is no broken statement and no fault."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and "\n" not in answer.text[:1]:
        body = answer.json()
        assert body["code"] != "42601" or body["message"].startswith("syntax error at or near"), body


@pytest.mark.parametrize("place", PLACES)
def test_url_cannot_break_a_statement(annex: Server, place: str) -> None:
    for text in HOSTILE:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        target = PLACES[place].format(quote(text, safe=""), quoted=quote(f'"{escaped}"', safe=""))
        answer = read(annex, target)
        assert_harmless(answer)
        assert "s-a" not in answer.text  # a member's secret, which anon may not see


@pytest.mark.parametrize("text", HOSTILE)
def test_value_comes_back_as_it_was_sent(annex: Server, text: str) -> None:
    row = {"owner": text, "key": "k", "value": text}
    made = annex.ask("POST", "/settings_kv?select=*", "service_role", row, Prefer="return=representation")
    assert made["json"] == [row]
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    for condition in (
        f"owner=eq.{quote(text)}",
        f'owner=in.("{quote(escaped)}",x)',
        f'or=(owner.eq."{quote(escaped)}")',
    ):
        assert annex.ask("GET", f"/settings_kv?{condition}", "service_role")["json"] == [row], condition
    changed = annex.ask("PATCH", f"/settings_kv?owner=eq.{quote(text)}", "service_role", {"value": "new"})
    assert (changed["status"], changed["headers"]["content-range"]) == (204, "0-0/*")
    assert annex.ask("GET", f"/rpc/claim?p_name={quote(text)}")["json"] is None


@pytest.mark.parametrize("text", [text for text in HOSTILE if len(text.encode()) < 63])
def test_label_comes_back_as_it_was_sent(annex: Server, text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    answer = read(annex, f"/books?id=eq.1&select={quote(chr(34) + escaped + chr(34))}:id")
    assert answer.json() == [{text: 1}]


@pytest.mark.parametrize("text", HOSTILE)
def test_names_in_a_body_are_only_looked_up(annex: Server, text: str) -> None:
    for method, path in (("POST", "/books"), ("PATCH", "/books?id=eq.1"), ("POST", "/rpc/add")):
        refused = annex.ask(method, path, "service_role", {text: 1})
        assert refused["status"] in (400, 404) and refused["json"]["code"] in ("PGRST204", "PGRST202")
    for parameter in ("columns", "on_conflict"):
        path = f"/books?{parameter}={quote(json.dumps(text, ensure_ascii=False))}"
        prefer = "resolution=merge-duplicates"
        assert annex.ask("POST", path, "service_role", {"title": "x"}, Prefer=prefer)["status"] == 400


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.isascii() and text.isprintable()])
def test_headers_are_only_values(annex: Server, text: str) -> None:
    assert read(annex, "/rpc/header?p_name=x-hostile", **{"X-Hostile": text}).json() == text.strip()
    for name in ("Prefer", "Accept", "Range", "Accept-Profile", "Cookie"):
        assert_harmless(read(annex, "/books?select=id", **{name: text}))
    for name in ("count=", "timezone=", "max-affected="):
        assert_harmless(read(annex, "/books?select=id", Prefer=name + text))
    role = jwt.encode({"role": text, "sub": text}, SECRET, "HS256")
    refused = read(annex, "/books?select=id", Authorization=f"Bearer {role}")
    assert refused.status_code in (401, 400) and refused.json()["code"] in ("22023", "42501"), refused.text


def test_nul_ends_a_value_and_is_refused_in_a_body(annex: Server) -> None:
    """In the URL as in PostgREST's C strings: more_cases.jsonl has its answers."""
    assert read(annex, "/books?title=eq.a%00b").json() == []
    refused = annex.ask("POST", "/settings_kv", "service_role", {"owner": "a\0b", "key": "k"})
    assert (refused["status"], refused["json"]["code"]) == (400, "22P05")


@pytest.mark.parametrize("query", ["title=eq.%ff", "select=%ff", "%ff=eq.1", "order=%ff", "unknown%ff"])
def test_what_is_not_utf8_breaks_postgrest_itself(annex: Server, query: str) -> None:
    """Before it has a connection, so that the next request finds none in the midst of a transaction."""
    answer = read(annex, f"/books?{query}")
    assert (answer.status_code, answer.text) == (500, "Something went wrong")
    assert annex.ask("POST", "/rpc/nothing", "service_role", {})["status"] == 204
