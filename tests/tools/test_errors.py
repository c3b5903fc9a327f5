"""The catalogue of error codes: fresh, whole, and each code of one form and one status."""

import re
from collections import defaultdict

from tools import errors
from tools.migration import SUPABASE
from tools.project import PROJECT


def test_the_catalogue_is_fresh() -> None:
    assert errors.CATALOGUE.read_text() == errors.catalogue(), "make errors"


def test_a_code_has_one_form_and_one_status() -> None:
    statuses = defaultdict(set)
    for refusal in errors.refusals():
        assert re.fullmatch(r"[a-z_]+", refusal.code), refusal
        assert refusal.status != 404 or refusal.code.endswith("not_found"), refusal
        statuses[refusal.code].add(refusal.status)
    assert {code: found for code, found in statuses.items() if len(found) > 1} == {}


def test_no_refusal_of_sql_is_overlooked() -> None:
    """Every hint, and every PTnnn, is one that was understood; a sentence belongs to each."""
    for path in SUPABASE.glob("schemas/*/*.sql"):
        text = re.sub(r"--[^\n]*", "", path.read_text())
        found = list(errors.of_sql(text))
        assert len(errors.RAISE.findall(text)) == text.count("raise sqlstate 'PT") == text.count("hint = '"), path
        assert all(refusal.code and refusal.sentence for refusal in found), path


def test_codes_that_are_not_literal_are_known() -> None:
    """What they may be, the catalogue has from SQL and from CONFLICTS, or says in words."""
    places = {
        path.relative_to(PROJECT / "service").as_posix()
        for path in (PROJECT / "service").rglob("*.py")
        if re.search(r"\bcode=(?![\"'])", path.read_text())
    }
    gateways = {f"payments/gateways/{name}.py" for name in ("paypal_client", "razorpay", "stripe")}
    assert places == {"database.py", "errors.py"} | gateways
