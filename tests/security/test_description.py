"""openapi.json is as strict as the code: what it calls valid is taken, what it calls invalid refused, by everybody.

A few calls of each operation here, the same in every run; `make proof` makes other ones by the hundred.
"""

import os
from collections.abc import Callable, Iterator
from unittest import mock

import psycopg
import pytest
from flask import Flask
from schemathesis import APIOperation

from service.config import ACCOUNT_LIMITS, IP_LIMITS, Config
from tests.conftest import DIRECTORY, begin_with_project
from tests.security.fuzzing import MODES, Everybody, can_be_broken, describe, fuzz
from tools.stack import Stack, free_ports

UNLIMITED = {f"LIMIT_{name.upper()}": "1000000 per hour" for name in IP_LIMITS | ACCOUNT_LIMITS}


@pytest.fixture(scope="module")
def everybody(app_of: Callable[[Config], Flask]) -> Iterator[Everybody]:
    """At a service and a database of their own: the calls change and delete whatever they reach."""
    begin_with_project(DIRECTORY / "fuzzed")
    with Stack(DIRECTORY / "fuzzed", free_ports()) as stack:
        given = {**stack.service_environment(), "BCRYPT_ROUNDS": "4", "LOG_LEVEL": "CRITICAL", **UNLIMITED}
        with mock.patch.dict(os.environ, given, clear=True):
            app = app_of(Config.from_env())
        with psycopg.connect(stack.postgres.uri(), autocommit=True) as db:
            yield Everybody(app, db)


def operations(app: Flask) -> list[APIOperation]:
    return [result.ok() for result in describe(app).get_all_operations()]  # type: ignore[union-attr]  # Err: fails


@pytest.mark.parametrize("mode", MODES)
def test_everybody_is_answered_as_described(mode: str, everybody: Everybody):
    made = sum(
        fuzz(operation, mode, everybody, examples=2)
        for operation in operations(everybody.app)
        if mode == "valid" or can_be_broken(operation)
    )
    assert made > 500


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", MODES)
def test_everybody_is_answered_as_described_by_the_hundred(mode: str, everybody: Everybody):
    for operation in operations(everybody.app):
        if mode == "valid" or can_be_broken(operation):
            fuzz(operation, mode, everybody, examples=100, derandomize=False)
