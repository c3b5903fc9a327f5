"""The templates: complete, harmless whatever the data hold, and written for people."""

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.mail import formatting, render
from service.mail.links import LINKS
from tests.sure import fetch_row

PLACE: dict[str, Any] = {"site_url": "https://travel.example", "brand": "JKLG Travel"}
MIGRATIONS = Path(__file__).resolve().parent.parent.parent / "supabase" / "migrations"
HOSTILE = '<a href=https://evil>x</a>\r\nBcc: eve@example.com\u202e & "co"'
SHOWN = '<a href=https://evil>x</a> Bcc: eve@example.com & "co"'


def sample(template: str) -> dict[str, object]:
    return json.loads((render.FOLDER / template / "sample.json").read_text())


def fill(template: str, **changes: object) -> render.Rendered:
    link = "https://travel.example/page?token=t&customerId=c" if template in LINKS else None
    return render.render(template, sample(template) | changes, link=link, valid_for=86400 if link else None, **PLACE)


def test_every_mail_that_the_database_queues_has_a_template() -> None:
    queued = re.findall(r"queue_email\(\s*'([a-z-]+)'", "".join(path.read_text() for path in MIGRATIONS.glob("*.sql")))
    assert queued
    assert set(queued) <= set(render.TEMPLATES)


@pytest.mark.parametrize("template", render.TEMPLATES)
def test_a_mail_is_complete(template: str) -> None:
    mail = render.render_sample(template)
    assert mail.subject and "\n" not in mail.subject and len(mail.subject) < 120
    assert not re.search(r"<[a-z/]|&[a-z]+;|\{\{|None", mail.text)
    assert mail.html.startswith("<!DOCTYPE html>") and mail.html.rstrip().endswith("</html>")
    if template != "staff-alert":  # Written for a terminal as well; a link may be as long as it is.
        assert max(len(line) for line in mail.text.splitlines() if "http" not in line) < 100


@pytest.mark.parametrize("template", render.TEMPLATES)
def test_reading_a_mail_fetches_and_runs_nothing(template: str) -> None:
    html = render.render_sample(template).html
    assert not re.search(r"<(script|img|link|iframe|form|object|base)\b|url\(|@import|\son\w+=", html, re.IGNORECASE)
    assert set(re.findall(r'(?:href|src)="(https?://[^/"?]+)', html)) == {"https://travel.example"}


@pytest.mark.parametrize("template", render.TEMPLATES)
def test_styles_are_inline_and_narrow_and_dark_screens_have_theirs(template: str) -> None:
    html = render.render_sample(template).html
    assert html.count("<style>") == 1
    assert "prefers-color-scheme: dark" in html and "max-width: 460px" in html
    assert re.search(r'class="card" style="[^"]*background-color', html)


@pytest.mark.parametrize("template", render.TEMPLATES)
def test_data_that_is_missing_or_null_is_no_mail(template: str) -> None:
    given = sample(template)
    optional = {*render.FALLBACKS, "travel_date", "reason", "full"}
    for key in given.keys():
        with pytest.raises(render.Unwritable):
            fill_without(template, key)
        if key not in optional:
            with pytest.raises(render.Unwritable):
                fill(template, **{key: None})


def fill_without(template: str, key: str) -> render.Rendered:
    data = {name: value for name, value in sample(template).items() if name != key}
    link = "https://travel.example/page" if template in LINKS else None
    return render.render(template, data, link=link, valid_for=60, **PLACE)


def test_what_may_be_unknown_is_left_out() -> None:
    mail = fill("booking-confirmation", travel_date=None, name=None)
    assert mail.subject == "Your trip is booked: Ladakh: Lakes and High Passes"
    assert mail.text.startswith("Hello traveller,\n")
    assert fill("payment-receipt", package="").subject == "Receipt: $2,598.00 for your trip"
    assert "bank" not in fill("payment-failed", reason=None).text


