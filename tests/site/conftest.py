"""Staff of each role, for the tests of `/rest/v1`."""

import psycopg
import pytest

from service.permissions import ROLES
from tests.client import Client
from tests.factories import Staff, make_staff


@pytest.fixture(scope="module")
def people(app, db: psycopg.Connection) -> dict[str, Staff]:
    return {role: make_staff(Client(app), db, role) for role in ROLES}
