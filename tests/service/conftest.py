"""An application without a database behind it: what is tested here must not need one."""

import pytest
from flask import Flask

from service import create_app
from service.config import ACCOUNT_LIMITS, IP_LIMITS, Settings
from tests.client import Client

CLOSED = "http://127.0.0.1:9"  # nobody listens on the discard port


@pytest.fixture(scope="package")
def lone_app() -> Flask:
    return create_app(
        Settings(
            is_production=False,
            supabase_url=CLOSED,
            supabase_key="service",
            jwt_secret="a secret of the tests, long enough",
            frontend_url="http://site.example",
            cors_origins=("http://site.example",),
            bcrypt_rounds=4,
            log_level="CRITICAL",
            ip_limits={**IP_LIMITS, "login": "1000000 per hour"},
            account_limits=ACCOUNT_LIMITS,
        )
    )


@pytest.fixture
def lone(lone_app: Flask) -> Client:
    return Client(lone_app)
