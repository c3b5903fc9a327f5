"""The links in mails: made as they are sent, and only then."""

import logging
from collections.abc import Callable

import psycopg
import pytest

from devstack.mailbox import Mailbox
from service.config import Config
from service.credentials import hash_token
from service.mail.worker import Worker
from tests.client import Client
from tests.factories import PASSWORD, unique_email
from tests.mail.outbox import drain, make_due, states
from tests.sure import match

pytestmark = pytest.mark.usefixtures("quiet_outbox")


def test_a_mail_whose_purpose_is_gone_is_dropped(
    api: Client, db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    email = unique_email()
    api.post("/api/customers/register", {"email": email, "password": PASSWORD, "name": "Mara"}, expect=201)
    db.execute("update customers set verified_at = now(), status = 'active' where email = %s", [email])
    drain(worker)
    dropped = db.execute("select state, data from email_outbox where recipient = %s", [email]).fetchone()
    assert (dropped, mailbox.messages(email)) == (("dropped", {}), [])


def test_a_link_is_in_the_mail_and_only_its_hash_at_rest(
    api: Client, db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    email = unique_email()
    made = api.post("/api/customers/register", {"email": email, "password": PASSWORD, "name": "Mara"}, expect=201)
    drain(worker)
    (link, *_) = mailbox.links(mailbox.wait_for(email))
    base, token, customer_id = match(r"^(.*)/verify-email\?token=([\w-]{43})&customerId=(.*)$", link).groups()
    assert (base, customer_id) == (worker.config.frontend_url, made["customerId"])
    stored = db.execute("select token_hash from email_verification_tokens where customer_id = %s", [customer_id])
    assert stored.fetchall() == [(hash_token(token),)]
    api.post("/api/customers/verify-email", {"customerId": customer_id, "token": token})


def test_links_of_a_mail_sent_twice_both_work_until_one_is_used(
    api: Client, db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    email = unique_email()
    api.post("/api/customers/register", {"email": email, "password": PASSWORD, "name": "Mara"}, expect=201)
    mailbox.fault("kept", "drop", times=1)
    worker.step()
    make_due(db)
    drain(worker)
    links = [mailbox.links(mailbox.read(mail["id"]))[0] for mail in mailbox.messages(email)]
    tokens = [match(r"token=([^&]+)&customerId=(.*)", link).groups() for link in links]
    assert len(tokens) == 2
    token, customer_id = tokens[1]  # the older copy
    api.post("/api/customers/verify-email", {"customerId": customer_id, "token": token})


def test_without_smtp_mails_wait_and_a_development_machine_logs_the_link(
    api: Client,
    db: psycopg.Connection,
    settings_for: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    email = unique_email()
    made = api.post("/api/customers/register", {"email": email, "password": PASSWORD, "name": "Mara"}, expect=201)
    caplog.set_level(logging.INFO, logger="service.mail.worker")
    monkeypatch.setattr(logging.getLogger("service.mail.worker"), "handlers", [caplog.handler])
    worker = Worker(settings_for(SMTP_HOST=None))
    for _ in range(3):
        assert worker.step() is False
    ((to, link),) = {(vars(r)["to"], vars(r)["link"]) for r in caplog.records if "link" in vars(r)}
    assert to == email
    assert states(db) == {"queued": 1}
    token = match("token=([^&]+)", link)[1]
    api.post("/api/customers/verify-email", {"customerId": made["customerId"], "token": token})
    silent = Worker(settings_for(SMTP_HOST=None, APP_ENV="production", BCRYPT_ROUNDS="10"))
    caplog.clear()
    assert silent.step() is False and not caplog.records
