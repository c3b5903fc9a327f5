"""The templates: complete, harmless whatever the data hold, and written for people."""

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from babel import Locale

from service.mail import formatting, render
from service.mail.links import LINKS
from tests.sure import match

PLACE: dict[str, Any] = {"site_url": "https://travel.example", "brand": "JKLG Travel"}
MIGRATIONS = Path(__file__).resolve().parent.parent.parent / "supabase" / "migrations"
HOSTILE = '<a href=https://evil>x</a>\r\nBcc: eve@example.com\u202e & "co"'
SHOWN = '<a href=https://evil>x</a> Bcc: eve@example.com & "co"'
# Every mail in every language that it is written in.
MAILS = [(template, language) for template in render.TEMPLATES for language in render.list_languages(template)]
every_mail = pytest.mark.parametrize(("template", "language"), MAILS)
PAYMENT = ("transaction_id", "amount", "paid_at")  # where one was made in the same minute
MAY_BE_NULL = {*render.FALLBACKS["en"], "travel_date", "return_date", "price", "is_paid", "reason", "full"}


def sample(template: str) -> dict[str, Any]:
    return json.loads((render.FOLDER / template / "sample.json").read_text())


def fill(template: str, *, sender: str = "", queued_at: str | None = None, **changes: Any) -> render.Rendered:
    link = "https://travel.example/page?token=t&customerId=c" if template in LINKS else None
    more: dict[str, Any] = {
        "link": link,
        "valid_for": 86400 if link else None,
        "sender": sender,
        "queued_at": queued_at,
    }
    return render.render(template, sample(template) | changes, **more, **PLACE)


def test_every_mail_that_the_database_queues_has_a_template() -> None:
    sql = "".join(path.read_text() for path in MIGRATIONS.glob("*.sql"))
    queued = re.findall(r"queue_(?:email|payment_mail|requested_mail)\(\s*'([a-z-]+)'", sql)
    queued += re.findall(r"then '(booking-[a-z]+)'", sql) + ["payment-receipt"]
    assert len(set(queued)) > 10
    assert set(queued) == set(render.TEMPLATES)


def test_every_language_is_whole_and_one_that_money_and_dates_are_written_in() -> None:
    for template, language in MAILS[1:]:
        assert Locale.parse(language, sep="-") and language in render.FALLBACKS
        if language != "en":
            files = {path.name for path in (render.FOLDER / template / language).iterdir()}
            assert files == {"subject.txt", "body.txt", "body.html"}


@every_mail
def test_a_mail_is_complete(template: str, language: str) -> None:
    mail = render.render_sample(template, language=language)
    assert mail.subject and "\n" not in mail.subject and len(mail.subject) < 120
    assert not re.search(r"<[a-z/]|&[a-z]+;|\{\{|None", mail.text)
    assert f'<html lang="{language}">' in mail.html
    assert mail.html.startswith("<!DOCTYPE html>") and mail.html.rstrip().endswith("</html>")
    if template != "staff-alert":  # Written for a terminal as well; a link may be as long as it is.
        assert max(len(line) for line in mail.text.splitlines() if "http" not in line) < 100


@every_mail
def test_reading_a_mail_fetches_and_runs_nothing(template: str, language: str) -> None:
    html = render.render_sample(template, language=language).html
    assert not re.search(r"<(script|img|link|iframe|form|object|base)\b|url\(|@import|\son\w+=", html, re.IGNORECASE)
    assert set(re.findall(r'(?:href|src)="(https?://[^/"?]+)', html)) == {"https://travel.example"}


@every_mail
def test_styles_are_inline_and_narrow_and_dark_screens_have_theirs(template: str, language: str) -> None:
    html = render.render_sample(template, language=language).html
    assert html.count("<style>") == 1
    assert "prefers-color-scheme: dark" in html and "max-width: 460px" in html
    assert re.search(r'class="card" style="[^"]*background-color', html)


