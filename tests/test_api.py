"""The committed description is the code's own."""

import json
from pathlib import Path

from flask import Flask

from tests.client import Client

COMMITTED = Path(__file__).parents[1] / "openapi.json"


def test_the_committed_description_is_fresh(lone: Client):
    assert json.loads(COMMITTED.read_text()) == lone.get("/api/openapi.json"), "run `make openapi`"


def test_every_route_of_the_api_is_described(lone: Client, lone_app: Flask):
    paths = lone.get("/api/openapi.json")["paths"]
    described = {
        (path.replace("{", "<").replace("}", ">"), method.upper())
        for path in paths
        for method in set(paths[path]) - {"parameters"}
    }
    routes = {
        (rule.rule, method)
        for rule in lone_app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/") and not rule.endpoint.startswith(("api-docs.", "docs_assets"))
    }
    assert routes - described == set()
    assert described - routes == set()


def test_every_operation_says_what_it_does(lone: Client):
    paths = lone.get("/api/openapi.json")["paths"]
    silent = [
        f"{method} {path}"
        for path, operations in paths.items()
        for method, operation in operations.items()
        if method != "parameters" and not operation.get("summary")
    ]
    assert silent == []
