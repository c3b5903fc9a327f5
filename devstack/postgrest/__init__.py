"""A small PostgREST: the HTTP interface of PostgREST 14 over one Postgres database, as an ASGI application.

The modules follow a request: `app` receives it, `auth` reads its token, `preferences` and `query_string` its wishes,
`catalog` and `relationships` know the database, `read`, `write` and `call` turn it into one SQL statement, `pool` runs
that as one transaction in one network trip, `answers` makes the response. What is not supported is refused with 501.
"""

from devstack.postgrest.app import Application
from devstack.postgrest.settings import Settings

__all__ = ["Application", "Settings"]
