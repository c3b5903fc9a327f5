"""What of a request for `/rest/v1` is handed on: nothing that PostgREST panics at, of visitors nothing dear."""

import socket
import time
from urllib.parse import urlsplit

import psycopg
import pytest

from devstack.real_postgrest import configured
from service.site.queries import MAX_QUERY
from tests.client import Client
from tests.factories import Staff
from tests.site.callers import OWN, RETURNING, cookie
from tools.stack import Stack

EMBEDDED = "packages?select=id,itineraries(id)&"
# Ranges that are none, text that is not UTF-8, escapes that are none: seen, or suspected, to make PostgREST panic.
POISON = [
    EMBEDDED + "itineraries.limit=-1",
    EMBEDDED + "itineraries.limit=0",
    EMBEDDED + "itineraries.limit=0&itineraries.offset=1",
    EMBEDDED + "itineraries.limit=0;itineraries.offset=1",
    EMBEDDED + "itineraries%2Elimit=0&itineraries.offset=1",
    EMBEDDED + "itineraries.l%69mit=-1",
    EMBEDDED + '"itineraries".limit=0&"itineraries".offset=1',
    EMBEDDED + "itineraries.limit=(0)&itineraries.offset=0x5",
    EMBEDDED + "itineraries.limit=+0&itineraries.offset=1",
    EMBEDDED + "itineraries.limit=%200&itineraries.offset=1",
    EMBEDDED + "itineraries.limit=1&itineraries.limit=0&itineraries.offset=1",
    EMBEDDED + "itineraries.offset=-1",
    EMBEDDED + "itineraries.limit=",
    EMBEDDED + "itineraries.limit",
    "packages?limit=-1",
    "packages?limit=(-1)",
    "packages?offset=-1",
    "packages?limit=99999999999999999999",
    "packages?limit=%FF",
    "packages?limit=%D9%A1",  # a digit, not of ASCII
    "packages?title=eq.%FF",
    "packages?title=eq.%ED%A0%80",
    "packages?title=eq.%zz",
    "packages?title=eq.%",
    "packages?title=eq.%00",
    "packages?select=%FF",
    "packages?a%00=eq.1",
    "packages?%C3=eq.1",
]
HEADERS = [
    {"Range": "5"},
    {"Range": "-1"},
    {"Range": "0--1"},
    {"Range": "0-ÿ"},
    {"Range": "99999999999999999999-"},
    {"Range-Unit": "ÿ"},
    {"Accept": "application/json;q=ÿ"},
    {"Accept": "ÿ"},
    {"Accept-Profile": "ÿ"},
    {"Prefer": "count=ÿ"},
    {"Prefer": "timezone=\x01"},
    {"Content-Type": "text/csv"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Type": "application/json; charset=ÿ"},
]
# Not handed on at all, so that they may hold anything.
UNREAD = [{"Cookie": "a=ÿ"}, {"X-Anything": "ÿ"}, {"User-Agent": "ÿ"}, {"Referer": "ÿ"}, {"X-Client-Info": "ÿ"}]
# PostgREST's own to refuse or to answer, and nothing happens to it.
PASSED = [
    "packages?limit=0",
    "packages?limit=0&offset=5",
    "packages?limit=5&offset=999999999",
    EMBEDDED + "itineraries.limit=1&itineraries.offset=999999999",
    EMBEDDED + "itineraries.order=day&itineraries.limit=1",
    EMBEDDED + "nothing.limit=1",
    "packages?title=eq.%C3%A9%25",
]

# All reads of the site's own pages (supabase-js 2.49) by visitors.
VISITORS = [
    "site_settings?select=*",
    "site_settings?select=value&key=eq.hero_slides",
    "packages?select=*&order=id.asc",
    "packages?select=*&featured=eq.true&limit=4",
    "packages?select=*&id=eq.1",
    "packages?select=id%2Ctitle&order=title.asc",
    "itineraries?select=*&package_id=eq.1&order=day.asc",
    "destinations?select=*&order=id.asc",
    "destinations?select=*&featured=eq.true&limit=6",
    "destinations?select=*&id=eq.1",
    "gallery?select=*&order=id.asc",
    "gallery?select=*&limit=6",
    "testimonials?select=*&status=eq.published&order=id.desc",
    "testimonials?select=*&status=eq.published&order=id.desc&limit=10",
]
# And by staff.
STAFF = [
    "bookings?select=amount",
    "bookings?select=id%2Cname%2Cpackage%2Camount%2Cstatus%2Ccreated_at&order=created_at.desc&limit=4",
    "bookings?select=package%2Camount",
    "bookings?select=*&order=id.desc",
    "packages?select=id%2Ctitle%2Cprice",
    "blog_posts?select=*&order=id.desc",
    "blog_posts?select=*&id=eq.1",
    "faqs?select=*&order=id.asc",
    "gallery?select=*&id=eq.1",
    "itineraries?select=*&package_id=eq.1&order=day.asc",
    "support_tickets?select=*&order=created_at.desc",
    "support_tickets?select=*&id=eq.1",
    "ticket_messages?select=*&ticket_id=eq.1&order=created_at.asc",
    "testimonials?select=*&id=eq.1",
    "admin_users?select=*&order=id.asc",
    "admin_users?select=*&id=eq.1",
]
COUNTS = ["bookings?select=id", "packages?select=id", "admin_users?select=id&status=eq.Active"]
ONE = {"Accept": "application/vnd.pgrst.object+json", "X-Client-Info": "supabase-js-web/2.49.10"}

DEAR = [
    "packages?select=id,itineraries(id,packages(id,itineraries(id)))",
    "packages?select=a:itineraries(id),b:itineraries(id),c:itineraries(id),d:itineraries(id)",
    "packages?select=count()",
    "packages?select=price.sum()",
    "packages?select=count",  # a function of Postgres, called with the whole row
    "packages?select=itineraries(count)",
    "packages?select=x:json_agg",
    "packages?select=id,row_to_json",
    "packages?select=title::text",
    "packages?select=destinations->0",
    "packages?select=...itineraries(id)",
    "packages?order=row_to_json",
    "packages?select=id,itineraries(id)&itineraries.order=count",
    "packages?order=itineraries(day)",
    "packages?row_to_json=eq.1",
    "packages?title=match.(a*)*b",
    "packages?title=fts.a",
    "packages?or=(id.eq.1,title.eq.a)",
    f"packages?title=eq.{'a' * MAX_QUERY}",
    "rpc/visitor_columns?p_name=a",
]


@pytest.fixture(scope="module", autouse=True)
def package(db: psycopg.Connection) -> None:
    db.execute(
        "with p as (insert into packages (title) values ('Embedded') returning id)"
        " insert into itineraries (package_id, day, title) select id, 1, 'Arrival' from p"
    )


@pytest.mark.parametrize("query", POISON)
def test_no_query_that_makes_postgrest_panic_is_handed_on(query: str, api: Client, people: dict[str, Staff]):
    for headers in ({}, cookie(people["Admin"])):
        body = api.get(f"/rest/v1/{query}", headers=headers, expect=400)
        assert (body["code"], body["message"]) == ("query_refused", body["error"])
    api.patch(f"/rest/v1/{query}", {"title": "x"}, headers=cookie(people["Admin"]), expect=400)


@pytest.mark.parametrize("headers", HEADERS, ids=str)
def test_no_header_of_an_unknown_form_is_handed_on(headers: dict[str, str], api: Client, people: dict[str, Staff]):
    for who in ({}, cookie(people["Admin"])):
        assert api.get("/rest/v1/packages", headers={**who, **headers}, expect=400)["code"] == "query_refused"


@pytest.mark.parametrize("query", VISITORS)
def test_every_read_of_the_sites_pages_passes(query: str, api: Client):
    assert isinstance(api.get(f"/rest/v1/{query}"), list)


@pytest.mark.parametrize("query", STAFF)
def test_every_read_of_the_staff_pages_passes(query: str, api: Client, people: dict[str, Staff]):
    assert isinstance(api.get(f"/rest/v1/{query}", headers=cookie(people["Admin"])), list)


@pytest.mark.parametrize("query", COUNTS)
def test_every_count_of_the_staff_pages_passes(query: str, api: Client, people: dict[str, Staff]):
    headers = {**cookie(people["Admin"]), "Prefer": "count=exact"}
    api.call("HEAD", f"/rest/v1/{query}", headers=headers)
    assert "/" in api.last.headers["Content-Range"]


def test_an_empty_header_says_nothing(api: Client):
    """As supabase-js of the site sends it with each write that wants no rows back."""
    said = {"name": "Ada", "message": "Lovely.", "rating": 5, "status": "pending"}
    api.post("/rest/v1/testimonials", said, headers={"Prefer": "", "Range": ""}, expect=201)


def test_a_read_of_one_row_passes(api: Client):
    assert api.get("/rest/v1/packages?select=title&title=eq.Embedded&limit=1", headers=ONE) == {"title": "Embedded"}


@pytest.mark.parametrize("query", DEAR)
def test_visitors_ask_for_nothing_dear(query: str, api: Client):
    body = api.get(f"/rest/v1/{query}", expect=400)
    assert body["code"] in ("query_refused", "unknown_column")


def test_visitors_embed_two_levels(api: Client):
    path = "/rest/v1/packages?select=name:title,itineraries!inner(day,packages(id,title))&title=eq.Embedded"
    (row,) = api.get(path + "&itineraries.day=gte.1&itineraries.order=day.desc,title&order=title.asc.nullslast")
    assert row["itineraries"][0]["packages"]["title"] == row["name"] == "Embedded"


def test_staff_may_ask_for_more(api: Client, people: dict[str, Staff]):
    asked = "/rest/v1/packages?select=id,itineraries(id,packages(id,itineraries(id)))&or=(title.eq.a,title.match.^E)"
    assert api.get(asked, headers=cookie(people["Guide"]))


def test_requests_of_one_address_are_limited(app_with):
    app = app_with(LIMIT_REST="3 per minute")
    one, two = Client(app, address="2001:db8::1"), Client(app, address="2001:db8::2:0:0:1")
    for _ in range(3):
        one.get("/rest/v1/packages")
    body = two.get("/rest/v1/packages", expect=429)
    assert (body["code"], body["message"]) == ("too_many_requests", body["error"])
    assert 0 < int(two.last.headers["Retry-After"]) <= 60
    Client(app, address="2001:db8:0:1::1").get("/rest/v1/packages")


def test_staff_is_not_counted_among_the_visitors_of_its_address(app_with, people: dict[str, Staff]):
    api = Client(app_with(LIMIT_REST="1 per minute"))
    for _ in range(3):
        api.get("/rest/v1/packages", headers=cookie(people["Guide"]))


def test_a_view_that_cannot_be_written(api: Client, people: dict[str, Staff]):
    for headers in (OWN, cookie(people["Admin"])):
        for method in ("POST", "PATCH", "DELETE"):
            path = "/rest/v1/booking_summaries" + ("" if method == "POST" else "?id=is.null")
            sent = None if method == "DELETE" else {"status": "x"}
            answer = api.http.open(path, method=method, headers={**headers, **RETURNING}, json=sent)
            assert answer.status_code in (400, 401, 403, 405), f"{method} {answer.status} {answer.text}"


@pytest.mark.skipif(not configured(), reason="takes a real PostgREST: POSTGREST_BIN")
def test_nothing_that_passes_leaves_a_connection_in_its_transaction(
    api: Client, people: dict[str, Staff], db: psycopg.Connection, stack: Stack
):
    """The whole table of attacks through the service, then a look at Postgres, and writes."""
    for who in ({}, cookie(people["Admin"])):
        for query in POISON + PASSED + DEAR:
            for method in ("GET", "HEAD", "PATCH", "DELETE"):
                target = f"/rest/v1/{query}&id=is.null" if method in ("PATCH", "DELETE") else f"/rest/v1/{query}"
                api.http.open(
                    target, method=method, headers={**who, **RETURNING}, json={} if method == "PATCH" else None
                )
        for headers in HEADERS + UNREAD:
            api.http.get("/rest/v1/packages", headers={**who, **headers})
            api.http.post("/rest/v1/rpc/check_sentence", data=b"p_name=\xff", headers={**who, **headers})
        assert stuck(db) == []
    for _ in range(20):
        api.post("/rest/v1/faqs", {"question": "q", "answer": "a"}, headers=cookie(people["Admin"]), expect=201)
    attack_directly(stack)
    assert stuck(db)  # so the look finds what it looks for
    time.sleep(6)
    assert stuck(db) == []  # ended by Postgres
    for _ in range(3):  # which PostgREST learns from the next who gets it, as after a restart
        api.http.get("/rest/v1/packages?limit=1")
    for _ in range(20):
        api.post("/rest/v1/faqs", {"question": "q", "answer": "a"}, headers=cookie(people["Admin"]), expect=201)


def attack_directly(stack: Stack) -> None:
    """Not through the service: what anybody with the anon key may do to Supabase itself."""
    key = stack.key("anon")
    with socket.create_connection((urlsplit(stack.url("api")).hostname, stack.ports["api"])) as sock:
        lines = [f"GET /rest/v1/{POISON[0]} HTTP/1.1", "Host: x", "Connection: close", f"apikey: {key}", "", ""]
        sock.sendall("\r\n".join(lines).encode())
        while sock.recv(65536):
            pass


def stuck(db: psycopg.Connection) -> list[tuple[int]]:
    """Connections of PostgREST that are inside a transaction though no request is."""
    return db.execute(
        "select pid from pg_stat_activity where usename = 'authenticator' and state like 'idle in transaction%'"
    ).fetchall()
