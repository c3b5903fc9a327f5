"""docs/rights.md is what the database does: in its catalogue, in existing projects, and when PostgREST is asked."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import psycopg
import pytest

from service.permissions import ROLES
from tests.client import Client
from tests.database.existing import PROJECTS
from tests.factories import make_customer, make_staff
from tools import rights
from tools.stack import Stack

IDENTITIES = ["anon", "authenticated", "customer", *ROLES]
# Older Supabase projects grant everything new to everybody.
OPEN = """
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
"""
RELATIONS = """
    select c.relname, array_agg(a.attname::text order by a.attnum) from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
    group by c.relname order by 1
"""
SERVED = """
    select proname, coalesce(proargnames[1:pronargs], '{}') from pg_proc
    where pronamespace = 'public'::regnamespace and prokind = 'f' order by 1
"""


@pytest.fixture(scope="module")
def tokens(stack: Stack, app, db: psycopg.Connection) -> dict[str, str]:
    """A token of each identity, as the service makes them for PostgREST; of anon the project's key."""
    secret, now = stack.secrets["supabase_jwt_secret"], int(time.time())

    def signed(role: str, **claims: object) -> str:
        return jwt.encode({"role": role, "iat": now, "exp": now + 3600, **claims}, secret, "HS256")

    found = {
        "anon": stack.key("anon"),
        "authenticated": signed("authenticated", sub="00000000-0000-4000-8000-000000000001"),
        "customer": signed("customer", sub=make_customer(Client(app), db).id),
    }
    for role in ROLES:
        member = make_staff(Client(app), db, role)
        session = jwt.decode(member.token, options={"verify_signature": False})["sid"]
        found[role] = signed("staff", sub=str(member.id), email=member.email, sid=session)
    return found


@pytest.fixture
def ask(stack: Stack, tokens: dict[str, str], request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """PostgREST as the identity that the test is about."""
    headers = {"apikey": stack.key("anon"), "Authorization": f"Bearer {tokens[request.param]}"}
    with httpx.Client(base_url=stack.url("api") + "/rest/v1/", headers=headers) as client:
        yield client


def test_the_committed_document_is_fresh(stack: Stack, db: psycopg.Connection):
    assert rights.RIGHTS.read_text() == rights.document(db), "run `make rights`, and read what changed"


@pytest.mark.parametrize("project", PROJECTS)
def test_an_existing_project_has_the_same(project: str, stack: Stack):
    """However open it was, and whatever it grants by itself."""
    stack.postgres.create_database(f"rights_{project}")
    stack.postgres.execute(OPEN + PROJECTS[project], database=f"rights_{project}")
    stack.postgres.migrate(f"rights_{project}")
    with psycopg.connect(stack.postgres.uri(database=f"rights_{project}")) as connection:
        assert rights.document(connection) == rights.RIGHTS.read_text()


def role_of(identity: str) -> str:
    return "staff" if identity in ROLES else identity


def may_write(identity: str, right: rights.Right, having: dict[str, set[str]]) -> bool:
    """Staff without the permission is told so before rows are looked at; of reading it only sees less."""
    return right.role != "staff" or identity in rights.roles_of(right, having)


def denied(answer: httpx.Response) -> bool:
    """Whether the database said no to the role; what it says of rows and values comes after that.

    55000 and 428C9 (a view that joins, a key that the table makes) are found before rights are looked at.
    """
    if answer.request.method == "HEAD":
        return answer.status_code in (401, 403)
    if answer.status_code < 400:
        return False
    body = answer.json()
    refused = body["code"] == "42501" and body["message"].startswith("permission denied")
    return refused or body["code"] in ("55000", "428C9") or body.get("hint") == "insufficient_permissions"


def requests(column: str) -> Iterator[tuple[set[str], dict[str, Any]]]:
    """The verbs, and a request that takes them and touches no row: what is changed or deleted has a key of nothing."""
    row, none = {column: None}, {column: "is.null", "limit": "0"}
    yield {"select"}, {"method": "GET", "params": {"select": column, "limit": "1"}}
    yield {"select"}, {"method": "HEAD", "params": {"select": column}, "headers": {"Prefer": "count=exact"}}
    yield {"insert"}, {"method": "POST", "json": row}
    yield {"insert", "update"}, {"method": "POST", "json": row, "headers": {"Prefer": "resolution=merge-duplicates"}}
    yield {"update"}, {"method": "PATCH", "json": row, "params": none}
    yield {"delete"}, {"method": "DELETE", "params": none}


@pytest.mark.parametrize(("ask", "identity"), [(name, name) for name in IDENTITIES], indirect=["ask"])
def test_every_table_and_verb(ask: httpx.Client, identity: str, db: psycopg.Connection):
    having = rights.holders(db)
    for table, columns in db.execute(RELATIONS).fetchall():
        mine = [right for right in rights.rights(db) if (right.table, right.role) == (table, role_of(identity))]
        allowed = {right.verb for right in mine if right.verb == "select" or may_write(identity, right, having)}
        (column, *_) = sorted(set(columns).intersection(*(right.columns for right in mine if right.columns)))
        for verbs, sent in requests(column):
            answer = ask.request(url=table, **sent)
            told = f"{identity} {sorted(verbs)} {table}: {answer.status_code} {answer.text}"
            assert denied(answer) != (verbs <= allowed), told
            assert answer.status_code < 500 or not verbs <= allowed, told


@pytest.mark.parametrize(("ask", "identity"), [(name, name) for name in IDENTITIES], indirect=["ask"])
def test_every_function(ask: httpx.Client, identity: str, db: psycopg.Connection):
    callers = rights.functions(db)
    for name, arguments in db.execute(SERVED).fetchall():
        is_allowed = role_of(identity) in callers.get(f"public.{name}", (False, []))[1]
        for answer in (ask.post(f"rpc/{name}", json=dict.fromkeys(arguments)), ask.get(f"rpc/{name}")):
            told = f"{identity} {name}: {answer.status_code} {answer.text}"
            if answer.request.method == "GET" or not is_allowed:
                assert answer.status_code >= 400 and answer.json()["code"] in ("42501", "PGRST202", "25006"), told
            else:
                assert answer.status_code < 300 or answer.json()["code"] not in ("42501", "PGRST202"), told
