"""The local mailbox: keeps what it gets, shows it safely, and misbehaves as told."""

import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from devstack.mailbox import Mailbox, mail_server
from devstack.mailbox.letters import Letters

HOSTILE = (
    "From: <script>alert(1)</script> <eve@example.com>\r\n"
    "Subject: <img src=x onerror=alert(1)>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/html; charset=no-such\r\n\r\n"
    "<html><head><script>alert(1)</script></head><body onload=alert(1)><a href='https://x.example'>x</a>\xff</body>\r\n"
).encode("latin-1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mailbox, int]]:
    with mail_server(tmp_path_factory.mktemp("mailbox")) as running:
        yield running


@pytest.fixture
def mailbox(server: tuple[Mailbox, int]) -> Mailbox:
    server[0].clear()
    return server[0]


@pytest.fixture
def port(server: tuple[Mailbox, int]) -> int:
    return server[1]


def send(
    port: int, to: str = "mara@example.com", raw: bytes = b"Subject: Hello\r\n\r\nsee https://x.example/a?b=1&c=2 .\r\n"
) -> None:
    with smtplib.SMTP("127.0.0.1", port, "localhost", timeout=5) as client:
        client.sendmail("sender@example.com", [to], raw)


def test_mails_outlive_a_restart(tmp_path: Path) -> None:
    with mail_server(tmp_path) as (mailbox, port):
        send(port)
    with mail_server(tmp_path) as (mailbox, port):
        send(port, "later@example.com")
        assert [mail["to"] for mail in mailbox.messages()] == [["later@example.com"], ["mara@example.com"]]


def test_mails_are_found_by_address_and_subject(mailbox: Mailbox, port: int) -> None:
    send(port)
    send(port, "Bob@Example.com")
    assert [mail["to"] for mail in mailbox.messages("bob@example.com")] == [["Bob@Example.com"]]
    assert mailbox.messages("mara@example.com", "HELL")[0]["subject"] == "Hello"
    assert mailbox.messages("mara@example.com", "nothing") == mailbox.messages("mara@example") == []
    found = mailbox.wait_for("mara@example.com", "Hello")
    assert mailbox.links(found) == ["https://x.example/a?b=1&c=2"]
    with pytest.raises(TimeoutError, match="did not arrive"):
        mailbox.wait_for("nobody@example.com", timeout=0.1)


def test_one_mail_or_all_are_deleted(mailbox: Mailbox, port: int) -> None:
    send(port)
    send(port)
    first = mailbox.messages()[0]["id"]
    assert httpx.delete(f"{mailbox.url}/messages/{first}").status_code == 200
    assert httpx.delete(f"{mailbox.url}/messages/{first}").status_code == 404
    assert len(mailbox.messages()) == 1
    mailbox.clear()
    assert mailbox.messages() == []


def test_what_is_attached_is_listed_and_saved(mailbox: Mailbox, port: int) -> None:
    message = EmailMessage()
    message["Subject"] = "With a file"
    message.set_content("See the file.")
    message.add_attachment("<script>alert(1)</script>", subtype="html", filename='Straße" onload.html')
    send(port, raw=message.as_bytes())
    letter = mailbox.read(mailbox.messages()[0]["id"])
    assert (letter["text"], letter["html"]) == ("See the file.\n", "")
    assert letter["attachments"] == [{"name": 'Straße" onload.html', "type": "text/html", "size": 26}]
    assert mailbox.attachment(letter["id"]) == b"<script>alert(1)</script>\n"
    saved = httpx.get(f"{mailbox.url}/messages/{letter['id']}/attachments/0")
    assert saved.headers["content-type"] == "application/octet-stream"
    assert saved.headers["content-disposition"] == "attachment; filename*=UTF-8''Stra%C3%9Fe%22%20onload.html"
    assert "Straße&#34; onload.html</a> (text/html, 26 bytes)" in httpx.get(f"{mailbox.url}/?id={letter['id']}").text
    assert httpx.get(f"{mailbox.url}/messages/{letter['id']}/attachments/1").status_code == 404


def test_a_hostile_mail_is_shown_and_does_nothing(mailbox: Mailbox, port: int) -> None:
    send(port, raw=HOSTILE)
    letter = mailbox.messages()[0]["id"]
    page = httpx.get(f"{mailbox.url}/?id={letter}")
    assert "<script>alert" not in page.text and "<img src=x" not in page.text
    assert "&lt;img src=x onerror=alert(1)&gt;" in page.text
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    shown = httpx.get(f"{mailbox.url}/messages/{letter}/html")
    policy = shown.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src" not in policy
    assert "sandbox allow-popups" in policy and "allow-scripts" not in policy and "allow-same-origin" not in policy
    source = httpx.get(f"{mailbox.url}/messages/{letter}/source")
    assert source.headers["content-type"].startswith("text/plain") and source.content == HOSTILE
    assert source.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"Subject: =?x?q?=\r\n\r\n",
        b"Subject: a\r\nSubject: b\r\nTo: <\r\n\r\n",
        b"Content-Type: x" * 500,
    ],
    ids=["empty", "bytes", "encoding", "headers", "long"],
)
def test_no_mail_breaks_the_inbox(tmp_path: Path, raw: bytes) -> None:
    letters = Letters(tmp_path)
    kept = letters.keep(raw, {"from": "", "to": []})
    assert letters.read(kept)["text"] is not None
    assert letters.find()[0]["id"] == kept


