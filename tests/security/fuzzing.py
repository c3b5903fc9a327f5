"""Calls made up by schemathesis from the API's description, valid ones and broken ones, each sent as everybody."""

import itertools
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import psycopg
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, BaseSchema, Case, CheckContext, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.openapi import from_dict
from schemathesis.specs.openapi import checks

from service.permissions import ROLES
from tests.client import Client
from tests.factories import make_booking, make_customer, make_staff

MODES = {"valid": GenerationMode.POSITIVE, "broken": GenerationMode.NEGATIVE}
FORM_REFUSED = {"validation_failed", "invalid_json", "nothing_to_update", "unsupported_media_type"}
NUMBER = re.compile(r"\s*[0-9.eE+-]+\s*")
# OpenAPI 3.0 has no word for what a key of an object may be.
KEYS_UNSAID = "/api/settings"


def _text(alphabet: str, shortest: int, longest: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=shortest, max_size=longest)


# What a format cannot say more closely: addresses as people have them, passwords that are nobody's, days to come.
FORMATS = {
    "email": st.builds("{}@{}.example".format, _text("abcxyz09", 1, 20), _text("abcxyz09", 1, 20)),
    "password": _text("abcdefghijkmnopqrstuvwxyzABCDEFGHJ -_.23456789", 20, 60),
    "date": st.dates(date(2031, 1, 1), date(2090, 1, 1)).map(str),
    "date-time": st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1)).map(lambda at: f"{at.isoformat()}Z"),
}
for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)


def describe(app: Flask) -> BaseSchema:
    """The description, to make calls of: without NUL (see tests/test_odd_input.py) and keys that nobody asked for."""
    generation = GenerationConfig(allow_x00=False, allow_extra_parameters=False, with_security_parameters=False)
    config = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=generation)))
    schema = from_dict(app.test_client().get("/api/openapi.json").get_json(), config=config)
    schema.app = app
    return schema


class Everybody:
    """Nobody, a customer and staff of each role; who lost the session in a call gets another."""

    def __init__(self, app: Flask, db: psycopg.Connection) -> None:
        self.app, self.db = app, db
        self.makers: dict[str, Callable[[Client], Any]] = {
            "customer": lambda api: make_customer(api, db),
            **{role: lambda api, role=role: make_staff(api, db, role) for role in ROLES},  # type: ignore[misc]
        }
        self.people: dict[str, Any] = {}

    def headers(self) -> dict[str, dict[str, str]]:
        """The headers of each identity."""
        for identity, make in self.makers.items():
            if not self._is_alive(identity):
                self.people[identity] = make(Client(self.app))
        return {"nobody": {}, **{identity: person.api.headers for identity, person in self.people.items()}}

    def ids(self) -> dict[str, str]:
        """Ids of addresses that are the customer's own."""
        customer_id = self.people["customer"].id
        return {"customer_id": customer_id, "booking_id": make_booking(self.db, customer_id=customer_id)}

    def _is_alive(self, identity: str) -> bool:
        if identity not in self.people:
            return False
        path = "/api/customers/me" if identity == "customer" else "/api/bookings?limit=1"
        return self.app.test_client().get(path, headers=self.people[identity].api.headers).status_code == 200


def valid_form_is_taken(ctx: CheckContext, response: Response, case: Case) -> None:
    """What the description calls valid is not refused for its form. A state of things may stand against it."""
    assert case.meta
    if (
        case.meta.generation.mode is GenerationMode.POSITIVE
        and case.path != KEYS_UNSAID
        and response.status_code >= 400
    ):
        told = response.json()
        assert told["code"] not in FORM_REFUSED, f"{told} for {case.body!r} {case.query} {case.path_parameters}"


def broken_form_is_refused(ctx: CheckContext, response: Response, case: Case) -> bool | None:
    """What the description calls invalid is refused, but for numbers as the text that a form holds."""
    values = case.body.values() if isinstance(case.body, dict) else ()
    if response.status_code == 413 or any(isinstance(value, str) and NUMBER.fullmatch(value) for value in values):
        return None
    return checks.negative_data_rejection(ctx, response, case)


CHECKS: list[Any] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
    valid_form_is_taken,
    broken_form_is_refused,
]


def fuzz(operation: APIOperation, mode: str, everybody: Everybody, examples: int, *, derandomize: bool = True) -> int:
    """So many valid or broken calls of one operation, each as everybody. The answer is how many were made."""
    headers, ids, addresses = everybody.headers(), everybody.ids(), _addresses()
    takes_session = "security" not in operation.definition.raw
    made = 0

    @given(case=operation.as_strategy(generation_mode=MODES[mode]), is_known=st.booleans())
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=derandomize,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def call(case: Case, is_known: bool) -> None:
        nonlocal made
        if is_known:
            case.path_parameters.update({name: ids[name] for name in ids.keys() & case.path_parameters.keys()})
        for identity, sent in headers.items():
            response = case.call(headers=sent, environ_base={"REMOTE_ADDR": next(addresses)})
            case.validate_response(response, checks=CHECKS)
            if identity == "nobody" and takes_session:
                assert response.status_code == 401, f"nobody: {response.status_code}"
            made += 1

    call()
    return made


def can_be_broken(operation: APIOperation) -> bool:
    """Whether a call has a form: a body, or a query. What an address names is there or not."""
    return bool(operation.body or operation.query)


def _addresses() -> Iterator[str]:
    """An address for each call, so that no limit is met."""
    return (f"10.{a}.{b}.{c}" for a, b, c in itertools.product(range(256), range(256), range(1, 255)))
