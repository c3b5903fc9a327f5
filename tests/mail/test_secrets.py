"""Who reads the whole database can verify no address and reset no password with it."""

import re
from collections.abc import Callable

import psycopg
from flask import Flask

from devstack.mailbox import Mailbox
from tests.client import Client
from tests.factories import PASSWORD, unique_email
from tests.sure import match

VALUE = re.compile(r"[\w.+/=$-]{12,}")


def dump(db: psycopg.Connection) -> list[str]:
    """Every row of every table, as text."""
    tables = db.execute(
        "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname not like 'pg\\_%'"
        " and schemaname <> 'information_schema'"
    ).fetchall()
    return [row for (table,) in tables for (row,) in db.execute(f"select t::text from {table} t").fetchall()]


def test_nothing_in_the_database_verifies_or_resets(
    app: Flask, api: Client, db: psycopg.Connection, mailbox: Mailbox, deliver: Callable[[], None]
) -> None:
    email = unique_email()
    made = api.post("/api/customers/register", {"email": email, "password": PASSWORD, "name": "Mara"}, expect=201)
    api.post("/api/customers/forgot-password", {"email": email})
    before = dump(db)
    deliver()
    after = dump(db)
    links = [mailbox.links(mailbox.read(mail["id"]))[0] for mail in mailbox.messages(email)]
    found = [match(r"/([a-z-]+)\?token=([^&]+)", link) for link in links]
    tokens = {page[1]: page[2] for page in found}
    assert tokens.keys() == {"verify-email", "reset-password"}
    assert not any(token in row for row in before + after for token in tokens.values())

    about = [row for row in before + after if made["customerId"] in row or email in row]
    guesses = {value for row in about for value in VALUE.findall(row)}
    assert len(guesses) > 10
    for guess in guesses:
        anyone = Client(app)  # with an address of their own, so that no limit stops them
        given = {"customerId": made["customerId"], "token": guess, "newPassword": "a new one 1979"}
        anyone.post("/api/customers/verify-email", given, expect=400)
        anyone.post("/api/customers/reset-password", given, expect=400)

    given = {"customerId": made["customerId"], "newPassword": "a new one 1979"}
    api.post("/api/customers/verify-email", given | {"token": tokens["verify-email"]})
    api.post("/api/customers/reset-password", given | {"token": tokens["reset-password"]})
