"""The worker on the real outbox: what happens to a mail when the server, the database or the worker fails."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask

from devstack.mailbox import Mailbox
from devstack.postgres import PROJECT
from devstack.stack import Stack
from service import chores
from service.config import Settings
from service.credentials import hash_token
from service.mail import store
from service.mail.smtp import Letter
from service.mail.worker import POLL, Worker
from tests.client import Client
from tests.factories import PASSWORD, make_staff, unique_email
from tests.mail.servers import mail_server

ALERT = {"subject": "A test", "message": "Nothing happened."}


@pytest.fixture(autouse=True)
def quiet_outbox(db: psycopg.Connection, mailbox: Mailbox, app: Flask) -> Iterator[None]:
    """Each test begins and leaves with an empty outbox that is not paused, and a mailbox that behaves."""

    def sweep() -> None:
        db.execute("delete from email_outbox")
        db.execute("update email_queue set paused_until = null, pause_reason = null, pauses_in_a_row = 0")
        mailbox.clear()

    sweep()
    with app.app_context():
        yield
    sweep()


@pytest.fixture
def worker(settings_for: Callable[..., Settings]) -> Iterator[Worker]:
    made = Worker(settings_for())
    made.server.timeout = 0.5
    yield made
    made.server.close()


def queue(db: psycopg.Connection, count: int = 1, *, template: str = "staff-alert", **more: Any) -> list[str]:
    """Queue mails to as many addresses; their ids."""
    columns = {"p_template": template, "p_data": json.dumps(ALERT), **more}
    call = ", ".join(f"{name} => %({name})s" for name in columns)
    return [
        str(
            db.execute(
                f"select queue_email(p_recipient => %(to)s, {call})", columns | {"to": unique_email()}
            ).fetchone()[0]
        )
        for _ in range(count)
    ]


def row(db: psycopg.Connection, email_id: str) -> dict[str, Any]:
    cursor = db.execute(
        "select *, extract(epoch from next_attempt_at - now())::float as wait from email_outbox where id = %s",
        [email_id],
    )
    return dict(zip((column.name for column in cursor.description), cursor.fetchone(), strict=True))


def states(db: psycopg.Connection) -> dict[str, int]:
    return dict(db.execute("select state, count(*) from email_outbox group by state").fetchall())


def make_due(db: psycopg.Connection) -> None:
    """Move the clock: every wait, lease and pause is over."""
    db.execute("update email_outbox set next_attempt_at = now() where state in ('queued', 'sending')")
    db.execute("update email_queue set paused_until = now()")


def drain(worker: Worker) -> None:
    while worker.step():
        pass
    worker.server.close()


def test_a_mail_is_sent_and_its_data_wiped(db: psycopg.Connection, worker: Worker, mailbox: Mailbox) -> None:
    (email_id,) = queue(db)
    assert worker.step() is True
    assert worker.step() is False
    sent = row(db, email_id)
    assert (sent["state"], sent["data"], sent["attempts"], sent["last_error"]) == ("sent", {}, 1, None)
    assert sent["finished_at"] is not None and sent["claimed_by"] is None
    kept = mailbox.wait_for(sent["recipient"], "[Staff] A test")
    assert kept["message_id"] == f"<{email_id}@jklg.example>"
    assert "Nothing happened." in kept["text"]


@pytest.mark.parametrize(("attempt", "wait"), [(1, 30), (2, 60), (5, 480), (12, 61440), (13, 86400), (14, 86400)])
def test_the_waits_double_up_to_a_day(
    db: psycopg.Connection, worker: Worker, mailbox: Mailbox, attempt: int, wait: int
) -> None:
    (email_id,) = queue(db)
    db.execute("update email_outbox set attempts = %s", [attempt - 1])
    mailbox.fault("rcpt", "refuse", code=451)
    worker.step()
    now = row(db, email_id)
    assert (now["state"], now["attempts"]) == ("queued", attempt)
    assert wait * 0.75 - 1 <= now["wait"] <= wait
    assert "451" in now["last_error"]
    assert worker.step() is False


def test_the_fifteenth_attempt_is_the_last(db: psycopg.Connection, worker: Worker, mailbox: Mailbox) -> None:
    (email_id,) = queue(db)
    mailbox.fault("body", "refuse", code=452)
    for _ in range(20):
        make_due(db)
        worker.step()
    assert (row(db, email_id)["state"], row(db, email_id)["attempts"]) == ("dead", 15)


def test_a_refusal_for_good_is_dead_until_it_is_retried(
    db: psycopg.Connection, worker: Worker, mailbox: Mailbox, app: Flask
) -> None:
    (email_id,) = queue(db)
    mailbox.fault("rcpt", "refuse", code=550, times=1)
    worker.step()
    dead = row(db, email_id)
    assert (dead["state"], dead["data"]) == ("dead", ALERT)
    assert "550" in dead["last_error"]
    assert app.test_cli_runner().invoke(args=["mail", "retry", email_id]).output == "1 queued again.\n"
    drain(worker)
    assert row(db, email_id)["state"] == "sent"


def test_a_mail_that_cannot_be_written_is_dead(db: psycopg.Connection, worker: Worker) -> None:
    missing = queue(db, template="payment-receipt")[0]
    unknown = queue(db, template="no-such-mail")[0]
    drain(worker)
    assert [row(db, each)["state"] for each in (missing, unknown)] == ["dead", "dead"]
    assert "undefined" in row(db, missing)["last_error"]


def test_a_mail_that_nobody_thought_of_keeps_no_other(
    db: psycopg.Connection, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, even = queue(db, 2)
    send = worker.server.send

    def fail_once(letter: Letter) -> None:
        if odd in letter.message_id:
            raise RuntimeError("a surprise")
        send(letter)

    monkeypatch.setattr(worker.server, "send", fail_once)
    drain(worker)
    assert [row(db, each)["state"] for each in (odd, even)] == ["queued", "sent"]
    assert "a surprise" in row(db, odd)["last_error"]


def test_wrong_credentials_pause_the_queue_for_all(
    db: psycopg.Connection, settings_for: Callable[..., Settings], worker: Worker, mailbox: Mailbox
) -> None:
    mailbox.rule(user="jklg", password="right")
    queue(db, 3)
    wrong = Worker(settings_for(SMTP_USER="jklg", SMTP_PASSWORD="wrong"))
    for pause in (15, 30, 60, 120, 240, 300, 300):
        assert wrong.step() is False
        assert worker.step() is False and wrong.step() is False
        (left,) = db.execute("select extract(epoch from paused_until - now())::float from email_queue").fetchone()
        assert pause - 2 < left <= pause
        make_due(db)
    status = store.queue_status()
    assert status["waiting"] == 3 and "535" in status["pause_reason"]
    assert db.execute("select max(attempts) from email_outbox").fetchone() == (0,)
    drain(Worker(settings_for(SMTP_USER="jklg", SMTP_PASSWORD="right")))
    assert states(db) == {"sent": 3}
    assert store.queue_status()["pause_reason"] is None


def test_a_server_that_hangs_or_drops_costs_no_mail(db: psycopg.Connection, worker: Worker, mailbox: Mailbox) -> None:
    ids = queue(db, 11)
    for stage in ("connect", "ehlo", "mail", "rcpt", "data", "body", "kept", "quit", "rset"):
        for deed in ("drop", "refuse"):
            mailbox.fault(stage, deed, code=451, times=1)
    for _ in range(30):
        make_due(db)
        drain(worker)
    assert states(db) == {"sent": 11}
    copies = [mail["message_id"] for mail in mailbox.messages()]
    assert set(copies) == {f"<{each}@jklg.example>" for each in ids}
    # Twice the server kept a mail and did not say so: nobody can know, so those came twice, under one id.
    assert len(copies) == 13


def test_a_failing_quit_sends_nothing_twice(db: psycopg.Connection, worker: Worker, mailbox: Mailbox) -> None:
    mailbox.fault("quit", "drop")
    queue(db, 2)
    for _ in range(2):
        drain(worker)
        make_due(db)
    assert (states(db), len(mailbox.messages())) == ({"sent": 2}, 2)


def test_many_mails_go_over_one_connection(db: psycopg.Connection, worker: Worker, mailbox: Mailbox) -> None:
    queue(db, 5)
    drain(worker)
    assert len({mail["connection"] for mail in mailbox.messages()}) == 1


def test_the_mail_of_a_worker_that_died_is_taken_over_and_its_late_word_ignored(
    db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    (email_id,) = queue(db)
    lost = store.claim_email()
    assert worker.step() is False
    assert 170 < row(db, email_id)["wait"] <= 180
    make_due(db)
    drain(worker)
    assert store.finish_email(lost, "dead", "too late") is None
    assert (row(db, email_id)["state"], row(db, email_id)["attempts"]) == ("sent", 2)


def test_a_mail_that_kills_its_worker_each_time_is_given_up(db: psycopg.Connection) -> None:
    (email_id,) = queue(db)
    db.execute("update email_outbox set attempts = 14")
    assert store.claim_email()["attempts"] == 15
    make_due(db)
    assert store.claim_email() is None
    store.purge_emails()
    assert row(db, email_id)["state"] == "dead"


def test_workers_share_the_mails_without_a_double(
    db: psycopg.Connection, app: Flask, settings_for: Callable[..., Settings], mailbox: Mailbox
) -> None:
    ids = queue(db, 60)
    workers = [Worker(settings_for()) for _ in range(3)]
    share(app, workers)
    assert sorted(mail["message_id"] for mail in mailbox.messages()) == sorted(f"<{each}@jklg.example>" for each in ids)
    assert states(db) == {"sent": 60}


def share(app: Flask, workers: list[Worker]) -> None:
    """Let workers drain the outbox side by side."""

    def work(each: Worker) -> None:
        with app.app_context():
            drain(each)

    threads = [threading.Thread(target=work, args=[each]) for each in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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
    base, token, customer_id = re.fullmatch(r"(.*)/verify-email\?token=([\w-]{43})&customerId=(.*)", link).groups()
    assert (base, customer_id) == (worker.settings.frontend_url, made["customerId"])
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
    tokens = [re.search(r"token=([^&]+)&customerId=(.*)", link).groups() for link in links]
    assert len(tokens) == 2
    token, customer_id = tokens[1]  # the older copy
    api.post("/api/customers/verify-email", {"customerId": customer_id, "token": token})


def test_hostile_names_reach_the_inbox_as_text(
    api: Client, db: psycopg.Connection, worker: Worker, mailbox: Mailbox
) -> None:
    for name in ("<a href=https://evil>x</a>", "Mara\r\nBcc: eve@example.com"):
        email = unique_email()
        db.execute(
            "with new as (insert into customers (email, password_hash, name) values (%s, 'x', %s) returning *)"
            " select queue_email('email-verification', email, jsonb_build_object('name', name), null, id) from new",
            [email, name],
        )
        drain(worker)
        kept = mailbox.wait_for(email)
        shown = " ".join(name.split())
        assert shown in kept["subject"] and shown in kept["text"]
        assert "<a href=https://evil" not in kept["html"]
        assert not any(header == "Bcc" for header, _ in kept["headers"])
    assert mailbox.messages("eve@example.com") == []


def test_an_address_that_is_none_undoes_nothing(db: psycopg.Connection) -> None:
    for address in (None, "", "nobody", "a@b,c", "a@b\r\nBcc: c@d", "<a@b>", "a b@c", "x" * 250 + "@b.cd"):
        (email_id,) = db.execute("select queue_email('staff-alert', %s, '{}')", [address]).fetchone()
        assert row(db, str(email_id))["state"] == "dead"


def test_one_dedupe_key_is_one_mail(db: psycopg.Connection) -> None:
    (first,) = queue(db, p_dedupe_key="receipt:1")
    assert queue(db, p_dedupe_key="receipt:1") == ["None"]
    assert states(db) == {"queued": 1} and row(db, first)


def test_alerts_go_to_active_administrators_once(api: Client, db: psycopg.Connection) -> None:
    admin, guide, gone = (make_staff(api, db, role) for role in ("Admin", "Guide", "Admin"))
    db.execute("update admin_users set status = 'Inactive' where id = %s", [gone.id])
    for _ in range(2):
        db.execute("select alert_staff('Subject', 'Message', 'dispute:1')")
    queued = [each for (each,) in db.execute("select recipient from email_outbox").fetchall()]
    assert queued.count(admin.email) == 1
    assert guide.email not in queued and gone.email not in queued


def test_mails_that_are_over_go_after_thirty_days(db: psycopg.Connection, worker: Worker) -> None:
    old, new = queue(db, 2)
    drain(worker)
    db.execute("update email_outbox set finished_at = now() - interval '31 days' where id = %s", [old])
    assert store.purge_emails() == 1
    assert states(db) == {"sent": 1} and row(db, new)


def test_without_smtp_mails_wait_and_a_development_machine_logs_the_link(
    api: Client,
    db: psycopg.Connection,
    settings_for: Callable[..., Settings],
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
    ((to, link),) = {(record.to, record.link) for record in caplog.records if hasattr(record, "link")}
    assert to == email
    assert states(db) == {"queued": 1}
    token = re.search("token=([^&]+)", link)[1]
    api.post("/api/customers/verify-email", {"customerId": made["customerId"], "token": token})
    silent = Worker(settings_for(SMTP_HOST=None, APP_ENV="production", BCRYPT_ROUNDS="10"))
    caplog.clear()
    assert silent.step() is False and not caplog.records


def test_an_outage_leaves_accounts_working_and_drains_afterwards(
    api: Client, db: psycopg.Connection, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    with mail_server(tmp_path) as (_, port):
        pass  # and it is gone
    worker = Worker(settings_for(SMTP_PORT=str(port)))
    addresses = [unique_email() for _ in range(5)]
    for address in addresses:
        api.post("/api/customers/register", {"email": address, "password": PASSWORD, "name": "Mara"}, expect=201)
        assert worker.step() is False
        make_due(db)
    status = store.queue_status()
    assert status["waiting"] == 5 and "does not answer" in status["pause_reason"]
    db.execute("update email_outbox set created_at = created_at - interval '1 hour'")
    make_due(db)
    with mail_server(tmp_path, smtp_port=port) as (mailbox, _):
        drain(worker)
        assert sorted(mail["to"][0] for mail in mailbox.messages()) == sorted(addresses)
    assert states(db) == {"sent": 5}


def test_an_idle_worker_asks_about_once_a_second_and_wakes_within_one(
    app: Flask, db: psycopg.Connection, worker: Worker, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    claim = store.claim_email
    monkeypatch.setattr(store, "claim_email", lambda: asked.append(time.monotonic()) or claim())

    def run() -> None:
        with app.app_context():
            worker.run()

    store.pause_queue("by another worker, before the settings were mended")
    thread = threading.Thread(target=run)
    thread.start()
    try:
        time.sleep(2.2)
        assert store.queue_status()["pause_reason"] is None
        assert len(asked) <= 2.2 / POLL + 1
        started = time.monotonic()
        (email_id,) = queue(db)
        mailbox.wait_for(row(db, email_id)["recipient"], timeout=3)
        assert time.monotonic() - started < 1.2
    finally:
        worker.stop()
        started = time.monotonic()
        thread.join()
    assert time.monotonic() - started < 0.5


def start_worker(stack: Stack, **changes: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **stack.service_environment(), "LOG_LEVEL": "CRITICAL", **changes}
    return subprocess.Popen([sys.executable, "-m", "flask", "worker"], cwd=PROJECT, env=environment)


def test_sigterm_ends_the_worker_after_the_mail_under_way(
    stack: Stack, db: psycopg.Connection, mailbox: Mailbox
) -> None:
    queue(db, 5)
    mailbox.fault("body", "hang", seconds=1)
    with start_worker(stack) as process:
        wait_until(lambda: states(db).get("sending"))
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert process.wait(10) == 0
    assert time.monotonic() - started < 4
    assert states(db) == {"sent": 1, "queued": 4} and len(mailbox.messages()) == 1


def test_killed_workers_lose_nothing(stack: Stack, db: psycopg.Connection, mailbox: Mailbox) -> None:
    assert kill_and_drain(stack, db, mailbox, mails=20, kills=1) <= 1


def kill_and_drain(stack: Stack, db: psycopg.Connection, mailbox: Mailbox, *, mails: int, kills: int) -> int:
    """Kill workers in the middle of the mails, let a last one finish; every mail came. How many came twice."""
    ids = queue(db, mails)
    for number in range(kills):
        with start_worker(stack) as process:
            share = mails * (number + 1) // (kills + 1)
            wait_until(lambda share=share: len(mailbox.messages()) >= share, seconds=60)
            process.kill()
        assert states(db).get("sent", 0) < mails
        make_due(db)
    with start_worker(stack) as process:
        wait_until(lambda: states(db) == {"sent": mails}, seconds=60)
        process.terminate()
    copies = [mail["message_id"] for mail in mailbox.messages()]
    assert set(copies) == {f"<{each}@jklg.example>" for each in ids}
    return len(copies) - mails


def wait_until(is_so: Callable[[], Any], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def test_a_chore_runs_once_when_due_and_a_failing_one_stops_nothing(app: Flask, db: psycopg.Connection) -> None:
    ran: list[str] = []
    name = uuid.uuid4().hex
    stopping = threading.Event()

    def fail() -> None:
        ran.append("failing")
        raise RuntimeError

    made = [chores.Chore(f"failing-{name}", 60, fail), chores.Chore(f"good-{name}", 60, lambda: ran.append("good"))]
    threads = [threading.Thread(target=chores.run_chores, args=(app, stopping, made)) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(ran) == 2)
    time.sleep(0.3)
    stopping.set()
    for thread in threads:
        thread.join()
    assert sorted(ran) == ["failing", "good"]
    assert 50 < store.claim_chore(f"good-{name}", 60) <= 60
    db.execute(
        "update worker_chores set last_started_at = now() - interval '61 seconds' where name = %s", [f"good-{name}"]
    )
    assert store.claim_chore(f"good-{name}", 60) == 0
