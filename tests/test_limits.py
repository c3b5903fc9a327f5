"""The limits per IP address: who is one address, and what each of several workers counts."""

import pytest
from flask import Flask

from service.config import ACCOUNT_LIMITS, IP_LIMITS, Config
from service.limits import client_address
from service.settings import logo
from service.site import queries
from tests.client import Client
from tools.project import PROJECT

TOKEN = "/api/customers/verify-email"


def verify(api: Client, expect: int) -> None:
    api.post(TOKEN, {"customerId": "00000000-0000-4000-8000-000000000000", "token": "0" * 64}, expect=expect)


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("10.1.2.3:80", "10.1.2.3:80"),
    ],
)
def test_an_ipv6_client_is_its_network(told: str, counted: str, lone_app: Flask):
    with lone_app.test_request_context(environ_base={"REMOTE_ADDR": told}):
        assert client_address() == counted


def test_addresses_of_one_network_share_a_limit(app_with):
    app = app_with(LIMIT_TOKEN="2 per hour")
    verify(Client(app, address="2001:db8:9::1"), 400)
    verify(Client(app, address="2001:db8:9::2"), 400)
    verify(Client(app, address="2001:db8:9::3"), 429)
    verify(Client(app, address="2001:db8:9:1::3"), 400)


@pytest.mark.parametrize(
    ("workers", "limit", "passed"),
    [("1", "4 per hour", 4), ("2", "4 per hour", 2), ("3", "4 per hour", 2), ("9", "4 per hour", 1)],
)
def test_each_worker_counts_its_share(workers: str, limit: str, passed: int, app_with):
    api = Client(app_with(WEB_CONCURRENCY=workers, LIMIT_TOKEN=limit))
    for _ in range(passed):
        verify(api, 400)
    verify(api, 429)


def test_a_limit_of_several_parts_is_shared_part_by_part(app_with):
    api = Client(app_with(WEB_CONCURRENCY="2", LIMIT_TOKEN="100 per minute; 3 per 2 hours"))
    verify(api, 400)
    verify(api, 400)
    verify(api, 429)
    assert 7100 < int(api.last.headers["Retry-After"]) <= 7201


def test_a_redis_counts_for_all_workers_and_its_loss_keeps_nobody_out(app_with):
    api = Client(app_with(WEB_CONCURRENCY="4", RATELIMIT_STORAGE_URI="redis://127.0.0.1:9", LIMIT_REST="1 per minute"))
    for _ in range(3):
        api.get("/rest/v1/packages?limit=1")


def test_the_page_of_limits_names_each_variable_with_its_figure():
    page = (PROJECT / "docs" / "limits.md").read_text()
    for name, figure in {**IP_LIMITS, **ACCOUNT_LIMITS}.items():
        assert f"| {figure} | `LIMIT_{name.upper()}` |" in page, name
    assert f"{Config.max_body_bytes:,} bytes" in page
    assert f"{logo.MAX_BYTES:,} bytes" in page
    assert f"{queries.MAX_QUERY:,} characters, {queries.MAX_EMBEDDED} embedded" in page
