"""Mails from `email_templates/<name>/`: subject, plain text and HTML, with every value made harmless."""

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from css_inline import CSSInliner
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, UndefinedError, select_autoescape

from service.config import Config
from service.mail import formatting
from service.mail.links import LINKS

FOLDER = Path(__file__).resolve().parent.parent.parent / "email_templates"
TEMPLATES = sorted(path.parent.name for path in FOLDER.glob("*/subject.txt"))
FALLBACKS = {"name": "traveller", "package": "your trip"}  # old bookings may lack them
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
class Rendered:
    """One mail, ready to be addressed."""

    subject: str
    text: str
    html: str


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
) -> Rendered:
    """Fill one template of ``TEMPLATES`` with ``data``.

    ``link`` and ``valid_for`` (seconds) go into the mails that carry a link. Raises ``Unwritable`` for an unknown name,
    and when data is missing, null, or no date or amount where one is printed.
    """
    context = {key: _clean(value, is_long=key == "message") for key, value in data.items()}
    context |= {key: fallback for key, fallback in FALLBACKS.items() if key in context and not context[key]}
    context |= {"brand": brand, "site_url": site_url, "site_name": urlsplit(site_url).netloc}
    if link:
        context |= {"link": link, "valid_for": formatting.duration(valid_for or 0)}
    try:
        subject = " ".join(_fill(template, "subject.txt", context).split())
        text = _fill(template, "body.txt", context)
        html = _fill(template, "body.html", context | {"subject_line": subject})
    except (TemplateError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise Unwritable(f"{template}: {error}") from error
    return Rendered(subject, re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", _inliner.inline(html))


def render_sample(template: str, *, site_url: str = "https://travel.example", brand: str = "JKLG Travel") -> Rendered:
    """A template with the data of its `sample.json`, for previews, pictures and tests."""
    data = json.loads((FOLDER / template / "sample.json").read_text())
    url, valid_for = None, None
    if kind := LINKS.get(template):
        url = f"{site_url}/{kind.page}?token=S2hhcmR1bmcgTGEgaXMgNSwzNTkgbSBoaWdo&customerId=5f0e7c1a"
        valid_for = Config.model_fields[kind.ttl].default
    return render(template, data, site_url=site_url, brand=brand, link=url, valid_for=valid_for)


def _fill(template: str, file: str, context: dict[str, Any]) -> str:
    return _environment().get_template(f"{template}/{file}").render(context)


@cache
def _environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_present,
    )
    env.filters |= {"money": formatting.money, "day": formatting.day, "moment": formatting.moment}
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