@every_mail
def test_data_that_is_missing_or_null_is_no_mail(template: str, language: str) -> None:
    for key in sample(template):
        # Without the amount it is a confirmation alone, with it the question whether it is paid does not arise. Not
        # every alert is about one transaction.
        optional = (
            ("booking-confirmed", "amount"),
            ("booking-confirmed", "is_paid"),
            ("staff-alert", "transaction_id"),
        )
        if (template, key) not in optional:
            with pytest.raises(render.Unwritable):
                fill_without(template, key, language=language)
        if key not in {*MAY_BE_NULL, "transaction_id"}:
            with pytest.raises(render.Unwritable):
                fill(template, language=language, **dict[str, Any]({key: None}))


def fill_without(template: str, *keys: str, **changes: object) -> render.Rendered:
    data = {name: value for name, value in (sample(template) | changes).items() if name not in keys}
    link = "https://travel.example/page" if template in LINKS else None
    return render.render(template, data, link=link, valid_for=60, **PLACE)


def test_what_may_be_unknown_is_left_out() -> None:
    mail = fill_without("booking-confirmed", *PAYMENT, travel_date=None, return_date=None, name=None)
    assert mail.subject == "Your trip is booked: Ladakh: Lakes and High Passes"
    assert mail.text.startswith("Hello traveller,\n") and "calendar" not in mail.text + mail.html
    assert mail.attachments == ()
    assert fill("booking-received", name="", language="hi").text.startswith("नमस्ते यात्री,\n")
    assert fill("payment-receipt", package="").subject == "Receipt: $2,598.00 for your trip"
    assert "bank" not in fill("payment-failed", reason=None).text


@every_mail
def test_hostile_data_is_harmless_text(template: str, language: str) -> None:
    strict = ("currency", "travel_date", "return_date", "paid_at", "occurred_at")
    texts = {key: HOSTILE for key, value in sample(template).items() if isinstance(value, str) and key not in strict}
    mail = fill(template, **texts, language=language)
    assert "\n" not in mail.subject and "\r" not in mail.subject
    assert "\r" not in mail.text and "\u202e" not in mail.text + mail.html + mail.subject
    assert "<a href=https://evil" not in mail.html
    assert ("&lt;a href=https://evil&gt;x&lt;/a&gt;" in mail.html) == bool(texts)
    assert ("<a href=https://evil>x</a>" in mail.text) == bool(texts)
    assert not re.search(r"^Bcc:", mail.text, re.MULTILINE) or template == "staff-alert"


def test_a_hostile_name_is_shown_as_it_is() -> None:
    mail = fill("booking-cancelled", name=HOSTILE, package=HOSTILE)
    assert mail.subject == f"Your booking is cancelled: {SHOWN}"
    assert f"Hello {SHOWN},\n" in mail.text
    assert len(fill("booking-cancelled", package="x" * 10_000).subject) < 300


def test_a_link_is_in_text_and_html() -> None:
    link = "https://travel.example/verify-email?token=a-b_c&customerId=1"
    mail = render.render("email-verification", {}, link=link, valid_for=86400, **PLACE)
    assert f"\n{link}\n" in mail.text
    refusal = link.replace("verify-email", "account/not-me")
    assert f"\n{refusal}\n" in mail.text and mail.html.count(f'href="{refusal.replace("&", "&amp;")}"') == 1
    assert mail.html.count(f'href="{link.replace("&", "&amp;")}"') == 2
    assert "24 hours" in mail.text and "24 hours" in mail.html
    with pytest.raises(render.Unwritable):
        render.render("email-verification", {}, **PLACE)


def test_data_cannot_stand_in_for_the_link() -> None:
    mail = fill("email-verification", link="https://evil", site_url="https://evil", brand="Evil")
    assert "evil" not in (mail.text + mail.html).lower()


def test_an_alert_keeps_its_lines() -> None:
    mail = fill("staff-alert", message="One\nTwo\r\nThree\0", subject="A\nB")
    assert mail.subject == "[Staff] A B"
    assert "One\nTwo\nThree" in mail.text
    assert re.search(r'class="message[^"]*" style="[^"]*white-space: pre-line', mail.html)


