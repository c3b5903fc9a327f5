"""Mails from `email_templates/<name>/`: subject, plain text and HTML, with every value made harmless.

A file in `email_templates/<name>/<language>/` stands before the English one, for who chose that language.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from css_inline import CSSInliner
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, UndefinedError, select_autoescape

from service.config import Config
from service.mail import formatting
from service.mail.calendar import write_trip
from service.mail.links import LINKS

FOLDER = Path(__file__).resolve().parent.parent.parent / "email_templates"
TEMPLATES = sorted(path.parent.name for path in FOLDER.glob("*/subject.txt"))
# By lower case, as languages are; the files themselves may be written pt-BR.
TRANSLATED = {path.relative_to(FOLDER).as_posix().lower(): path.relative_to(FOLDER) for path in FOLDER.glob("*/*/*.*")}
# What old bookings may lack, by language.
FALLBACKS: dict[str, dict[str, str]] = json.loads((FOLDER / "fallbacks.json").read_text())
MAX_LINE = 200  # characters of one value, unless it is the message of an alert
# Marks that turn the direction of what follows around; a name may not rewrite the sentence it stands in.
TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F])

_inliner = CSSInliner(
    extra_css=(FOLDER / "base.css").read_text(),
    inline_style_tags=False,
    keep_style_tags=True,
    load_remote_stylesheets=False,
)


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a mail."""

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class Rendered:
    """One mail, ready to be addressed."""

    subject: str
    text: str
    html: str
    attachments: tuple[Attachment, ...] = ()


def _fallbacks(language: str) -> dict[str, str]:
    """What stands for what nobody gave, in English where the language has no words of its own for it."""
    return FALLBACKS.get(language, FALLBACKS["en"])


class Unwritable(Exception):
    """A mail that its template and data do not make."""


def render(
    template: str,
    data: dict[str, Any],
    *,
    site_url: str,
    brand: str,
    link: str | None = None,
    valid_for: int | None = None,
    sender: str = "",
    queued_at: str | None = None,
) -> Rendered:
    """Fill one template of ``TEMPLATES`` with ``data``, in the language that it names (BCP 47), else English.

    ``link`` and ``valid_for`` (seconds) go into the mails that carry a link; ``sender`` (an address) and ``queued_at``
    (ISO) into the calendar's file. Raises ``Unwritable`` for an unknown name, and when data is missing, null, or no
    date or amount where one is printed.
    """
    context = {key: _clean(value, is_long=key == "message") for key, value in data.items()}
    context |= {"brand": brand, "site_url": site_url, "site_name": urlsplit(site_url).netloc}
    context["contact_url"] = f"{site_url}/contact"
    if "booking_id" in context:
        context["pay_url"] = f"{site_url}/payment/{quote(str(context['booking_id']), safe='')}"
    if link:
        context |= {"link": link, "valid_for": valid_for or 0}
        if (kind := LINKS.get(template)) and (page := kind.refusal_page):
            context["refusal_link"] = f"{site_url}/{page}?{urlsplit(link).query}"
    try:
        subject = " ".join(_fill(template, "subject.txt", context).split())
        text = _fill(template, "body.txt", context)
        html = _fill(template, "body.html", context | {"subject_line": subject})
        attachments = _attach(template, context, sender, queued_at)
    except (TemplateError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise Unwritable(f"{template}: {error}") from error
    return Rendered(subject, re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", _inliner.inline(html), attachments)


def render_sample(
    template: str, *, site_url: str = "https://travel.example", brand: str = "JKLG Travel", language: str = "en"
) -> Rendered:
    """A template with the data of its `sample.json`, for previews, pictures and tests."""
    data = json.loads((FOLDER / template / "sample.json").read_text()) | {"language": language}
    url, valid_for = None, None
    if kind := LINKS.get(template):
        url = f"{site_url}/{kind.page}?token=S2hhcmR1bmcgTGEgaXMgNSwzNTkgbSBoaWdo&customerId=5f0e7c1a"
        valid_for = Config.model_fields[kind.ttl].default
    sender = f"noreply@{urlsplit(site_url).hostname}"
    return render(template, data, site_url=site_url, brand=brand, link=url, valid_for=valid_for, sender=sender)


def list_languages(template: str) -> list[str]:
    """The languages that a template is written in, English first."""
    return ["en", *sorted({path.parts[1] for path in TRANSLATED.values() if path.parts[0] == template})]


def _fill(template: str, file: str, context: dict[str, Any]) -> str:
    """One file of a template in its reader's language, with dates and amounts in the language of the file."""
    path, language = _find(template, file, context.get("language"))
    fallbacks = _fallbacks(language)
    context = context | {key: fallback for key, fallback in fallbacks.items() if key in context and not context[key]}
    return _environment(language).get_template(path).render(context | {"language": language})


def _find(template: str, file: str, language: object) -> tuple[str, str]:
    """Where a file lies, and its language: for de-AT in de-AT or de, else in English (RFC 4647 3.4)."""
    subtags = str(language or "").lower().split("-")
    for length in range(len(subtags), 0, -1):
        if found := TRANSLATED.get(f"{template}/{'-'.join(subtags[:length])}/{file}"):
            return found.as_posix(), found.parts[1]
    return f"{template}/{file}", "en"


def _attach(template: str, context: dict[str, Any], sender: str, queued_at: str | None) -> tuple[Attachment, ...]:
    """The calendar's file of a trip that is confirmed, where its date is known."""
    if template != "booking-confirmed" or not context["travel_date"]:
        return ()
    _, language = _find(template, "subject.txt", context.get("language"))
    trip = write_trip(
        context["booking_id"],
        context["package"] or _fallbacks(language)["package"],
        context["travel_date"],
        context["return_date"],
        site_url=context["site_url"],
        brand=context["brand"],
        sender=sender,
        queued_at=queued_at,
    )
    return (Attachment("trip.ics", "text/calendar; charset=utf-8; method=PUBLISH", trip),)


@cache
def _environment(language: str) -> Environment:
    env = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_present,
    )
    filters = (formatting.money, formatting.day, formatting.days, formatting.moment, formatting.duration)
    env.filters |= {each.__name__: partial(each, language=language) for each in filters}
    return env


def _present(value: Any) -> Any:
    if value is None:
        raise UndefinedError("a value that the mail prints is null")
    return value


def _clean(value: Any, *, is_long: bool) -> Any:
    """Text without control characters and of one line; an alert's message keeps its lines."""
    if not isinstance(value, str):
        return value
    value = value.translate(TURNING).encode("utf-8", "replace").decode()
    if is_long:
        lines = value.splitlines()
        return "\n".join(_printable(line).strip() for line in lines)[:5000]
    line = " ".join(_printable(value).split())
    return line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + "…"


def _printable(text: str) -> str:
    return "".join(" " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character for character in text)
