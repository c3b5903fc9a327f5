"""The seed: believable, once."""

import psycopg

from tools.project import SEED
from tools.stack import Stack

COUNTS = """
    select (select count(*) from packages where price > 0), (select count(*) from itineraries),
      (select count(*) from staff_credentials), (select count(*) from bookings where amount > 0),
      (select count(*) from faqs), (select count(*) from destinations)
"""


def test_a_second_seed_adds_nothing(stack: Stack):
    stack.postgres.create_database("seeded")
    stack.postgres.migrate("seeded")
    with psycopg.connect(stack.postgres.uri(database="seeded"), autocommit=True) as owner:
        for _ in range(2):
            owner.execute(SEED.read_text())
            assert owner.execute(COUNTS).fetchone() == (4, 10, 2, 2, 3, 3)
        first = owner.execute("select title from packages where id = 1").fetchone()
        assert first == ("Annapurna Base Camp Trek",)
