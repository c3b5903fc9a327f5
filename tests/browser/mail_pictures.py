"""`python -m tests.browser.mail_pictures [NAME …]`: docs/mail/<name>.png, each mail as a real browser shows it.

On the left a light screen of 640 pixels, on the right a phone of 360 in dark mode. Languages but English are
<name>.<language>.png; Hindi wants a font (apt-get install fonts-noto-core).
"""

import html
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from service.mail import render
from tests.browser import CHROMIUM
from tests.sure import match

PICTURES = Path(__file__).resolve().parent.parent.parent / "docs" / "mail"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += [
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--disable-lcd-text",
]
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 16px; width: 1016px; background: #c9d0cc;
  display: flex; gap: 16px; align-items: flex-start; }}
iframe {{ border: 0; border-radius: 10px; }}</style>
<iframe width="640" srcdoc="{light}"></iframe><iframe width="360" srcdoc="{dark}"></iframe>
<script>onload = () => {{
  const fit = (frame) => frame.style.height = frame.contentDocument.documentElement.scrollHeight + "px";
  document.querySelectorAll("iframe").forEach(fit);
  document.body.dataset.height = document.documentElement.scrollHeight;
}}</script>"""


def main() -> None:
    if not CHROMIUM:
        sys.exit("There is no chromium here: apt-get install chromium")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or render.TEMPLATES:
        for language in render.list_languages(name):
            take(CHROMIUM, name, language)


def take(chromium: str, name: str, language: str) -> None:
    """One picture of one mail with its sample data."""
    mail = render.render_sample(name, language=language).html
    dark = mail.replace("(prefers-color-scheme: dark)", "all")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(PAGE.format(light=html.escape(mail), dark=html.escape(dark)), encoding="utf-8")
        browser = [chromium, *FLAGS, f"--user-data-dir={folder}/profile"]
        shown = subprocess.run([*browser, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True)
        height = match(r'data-height="(\d+)"', shown.stdout)[1]
        picture = PICTURES / (f"{name}.png" if language == "en" else f"{name}.{language}.png")
        size = ["--window-size=1048," + height, f"--screenshot={picture}"]
        subprocess.run([*browser, *size, page.as_uri()], capture_output=True, check=True)
    if pngquant := shutil.which("pngquant"):  # a third of the size; what it changes nobody sees
        subprocess.run([pngquant, "--force", "--skip-if-larger", "--output", picture, "64", picture], check=True)
    sys.stdout.write(f"{picture.name}: {picture.stat().st_size // 1024} KB\n")


if __name__ == "__main__":
    main()
