"""Bad load, bad clients and a bad database: the gateway answers what it can, and recovers by itself."""

import asyncio
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from devstack.postgres import Postgres
from tests.postgrest.conftest import SECRET, Server
from tests.postgrest.runner import token

SCHEMA = """
create table rows (id integer primary key, note text);
insert into rows select n, 'row ' || n from generate_series(1, 5) n;
create function nap(seconds double precision) returns integer language sql volatile as
  $$ select pg_sleep(seconds); insert into rows values (100, 'late') on conflict do nothing; select 1 $$;
grant select on rows to anon;
grant all on rows to service_role;
"""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("frail")) as running:
        running.execute(SCHEMA)
        yield running


@pytest.fixture(scope="module")
def frail(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A gateway with two connections, for which a request waits half a second."""
    environ = {"PGRST_DB_POOL": "2", "PGRST_DB_POOL_ACQUISITION_TIMEOUT": "0.5"}
    server = Server(postgres, "postgres", "", tmp_path_factory.mktemp("gateway"), **environ)
    server.start()
    yield server
    server.stop()


def rows(frail: Server) -> httpx.Response:
    return frail.client.get(frail.url + "/rows?select=id&order=id&limit=2")


def assert_serves(frail: Server) -> None:
    assert (rows(frail).status_code, rows(frail).json()) == (200, [{"id": 1}, {"id": 2}])


def nap(frail: Server, seconds: float) -> threading.Thread:
    thread = threading.Thread(target=frail.ask, args=("POST", "/rpc/nap", "service_role", {"seconds": seconds}))
    thread.start()
    return thread


def open_socket(frail: Server) -> socket.socket:
    host, port = frail.origin.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def post_head(length: int) -> bytes:
    lines = ["POST /rest/v1/rpc/nap HTTP/1.1", "Host: x", f"Authorization: Bearer {token('service_role', SECRET)}"]
    return "\r\n".join([*lines, "Content-Type: application/json", f"Content-Length: {length}", "", ""]).encode()


def test_two_hundred_at_once_are_all_answered(frail: Server) -> None:
    async def run() -> Counter[int]:
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(limits=limits, timeout=30) as client:
            answers = await asyncio.gather(*(client.get(f"{frail.url}/rows?id=eq.{n % 5 + 1}") for n in range(200)))
            for n, answer in enumerate(answers):
                if answer.status_code == 200:
                    assert answer.json() == [{"id": n % 5 + 1, "note": f"row {n % 5 + 1}"}]
                else:  # on a slow machine two connections are not enough for all within half a second
                    assert (answer.status_code, answer.json()["code"]) == (504, "PGRST003")
            return Counter(answer.status_code for answer in answers)

    assert asyncio.run(run())[200] >= 50
    assert_serves(frail)


def test_more_kinds_of_statements_than_are_kept(frail: Server) -> None:
    for n in range(700):
        answer = frail.client.get(f"{frail.url}/rows?select=a{n}:id&limit=1")
        assert answer.json() == [{f"a{n}": 1}]


def test_exhausted_pool_says_so_and_recovers(frail: Server) -> None:
    busy = [nap(frail, 1.2) for _ in range(2)]
    time.sleep(0.3)
    refused = rows(frail)
    assert (refused.status_code, refused.json()["code"]) == (504, "PGRST003")
    for thread in busy:
        thread.join()
    assert_serves(frail)


def test_slow_and_vanishing_clients_hold_no_connection(frail: Server) -> None:
    slow = [open_socket(frail) for _ in range(10)]
    for connection in slow:
        connection.sendall(post_head(100) + b"{")
    for half in (
        b"GET /rest/v1/rows HTTP/1.1\r\nHo",
        post_head(17) + b'{"seconds": 0.0',
        post_head(16) + b'{"seconds": 0.1}',
    ):
        for _ in range(5):
            connection = open_socket(frail)
            connection.sendall(half)
            connection.close()
    frail.wait(lambda: rows(frail).status_code == 200)
    assert_serves(frail)
    for connection in slow:
        connection.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_body_over_the_limit_is_413(frail: Server, chunked: bool) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(1100):
            yield b" " * 10_000

    content = pieces() if chunked else b" " * 11_000_000
    headers = {"Content-Type": "application/json"}
    try:
        assert frail.client.post(frail.url + "/rows", content=content, headers=headers).status_code == 413
    except httpx.WriteError:  # the answer came, and the end of the connection, while the client was still sending
        pass
    assert_serves(frail)


@pytest.mark.parametrize(
    "path",
    [
        "/rows?select=" + "a" * 64_500,
        "/rows?select=" + "(".join(["rows"] * 3000),
        "/rows?or=" + "(or" * 3000,
        "/rows?id=in.(" + ",".join(["x"] * 20_000) + ")",
    ],
    ids=["long", "nested embeds", "nested logic", "long list"],
)
def test_absurd_url_is_refused(frail: Server, path: str) -> None:
    assert 400 <= frail.client.get(frail.url + path).status_code < 500
    assert_serves(frail)


def test_absurd_body_is_refused(frail: Server) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token('service_role', SECRET)}"}
    for content in (b"[" * 100_000, b'{"id":' * 50_000, b"\xff\xfe", b'{"id": NaN}', b"{} {}", b'{"id": 1e999999}'):
        answer = frail.client.post(frail.url + "/rows", content=content, headers=headers)
        assert 400 <= answer.status_code < 500, answer.text
    assert_serves(frail)


def test_killed_connections_are_replaced(frail: Server) -> None:
    frail.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'authenticator'")
    for _ in range(5):
        assert_serves(frail)


def test_request_whose_connection_is_killed_is_503_and_leaves_nothing(frail: Server) -> None:
    frail.execute("delete from rows where id = 100")
    answers: list[dict] = []
    call = ("POST", "/rpc/nap", "service_role", {"seconds": 5})
    thread = threading.Thread(target=lambda: answers.append(frail.ask(*call)))
    thread.start()
    victim = "from pg_stat_activity where usename = 'authenticator' and state = 'active' and query like '%nap%'"
    with psycopg.connect(frail.database_uri, autocommit=True) as connection:
        frail.wait(lambda: connection.execute(f"select count(*) {victim}").fetchone() == (1,))
        connection.execute(f"select pg_terminate_backend(pid) {victim}")
    thread.join()
    assert answers[0]["status"] == 503 and answers[0]["json"]["code"] in ("PGRST001", "57P01")
    assert frail.ask("GET", "/rows?id=eq.100", "service_role")["json"] == []


def test_schema_is_read_anew_when_told_and_after_the_listener_was_killed(frail: Server) -> None:
    frail.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'")
    frail.execute("create table fresh (id integer); grant select on fresh to anon; notify pgrst, 'reload schema'")
    frail.wait(lambda: frail.ask("GET", "/fresh")["status"] == 200)
    frail.execute("alter table fresh add column more text; notify pgrst")
    frail.wait(lambda: frail.ask("GET", "/fresh?select=more")["status"] == 200)
    frail.execute("drop table fresh; notify pgrst, 'reload schema'")
    frail.wait(lambda: frail.ask("GET", "/fresh")["status"] == 404)


def test_configuration_of_the_role_counts(frail: Server) -> None:
    frail.execute("alter role authenticator set pgrst.db_max_rows = '3'; notify pgrst, 'reload config'")
    frail.wait(lambda: len(frail.ask("GET", "/rows")["json"]) == 3)
    frail.execute("alter role authenticator reset pgrst.db_max_rows; notify pgrst, 'reload config'")
    frail.wait(lambda: len(frail.ask("GET", "/rows")["json"]) > 3)


def test_restart_of_the_database_is_survived(frail: Server, postgres: Postgres) -> None:
    postgres.stop()
    down = rows(frail)
    assert down.status_code == 503 and json.loads(down.text)["code"] in ("PGRST000", "PGRST001")
    assert frail.client.get(f"{frail.origin}/health").status_code == 503
    postgres.start()
    frail.wait(lambda: rows(frail).status_code == 200)
    frail.wait(lambda: frail.client.get(f"{frail.origin}/health").status_code == 200)
    assert_serves(frail)


def test_database_that_starts_later_is_waited_for(postgres: Postgres, tmp_path: Path) -> None:
    postgres.stop()
    server = Server(postgres, "postgres", "", tmp_path)
    starter = threading.Timer(0.5, postgres.start)
    starter.start()
    try:
        server.start()
        assert_serves(server)
    finally:
        starter.join()
        assert server.stop() in (0, -signal.SIGTERM)