@pytest.mark.parametrize("template", render.TEMPLATES)
def test_hostile_data_is_harmless_text(template: str) -> None:
    texts = {key: HOSTILE for key, value in sample(template).items() if isinstance(value, str)}
    mail = fill(
        template, **{k: v for k, v in texts.items() if k not in ("currency", "travel_date", "paid_at", "occurred_at")}
    )
    assert "\n" not in mail.subject and "\r" not in mail.subject
    assert "\r" not in mail.text and "\u202e" not in mail.text + mail.html + mail.subject
    assert "<a href=https://evil" not in mail.html
    assert "&lt;a href=https://evil&gt;x&lt;/a&gt;" in mail.html
    assert "<a href=https://evil>x</a>" in mail.text
    assert not re.search(r"^Bcc:", mail.text, re.MULTILINE) or template == "staff-alert"


def test_a_hostile_name_is_shown_as_it_is() -> None:
    mail = fill("email-verification", name=HOSTILE)
    assert mail.subject == f"{SHOWN}, please confirm your email address"
    assert f"Hello {SHOWN},\n" in mail.text
    assert len(fill("email-verification", name="x" * 10_000).subject) < 300


def test_a_link_is_in_text_and_html() -> None:
    link = "https://travel.example/verify-email?token=a-b_c&customerId=1"
    mail = render.render("email-verification", {"name": "Mara"}, link=link, valid_for=86400, **PLACE)
    assert f"\n{link}\n" in mail.text
    assert mail.html.count(f'href="{link.replace("&", "&amp;")}"') == 2
    assert "24 hours" in mail.text and "24 hours" in mail.html
    with pytest.raises(render.Unwritable):
        render.render("email-verification", {"name": "Mara"}, **PLACE)


def test_data_cannot_stand_in_for_the_link() -> None:
    mail = fill("email-verification", link="https://evil", site_url="https://evil", brand="Evil")
    assert "evil" not in (mail.text + mail.html).lower()


def test_an_alert_keeps_its_lines() -> None:
    mail = fill("staff-alert", message="One\nTwo\r\nThree\0", subject="A\nB")
    assert mail.subject == "[Staff] A B"
    assert "One\nTwo\nThree" in mail.text
    assert re.search(r'class="message[^"]*" style="[^"]*white-space: pre-line', mail.html)


def test_an_unknown_template_is_none() -> None:
    with pytest.raises(render.Unwritable):
        render.render("../secrets", {}, **PLACE)


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (29999, "usd", "$299.99"),
        (259800, "USD", "$2,598.00"),
        (29999, "jpy", "¥29,999"),
        (5, "eur", "€0.05"),
        (1234567, "kwd", "KWD 1,234.567"),
        (5000, "chf", "CHF 50.00"),
        (123456789, "inr", "₹1,234,567.89"),
        (-1050, "gbp", "-£10.50"),
    ],
)
def test_money_reads_as_people_write_it(amount: int, currency: str, shown: str) -> None:
    assert formatting.money(amount, currency) == shown


def test_money_has_the_decimals_that_the_database_counts_with(db: psycopg.Connection) -> None:
    for code in {*formatting.ZERO_DECIMAL, *formatting.THREE_DECIMAL, "usd", "isk", "ugx", "huf", "twd"}:
        (exponent,) = fetch_row(db, "select (app.currency(%s)).exponent", [code])
        assert len(formatting.money(1000, code).partition(".")[2]) == exponent, code


def test_dates_read_as_people_write_them() -> None:
    assert formatting.day("2027-06-12") == "Saturday, 12 June 2027"
    assert formatting.day("2027-06-02T23:30:00+00:00") == "Wednesday, 2 June 2027"
    assert formatting.moment("2026-11-22T01:31:07.2+02:00") == "21 November 2026 at 23:31 UTC"
    assert formatting.moment("2026-11-22T08:31:07") == "22 November 2026 at 08:31 UTC"
    assert [formatting.duration(s) for s in (86400, 3600, 172800, 5400, 60, 90)] == [
        "24 hours",
        "1 hour",
        "2 days",
        "90 minutes",
        "1 minute",
        "90 seconds",
    ]
