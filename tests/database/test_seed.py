"""The seed: believable, once, and what the site's pages need of it."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tools.project import PROJECT, SEED
from tools.stack import Stack

COUNTS = """
    select (select count(*) from packages where price > 0), (select count(*) from itineraries),
      (select count(*) from staff_credentials), (select count(*) from bookings where amount > 0),
      (select count(*) from faqs), (select count(*) from destinations)
"""


@pytest.fixture(scope="module")
def owner(stack: Stack) -> Iterator[psycopg.Connection]:
    """Of a database that was seeded twice."""
    stack.postgres.create_database("seeded")
    stack.postgres.migrate("seeded")
    with psycopg.connect(stack.postgres.uri(database="seeded"), autocommit=True) as connection:
        for _ in range(2):
            connection.execute(SEED.read_text())
        yield connection


def test_a_second_seed_adds_nothing(owner: psycopg.Connection):
    assert owner.execute(COUNTS).fetchone() == (4, 10, 2, 2, 3, 3)
    first = owner.execute("select title from packages where id = 1").fetchone()
    assert first == ("Annapurna Base Camp Trek",)
    assert owner.execute("select count(*) from email_outbox").fetchone() == (0,)


def test_every_picture_is_one_that_make_run_serves(owner: psycopg.Connection):
    hosts = set(re.findall(r"https?://[^/'\"]+", SEED.read_text()))
    assert hosts == {"http://localhost:3000"}
    named = set(re.findall(r"http://localhost:3000(/[^'\"]+)", SEED.read_text()))
    assert all((PROJECT / "tools" / "site" / path.strip("/")).is_file() for path in named)
    for table in ("packages", "destinations", "gallery", "blog_posts"):
        assert owner.execute(f"select bool_and(image ~ '^http.+/pictures/') from {table}").fetchone() == (True,)


def test_the_settings_have_what_the_pages_read(owner: psycopg.Connection):
    settings: dict[str, Any] = dict(owner.execute("select key, value from site_settings").fetchall())
    slides = settings["hero_slides"]
    assert slides and all(
        all(slide[name] for name in ("id", "image", "title", "subtitle", "cta", "link")) for slide in slides
    )
    general = settings["general_settings"]
    assert all(general[name] for name in ("siteName", "siteEmails", "sitePhones", "siteAddress", "logoUrl", "logoSize"))
    assert set(settings["social_links"]) == {"facebook", "instagram", "twitter", "youtube"}
    # The page offers to reassign to names that some booking has.
    assert owner.execute("select assigned_to from bookings where assigned_to <> ''").fetchall() == [("Dorje Lama",)]
