"""The whole stack for a project of a few lines, and the command that runs it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from devstack.postgres import Postgres
from devstack.stack import PORTS, Part, PortTaken, Stack, StackError, chosen_ports, free_ports
from devstack.stripe import Control

TABLES = """
create table public.notes (id integer primary key, text text);
create function public.shout(word text) returns text language sql as $$ select upper(word) $$;
create table public.currencies (code text primary key, exponent integer, minimum numeric);
insert into public.currencies values ('jpy', 0, 50), ('npr', 2, 7000);
notify pgrst, 'reload schema';
"""
SEED = "insert into public.notes values (1, 'hello');"
WEB = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port={port}, bind='127.0.0.1')"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project: two migrations and a seed."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "migrations").mkdir()
    (folder / "migrations" / "20250101000000_tables.sql").write_text(TABLES)
    (folder / "migrations" / "20250102000000_rights.sql").write_text("revoke all on public.currencies from anon;")
    (folder / "seed.sql").write_text(SEED)
    return folder


class Mine(Stack):
    def parts(self) -> dict[str, Part]:
        web = [sys.executable, "-c", WEB.format(port=self.ports["web"])]
        return {**super().parts(), "web": Part(web, self.environment(), "/")}


@pytest.fixture(scope="module")
def mine(project: Path) -> Iterator[Mine]:
    stack = Mine(
        project / "data",
        free_ports({"web": ("PORT", 3000), **PORTS}),
        root=project,
        migrations=project / "migrations",
        seed=project / "seed.sql",
        gateways={"stripe": None, "razorpay": "http://127.0.0.1:9/hook"},
        currencies="select * from public.currencies",
    )
    stack.start(seed=True)
    yield stack
    stack.stop()


def test_everything_answers(mine: Mine) -> None:
    found = mine.environment()
    headers = {"apikey": found["SUPABASE_ANON_KEY"]}
    assert httpx.get(found["SUPABASE_URL"] + "/rest/v1/notes", headers=headers).json() == [{"id": 1, "text": "hello"}]
    control = Control(mine.url("stripe"))
    assert control.ledger()["charges"] == []
    control.http.close()
    assert httpx.get(mine.url("mailbox") + "/ready").json()["ready"] is True


def test_currencies_come_from_the_query(mine: Mine) -> None:
    def create(amount: int, currency: str) -> httpx.Response:
        key = {"Authorization": f"Bearer {mine.secrets['stripe_secret_key']}"}
        form = {"amount": str(amount), "currency": currency}
        return httpx.post(mine.url("stripe") + "/v1/payment_intents", data=form, headers=key)

    assert create(7000, "npr").status_code == 200
    assert create(6999, "npr").json()["error"]["code"] == "amount_too_small"
    assert "jpy, npr" in create(7000, "usd").json()["error"]["message"]


def test_gateways_have_their_keys_and_webhooks(mine: Mine) -> None:
    found = mine.environment()
    auth = found["RAZORPAY_KEY_ID"], found["RAZORPAY_KEY_SECRET"]
    assert httpx.get(found["RAZORPAY_API_BASE"] + "/v1/orders", auth=auth).json()["count"] == 0
    assert httpx.get(found["RAZORPAY_API_BASE"] + "/v1/orders", auth=("rzp_test_x", "x")).status_code == 401
    webhook = httpx.get(mine.url("razorpay") + "/_local/webhook").json()
    assert webhook["url"] == "http://127.0.0.1:9/hook" and webhook["secret"] == found["RAZORPAY_WEBHOOK_SECRET"]
    assert not any(name.startswith("PAYPAL_") for name in found)


def test_older_directory_gets_the_secrets_that_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text('{"stripe_secret_key": "sk_test_old"}')
    first = Stack(tmp_path, free_ports()).secrets
    assert first["stripe_secret_key"] == "sk_test_old" and first["razorpay_key_id"].startswith("rzp_test_")
    assert Stack(tmp_path, free_ports()).secrets == first


def test_part_of_the_project_is_started_killed_and_missed(mine: Mine) -> None:
    mine.start_part("web")
    mine.wait_until_ready("web")
    assert "migrations" in httpx.get(mine.url("web")).text
    mine.kill("web")
    with pytest.raises(httpx.ConnectError):
        httpx.get(mine.url("web"))
    mine.start_part("web")
    mine.processes["web"].kill()
    mine.processes["web"].wait()
    with pytest.raises(StackError, match="web did not start: see .*web.log"):
        mine.wait_until_ready("web")
    mine.kill("web")


def test_owner_is_as_weak_as_on_a_hosted_project_and_as_generous(mine: Mine) -> None:
    with psycopg.connect(mine.postgres.uri(), autocommit=True) as owner:
        assert owner.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (False,)
        for schema in ("auth", "storage", "graphql_public"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(f"create table {schema}.mine (id integer)".encode())
        rights = "select has_table_privilege('anon', %s, 'delete')"
        assert owner.execute(rights, ["public.notes"]).fetchone() == (True,)
        assert owner.execute(rights, ["public.currencies"]).fetchone() == (False,)
        called = "select proacl::text from pg_proc where oid = 'public.shout(text)'::regprocedure"
        granted = owner.execute(called).fetchall()[0][0]
        assert {"anon=X/postgres", "authenticated=X/postgres", "service_role=X/postgres"} <= set(
            granted.strip("{}").split(",")
        )


def test_project_of_the_newer_kind_grants_nothing(tmp_path: Path) -> None:
    with Postgres(tmp_path, default_privileges=False) as postgres:
        postgres.execute("create table notes (id integer)")
        with psycopg.connect(postgres.uri()) as owner:
            for role in ("anon", "authenticated", "service_role"):
                asked = owner.execute("select has_table_privilege(%s, 'public.notes', 'select')", [role])
                assert asked.fetchone() == (False,)


def test_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"Port {port} is in use. .* the mail: MAIL_PORT={port + 1}$"):
            chosen_ports({"mail": ("MAIL_PORT", port)})
        monkeypatch.setenv("MAIL_PORT", str(free_ports({"mail": ("MAIL_PORT", 1)})["mail"]))
        assert chosen_ports({"mail": ("MAIL_PORT", port)})["mail"] != port


def test_command_runs_until_it_is_told_to_end(project: Path, tmp_path: Path) -> None:
    ports = {PORTS[name][0]: str(port) for name, port in free_ports().items()}
    command = [sys.executable, "-m", "devstack", "--directory", str(tmp_path), "--seed", str(project / "seed.sql")]
    command += ["--migrations", str(project / "migrations"), "--gateway", "razorpay="]
    process = subprocess.Popen(command, env={**os.environ, **ports}, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    printed = ""
    while "Ctrl-C" not in printed:
        line = process.stdout.readline()
        assert line, f"it ended: {printed}"
        printed += line
    told = dict(re.findall(r"^(\w+)=(.*)$", printed, re.M))
    answer = httpx.get(told["SUPABASE_URL"] + "/rest/v1/notes", headers={"apikey": told["SUPABASE_ANON_KEY"]})
    assert answer.json() == [{"id": 1, "text": "hello"}]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    process.stdout.close()
    assert json.loads((tmp_path / "secrets.json").read_text())["razorpay_key_id"] == told["RAZORPAY_KEY_ID"]
