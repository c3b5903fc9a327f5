"""A small PostgREST: the HTTP interface of PostgREST 14 over one Postgres database, as an ASGI application.

The modules follow a request: `app` receives it and `auth` reads its token; `preferences`, `query_string` (with
`grammar` and `terms`) and `payload` read its wishes; `handlers` plans it, with what `keeper`, `catalog` and
`relationships` know of the database; `resources`, `conditions`, `read`, `write` and `call` turn it into one SQL
`statement`, which `pool` and `connection` run as one transaction in one network trip; `answers` makes the response.
What is not supported is refused with 501.
"""

from devstack.postgrest.app import Application
from devstack.postgrest.settings import Settings

__all__ = ["Application", "Settings"]
