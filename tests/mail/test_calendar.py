"""The calendar's file of a trip, as a calendar reads it."""

from datetime import UTC, date, datetime
from email import message_from_bytes, policy

import pytest
from flask import Flask
from icalendar import Calendar, Event

from service.mail.message import Letter, compose
from service.mail.render import Rendered, Unwritable
from tests.mail.test_delivery import letter, make_settings
from tests.mail.test_render import fill

QUEUED = "2026-11-22T08:31:07.215+02:00"


def read(mail: Rendered) -> Event:
    (attached,) = mail.attachments
    assert (attached.name, attached.content_type) == ("trip.ics", "text/calendar; charset=utf-8; method=PUBLISH")
    calendar = Calendar.from_ical(attached.content)
    assert (calendar["METHOD"], calendar["VERSION"]) == ("PUBLISH", "2.0")
    (event,) = calendar.events
    assert not event.errors
    return event


def test_a_trip_is_whole_days_to_the_last_one() -> None:
    event = read(fill("booking-confirmed"))
    assert (event.start, event.end) == (date(2027, 6, 12), date(2027, 6, 21))
    assert event["SUMMARY"] == "Ladakh: Lakes and High Passes"
    assert event["UID"] == "booking-7f1c2b9e-54d0-4c37-9a8e-0d6f3e1b2a45@travel.example"
    assert (event["STATUS"], event["URL"]) == ("CONFIRMED", "https://travel.example")


@pytest.mark.parametrize("last", [None, "", "2027-06-12", "2020-01-01"])
def test_without_a_later_return_it_is_one_day(last: str | None) -> None:
    assert read(fill("booking-confirmed", return_date=last)).duration.days == 1


def test_a_later_mail_about_the_booking_replaces_the_event() -> None:
    first = read(fill("booking-confirmed", queued_at=QUEUED))
    later = read(fill("booking-confirmed", queued_at="2026-11-22T06:32:08+00:00", travel_date="2027-06-13"))
    assert first.DTSTAMP == datetime(2026, 11, 22, 6, 31, 7, tzinfo=UTC)
    assert later.uid == first.uid and later.sequence == first.sequence + 1
    assert later.sequence < 2**31  # RFC 5545 3.3.8
    assert (
        fill("booking-confirmed", queued_at=QUEUED).attachments
        == fill("booking-confirmed", queued_at=QUEUED).attachments
    )


def test_whatever_the_package_is_called_it_is_the_summary_alone() -> None:
    name = 'Köln; \\ Bonn, "हिमालय" ' + "ü" * 120 + "\r\nEND:VEVENT"
    mail = fill("booking-confirmed", package=name)
    assert read(mail)["SUMMARY"] == " ".join(name.split())
    assert max(len(line) for line in mail.attachments[0].content.split(b"\r\n")) <= 75
    assert read(fill("booking-confirmed", package="", language="de"))["SUMMARY"] == "Ihre Reise"


def test_only_a_confirmation_with_a_date_has_one() -> None:
    assert fill("booking-received").attachments == fill("booking-cancelled").attachments == ()
    assert fill("booking-confirmed", travel_date=None).attachments == ()
    with pytest.raises(Unwritable):
        fill("booking-confirmed", travel_date="soon")


@pytest.mark.parametrize("recipient", ["mara@example.com", "mára@example.com"])
def test_it_goes_over_the_wire_as_a_file(app: Flask, recipient: str) -> None:
    content = fill("booking-confirmed", language="hi", sender="trips@jklg.example")
    with app.app_context():
        raw = compose(Letter(recipient, content, letter().message_id), make_settings(25))
    message = message_from_bytes(raw, policy=policy.default)
    (attached,) = message.iter_attachments()
    assert attached.get_filename() == "trip.ics" and attached.get_content_type() == "text/calendar"
    assert attached["Content-Type"].params["method"] == "PUBLISH"
    assert Calendar.from_ical(attached.get_content()).events[0]["ORGANIZER"] == "mailto:trips@jklg.example"
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78