def test_only_this_machine_by_name_is_answered(mailbox: Mailbox) -> None:
    assert httpx.get(f"{mailbox.url}/messages", headers={"Host": "rebound.example"}).status_code == 400


def test_faults_and_rules_are_checked(mailbox: Mailbox) -> None:
    for body in (
        {"at": "lunch", "do": "hang"},
        {"at": "quit", "do": "sing"},
        {"at": "rcpt", "do": "refuse", "code": 250},
    ):
        assert httpx.post(f"{mailbox.url}/faults", json=body).status_code == 400
    assert httpx.post(f"{mailbox.url}/faults", json={"when": 1}).status_code == 400
    assert httpx.put(f"{mailbox.url}/rules", json={"connections": 1}).status_code == 400


def test_a_fault_strikes_as_often_as_told(mailbox: Mailbox, port: int) -> None:
    mailbox.fault("rcpt", "refuse", code=450, times=2, to="mara@")
    send(port, "bob@example.com")
    for _ in range(2):
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            send(port)
    send(port)
    assert len(mailbox.messages()) == 2


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "devstack.mailbox", "--smtp-port", number, "--directory", str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1 and number in ended.stderr and "--smtp-port" in ended.stderr


def test_the_templates_page_shows_the_mails_of_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_mails.py").write_text(
        "from types import SimpleNamespace\n"
        "TEMPLATES = ['welcome', 'farewell']\n"
        "def render_sample(name):\n"
        "    return SimpleNamespace(subject=name.title(), text='in plain words', html=f'<p>{name} to you</p>')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with mail_server(tmp_path, "--previews", "some_mails") as (mailbox, _):
        page = httpx.get(f"{mailbox.url}/templates?name=farewell&view=text").text
        assert "welcome" in page and "Farewell" in page and "in plain words" in page
        shown = httpx.get(f"{mailbox.url}/templates/welcome")
        assert "welcome to you" in shown.text and "sandbox" in shown.headers["content-security-policy"]
        for path in ("/templates/no-such", "/templates?name=../tests"):
            assert httpx.get(mailbox.url + path).status_code == 404
        assert "/templates" in httpx.get(mailbox.url).text


def test_without_a_module_there_are_no_templates(mailbox: Mailbox) -> None:
    assert httpx.get(f"{mailbox.url}/templates").status_code == 404
    assert "/templates" not in httpx.get(mailbox.url).text
