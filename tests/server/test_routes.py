"""What the server knows of the routes agrees with them."""

import pytest
from flask import Flask

from service.config import Config
from service.server import routes
from service.settings.logo import MAX_BYTES


def test_what_a_view_takes_is_gathered():
    assert routes.MAX_BODY == Config.max_body_bytes
    assert routes.max_body("/api/settings/logo/") == MAX_BYTES + 100_000  # the form around the picture
    assert routes.max_body("/api/settings") == routes.MAX_BODY


@pytest.mark.parametrize(
    ("method", "path", "lane"),
    [
        ("GET", "/api/health", "health"),
        ("POST", "/api/customers/login", "passwords"),
        ("POST", "/customers/login/", "passwords"),
        ("POST", "/api/customers/register", "passwords"),
        ("POST", "/api/customers/reset-password", "passwords"),
        ("POST", "/api/customers/change-password", "passwords"),
        ("POST", "/api/auth/login", "passwords"),
        ("POST", "/api/auth/change-password", "passwords"),
        ("POST", "/api/auth/accept-invitation", "passwords"),
        ("POST", "/api/users", "passwords"),
        ("PUT", "/api/users/1", "passwords"),
        ("GET", "/api/users", "others"),
        ("POST", "/api/customers/logout", "others"),
        ("GET", "/api/customers/me", "others"),
        ("POST", "/rest/v1/login", "others"),
    ],
)
def test_lanes(app: Flask, method: str, path: str, lane: str):
    assert routes.lane_of(method, path) == lane
    if not path.startswith("/rest"):
        app.url_map.bind("x").match(path, method)
