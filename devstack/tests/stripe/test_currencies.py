"""The table of currencies: the built-in one, and one that a project gives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.stripe.currencies import BUILT_IN, Unreadable, from_rows
from tests.stripe.process import Process, refused


def test_built_in_table_is_stripes() -> None:
    assert (BUILT_IN["jpy"].exponent, BUILT_IN["kwd"].exponent, BUILT_IN["npr"].exponent) == (0, 3, 2)
    assert (BUILT_IN["kwd"].step, BUILT_IN["isk"].step, BUILT_IN["usd"].step) == (10, 100, 1)
    assert (BUILT_IN["gbp"].minimum, BUILT_IN["usd"].minimum, len(BUILT_IN)) == (30, 50, 139)


def test_a_file_takes_the_place_of_the_built_in_table(tmp_path: Path) -> None:
    rows = [{"code": "JPY", "exponent": 0, "minimum": 700, "name": "yen"}, {"code": "npr", "exponent": 2, "step": 100}]
    (tmp_path / "currencies.json").write_text(json.dumps(rows))
    process = Process(tmp_path, "--currencies", str(tmp_path / "currencies.json"))
    try:
        intents = process.client().v1.payment_intents
        assert intents.create({"amount": 700, "currency": "jpy"}).amount == 700
        assert refused(lambda: intents.create({"amount": 699, "currency": "jpy"})).code == "amount_too_small"
        assert refused(lambda: intents.create({"amount": 150, "currency": "npr"})).param == "amount"
        assert "supports these: jpy, npr" in str(refused(lambda: intents.create({"amount": 700, "currency": "usd"})))
    finally:
        process.end(15)


@pytest.mark.parametrize("rows", [[], [{"code": "usd"}], [{"code": 1, "exponent": 2}], ["usd"], [None]])
def test_a_table_that_is_none_is_refused(rows: list) -> None:
    with pytest.raises(Unreadable):
        from_rows(rows)


def test_a_broken_file_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "currencies.json"
    path.write_text("{}")
    command = [sys.executable, "-m", "devstack.stripe", "--port", "0", "--state", str(tmp_path / "state")]
    ran = subprocess.run([*command, "--currencies", str(path)], capture_output=True, text=True, timeout=20)
    assert ran.returncode == 1 and str(path) in ran.stderr and ran.stderr.count("\n") == 1