def test_an_alert_about_a_payment_leads_to_it() -> None:
    link = f"{PLACE['site_url']}/staff/payments?transaction=0c9be3b6"
    mail = fill("staff-alert", transaction_id="0c9be3b6")
    assert f"\n{link}\n" in mail.text and f'href="{link}"' in mail.html
    for mail in (fill("staff-alert", transaction_id=None), fill_without("staff-alert", "transaction_id")):
        assert "/staff/payments" not in mail.text + mail.html


def test_an_unknown_template_is_none() -> None:
    with pytest.raises(render.Unwritable):
        render.render("../secrets", {}, **PLACE)


@pytest.mark.parametrize(
    ("amount", "currency", "exponent", "language", "shown"),
    [
        (29999, "usd", 2, "en", "$299.99"),
        (259800, "USD", 2, "en", "$2,598.00"),
        (29999, "jpy", 0, "en", "¥29,999"),
        (5, "eur", 2, "en", "€0.05"),
        (1234567, "kwd", 3, "en", "KWD\xa01,234.567"),
        (5000, "chf", 2, "en", "CHF\xa050.00"),
        (10000000, "inr", 2, "en", "₹1,00,000.00"),
        (123456789, "inr", 2, "hi", "₹12,34,567.89"),
        (123456789, "inr", 2, "de", "1.234.567,89\xa0₹"),
        (29999, "jpy", 0, "de", "29.999\xa0¥"),
        (-1050, "gbp", 2, "en", "-£10.50"),
        (50000, "isk", 2, "en", "ISK\xa0500.00"),
    ],
)
def test_money_reads_as_people_write_it(amount: int, currency: str, exponent: int, language: str, shown: str) -> None:
    assert formatting.money(amount, currency, exponent, language) == shown


def test_money_has_the_decimals_that_the_database_counts_with(db: psycopg.Connection) -> None:
    for code, exponent in db.execute("select code, exponent from app.currencies").fetchall():
        for language in render.FALLBACKS:
            shown = formatting.money(10**exponent, code, exponent, language)
            assert match(r"(?<!\d)1(?:[.,](0+))?(?!\d)", shown)[1] == ("0" * exponent or None), shown


def test_dates_read_as_people_write_them() -> None:
    assert formatting.day("2027-06-12") == "Saturday, 12 June 2027"
    assert formatting.day("2027-06-02T23:30:00+00:00") == "Wednesday, 2 June 2027"
    assert formatting.day("2027-06-12", "de") == "Samstag, 12. Juni 2027"
    assert formatting.day("2027-06-12", "hi") == "शनिवार, 12 जून 2027"
    assert formatting.days("2027-06-12", "2027-06-20") == "Saturday, 12 June 2027 – Sunday, 20 June 2027"
    assert [formatting.days("2027-06-12", last) for last in (None, "", "2027-06-12")] == ["Saturday, 12 June 2027"] * 3
    assert formatting.moment("2026-11-22T01:31:07.2+02:00") == "21 November 2026, 23:31 UTC"
    assert formatting.moment("2026-11-22T08:31:07") == "22 November 2026, 08:31 UTC"
    assert formatting.moment("2026-03-22T08:31:07", "de") == "22. März 2026, 08:31 UTC"


def test_lengths_of_time_read_as_people_write_them() -> None:
    assert [formatting.duration(s) for s in (86400, 3600, 172800, 5400, 60, 90)] == [
        "24 hours",
        "1 hour",
        "2 days",
        "90 minutes",
        "1 minute",
        "90 seconds",
    ]
    assert [formatting.duration(s, "de") for s in (86400, 3600)] == ["24 Stunden", "1 Stunde"]
    assert formatting.duration(172800, "hi") == "2 दिन"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("de", "de"), ("de-AT", "de"), ("DE-at-1996", "de"), ("hi-Latn", "hi"), ("fr", "en"), ("en-GB", "en"), ("", "en")],
)
def test_a_language_falls_back_to_a_wider_one_and_then_to_english(wanted: str, found: str) -> None:
    assert f'<html lang="{found}">' in fill("booking-confirmed", language=wanted).html
    assert '<html lang="en">' in fill("payment-receipt", language=wanted).html


