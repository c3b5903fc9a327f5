"""Mails on the narrowest screens, laid out by a real browser."""

import html
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from service.mail import render
from tests.browser import CHROMIUM, needs_chromium
from tests.browser.mail_pictures import FLAGS
from tests.sure import match

LONG = "Donaudampfschifffahrtsgesellschaft" * 5
PAGE = """<!doctype html><meta charset="utf-8">{frames}<script>onload = () => {{
  const width = (frame) => frame.contentDocument.documentElement.scrollWidth;
  document.body.dataset.widths = JSON.stringify([...document.querySelectorAll("iframe")].map(width));
}}</script>"""


@pytest.mark.browser
@needs_chromium
@pytest.mark.parametrize("width", [320, 360])
def test_no_mail_is_wider_than_a_phone_whatever_it_says(tmp_path: Path, width: int) -> None:
    mails = []
    languages = [(template, each) for template in render.TEMPLATES for each in render.list_languages(template)]
    for template, language in languages:
        data = json.loads((render.FOLDER / template / "sample.json").read_text()) | {"language": language}
        long = data | {key: LONG for key in ("name", "package", "reason", "subject", "message", "role") if key in data}
        place: Any = {"site_url": "https://travel.example", "brand": "JKLG Travel"}
        mails += [
            render.render_sample(template, language=language).html,
            render.render(template, long, link="https://travel.example/" + LONG, valid_for=3600, **place).html,
        ]
    frames = "".join(
        f'<iframe width="{width}" frameborder="0" srcdoc="{html.escape(mail)}"></iframe>' for mail in mails
    )
    page = tmp_path / "page.html"
    page.write_text(PAGE.format(frames=frames), encoding="utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path}/profile", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(match(r'data-widths="(\[[\d,]+\])"', shown)[1]) == [width] * len(mails)
