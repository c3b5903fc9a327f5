"""A few dozen payments while parts of the stack are killed; the thousand are in tests/proof."""

import itertools
import shutil

import pytest

from tests.conftest import DIRECTORY
from tests.payments.crashes import PARTS, battlefield


@pytest.mark.timeout(180)
def test_no_payment_is_lost_or_doubled_when_parts_are_killed():
    directory = DIRECTORY / "crashes"
    try:
        with battlefield(directory) as field:
            for seed, part in zip(itertools.count(1), PARTS):
                ended = field.run(8, part, seed)
                assert ended["not begun"] <= 1, (part, ended)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