@pytest.mark.parametrize("odd", [None, 7, "..", "../..", "de/..", "x" * 5000, ["de"]])
def test_an_odd_language_is_english(odd: object) -> None:
    assert '<html lang="en">' in fill("booking-confirmed", language=odd).html


def test_a_file_that_is_not_translated_is_english_with_english_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(render.TRANSLATED, "booking-confirmed/de/body.html")
    mail = fill("booking-confirmed", language="de")
    assert "Samstag, 12. Juni 2027" in mail.text and "Saturday, 12 June 2027" in mail.html
    assert '<html lang="en">' in mail.html


@pytest.mark.parametrize("language", ["en", "de", "hi"])
def test_a_booking_is_paid_by_the_link_while_it_has_a_price_and_is_not_paid(language: str) -> None:
    pay = f"https://travel.example/payment/{sample('booking-received')['booking_id']}"
    states = [({"price": 5}, True), ({"price": 5, "is_paid": True}, False), ({"price": 0}, False)]
    for template in ("booking-received", "booking-confirmed", "booking-reminder"):
        for changes, is_linked in states:
            mail = fill_without(template, *PAYMENT, **{"is_paid": False, "language": language, **changes})
            assert (f"\n{pay}\n" in mail.text, f'href="{pay}"' in mail.html) == (is_linked, is_linked)
    for template in ("booking-cancelled", "booking-confirmed"):
        assert pay not in fill(template, language=language).text
    assert f"\n{pay}\n" in fill("payment-failed").text


def test_an_enquiry_names_no_price_and_asks_for_nothing() -> None:
    mail = fill("booking-received", price=0)
    assert "write to you with a price" in mail.text and "$" not in mail.text + mail.html


def test_a_confirmation_is_the_receipt_where_the_payment_was_just_made() -> None:
    both, alone = fill("booking-confirmed"), fill_without("booking-confirmed", *PAYMENT)
    assert both.subject.startswith("Your trip is booked, with your receipt: ")
    assert alone.subject.startswith("Your trip is booked: ")
    for line in ("Amount:  $2,598.00", "Paid on: 22 November 2026, 08:31 UTC", "Payment: c3a9f4d1"):
        assert line in both.text and line not in alone.text
    assert "It is paid; there is nothing more to do." in alone.text
    assert 'class="preheader"' in both.html and "We received your payment, and look forward" in both.html


def test_a_cancellation_says_what_becomes_of_the_money() -> None:
    assert "We refund what you paid, and write to you" in fill("booking-cancelled").text
    unpaid = fill("booking-cancelled", is_paid=False)
    assert "refund" not in unpaid.text + unpaid.html and "There is nothing left to pay." in unpaid.text
    payment = {key: sample("booking-confirmed")[key] for key in PAYMENT}
    assert "Payment: c3a9f4d1" in fill("booking-cancelled", **payment).text


def test_a_reminder_is_of_the_payment_and_then_of_the_trip() -> None:
    assert fill("booking-reminder").subject == "Your booking waits for its payment: Ladakh: Lakes and High Passes"
    paid = fill("booking-reminder", is_paid=True)
    assert paid.subject == "Your trip is coming up: Ladakh: Lakes and High Passes on Saturday, 12 June 2027"
    assert "your trip begins on Saturday, 12 June 2027" in paid.text and "payment" not in paid.text


@pytest.mark.parametrize("template", render.TEMPLATES)
def test_whoever_wants_to_write_to_us_finds_the_page(template: str) -> None:
    mail = render.render_sample(template)
    assert mail.text.count("rite to us") == mail.text.count("\nhttps://travel.example/contact\n")
    assert mail.html.count("Write to us</a>") == mail.html.count('href="https://travel.example/contact"')


@every_mail
def test_with_rupees_nothing_says_dollars(template: str, language: str) -> None:
    given = sample(template)
    if "currency" in given:
        mail = fill(template, **(given | {"currency": "inr", "language": language}))
        assert "₹" in mail.subject + mail.text
        assert not re.search(r"[$€£]|usd|dollar", mail.subject + mail.text + mail.html, re.IGNORECASE)
