"""The trip as a file that calendars take in (RFC 5545, iCalendar)."""

from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

from icalendar import Calendar, Event, vCalAddress


def write_trip(
    booking_id: str,
    package: str,
    travel_date: str,
    return_date: str | None,
    *,
    site_url: str,
    brand: str,
    sender: str,
    queued_at: str | None = None,
) -> bytes:
    """The whole days from ``travel_date`` to ``return_date`` (ISO, both included) as one published event.

    The same booking is the same event: a calendar that has it already takes the later dates over. ``queued_at`` (ISO)
    orders them; what happens to a booking within a minute is one mail, so that its minute serves as SEQUENCE.
    """
    at = datetime.fromisoformat(queued_at).astimezone(UTC) if queued_at else datetime.now(UTC)
    first = date.fromisoformat(travel_date[:10])
    last = max(first, date.fromisoformat(return_date[:10])) if return_date else first
    organizer = vCalAddress(f"mailto:{sender}")  # which RFC 5546 3.2.1 asks of what is published
    organizer.params["CN"] = brand
    event = Event.new(
        uid=f"booking-{booking_id}@{urlsplit(site_url).hostname}",
        stamp=at,
        sequence=int(at.timestamp()) // 60,
        start=first,
        end=last + timedelta(days=1),  # exclusive
        summary=package,
        organizer=organizer,
        url=site_url,
    )
    event.add("status", "CONFIRMED")
    # Over `new`: it would add a UID of its own to the calendar.
    calendar = Calendar()
    calendar.add("prodid", f"-//{brand}//Bookings//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add_component(event)
    return bytes(calendar.to_ical())
