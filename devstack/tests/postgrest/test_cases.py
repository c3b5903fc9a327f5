"""What PostgREST 14.17 answered to the recorded requests, and what it answers to more of their kinds."""

import json
from pathlib import Path

import pytest

from tests.postgrest.conftest import Server
from tests.postgrest.runner import Case, essence

HERE = Path(__file__).parent
RECORDED = json.loads((HERE / "cases.json").read_text())
MORE = [json.loads(line) for line in (HERE / "more_cases.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["name"])
def test_recorded_request_is_answered_the_same(library: Server, case: Case) -> None:
    library.skip_if_older(case)
    library.restore()
    assert essence(library.ask_case(case)) == essence(case["expect"])


@pytest.mark.parametrize("case", MORE, ids=lambda case: f"{case['method']} {case['path']}"[:90])
def test_request_of_the_same_kind_is_answered(annex: Server, case: Case) -> None:
    annex.skip_if_older(case)
    annex.restore()
    assert essence(annex.ask_case(case)) == essence(case["expect"])
