"""What SQL functions may queue, and what becomes of it in the end."""

import psycopg
import pytest

from service.mail import store
from service.mail.worker import Worker
from tests.client import Client
from tests.factories import make_staff
from tests.mail.outbox import drain, queue, row, states
from tests.sure import fetch_row

pytestmark = pytest.mark.usefixtures("quiet_outbox")


def test_an_address_that_is_none_undoes_nothing(db: psycopg.Connection) -> None:
    for address in (None, "", "nobody", "a@b,c", "a@b\r\nBcc: c@d", "<a@b>", "a b@c", "x" * 250 + "@b.cd"):
        (email_id,) = fetch_row(db, "select app.queue_email('staff-alert', %s, '{}')", [address])
        assert row(db, str(email_id))["state"] == "dead"


def test_one_dedupe_key_is_one_mail(db: psycopg.Connection) -> None:
    (first,) = queue(db, p_dedupe_key="receipt:1")
    assert queue(db, p_dedupe_key="receipt:1") == ["None"]
    assert states(db) == {"queued": 1} and row(db, first)


def test_alerts_go_once_to_everybody_who_may_act_on_them(api: Client, db: psycopg.Connection) -> None:
    admin, support, guide, gone = (make_staff(api, db, role) for role in ("Admin", "Support", "Guide", "Admin"))
    db.execute("update admin_users set status = 'Inactive' where id = %s", [gone.id])
    for _ in range(2):
        db.execute("select app.alert_staff('bookings_edit', 'Subject', 'Message', 'dispute:1')")
    queued = [each for (each,) in db.execute("select recipient from email_outbox").fetchall()]
    assert queued.count(admin.email) == queued.count(support.email) == 1
    assert guide.email not in queued and gone.email not in queued


def test_mails_that_are_over_go_after_thirty_days(db: psycopg.Connection, worker: Worker) -> None:
    old, new = queue(db, 2)
    drain(worker)
    db.execute("update email_outbox set finished_at = now() - interval '31 days' where id = %s", [old])
    assert store.purge_emails() == 1
    assert states(db) == {"sent": 1} and row(db, new)
