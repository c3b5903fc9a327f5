"""The SQL is filed so that a rule is found: rooms named as the service's packages, each thing in one of them."""

import re

from tools.migration import SUPABASE, schema_paths
from tools.project import PROJECT

SCHEMAS = {path: (SUPABASE / "schemas" / path).read_text() for path in schema_paths()}
SQL = "\n".join(SCHEMAS.values())
PYTHON = {
    path.relative_to(PROJECT / "service").as_posix(): path.read_text() for path in (PROJECT / "service").rglob("*.py")
}
NAMED_BY_THE_ORIGINAL = {"calculate_loyalty_points", "update_customer_stats"}


def rooms(texts: dict[str, str], word: str) -> set[str]:
    return {path.partition("/")[0] for path, text in texts.items() if re.search(rf"\b{word}\b", text)}


def test_who_may_write_a_column_is_said_in_one_room() -> None:
    """Of SQL, and of Python where a view is for those alone."""
    rules = SCHEMAS["staff/permissions.sql"].partition("insert into app.column_permissions")[2].partition(";")[0]
    permissions = set(re.findall(r"'((?:bookings|tickets)_\w+)'", rules))
    assert permissions >= {"bookings_update_payment", "bookings_reassign", "tickets_assign"}
    for permission in permissions:
        assert rooms(SCHEMAS, permission) == {"staff"}, permission
        # Whoever may note a payment by hand may also settle a flagged one.
        assert rooms(PYTHON, permission) <= {"bookings", "payments"} and len(rooms(PYTHON, permission)) <= (
            2 if permission == "bookings_update_payment" else 1
        ), permission


def test_policies_are_found_by_their_table() -> None:
    """Each is written out, beside the table that it guards; none is made of text."""
    assert not re.search(r"execute[^;]*create policy", SQL, re.IGNORECASE)
    for path, text in SCHEMAS.items():
        for table in re.findall(r"create policy \w+ on (public\.\w+)", text):
            made = rf"create table (if not exists )?{table} "
            assert path.partition("/")[0] in {
                place.partition("/")[0] for place in SCHEMAS if re.search(made, SCHEMAS[place])
            }


def test_what_only_sql_calls_is_in_app() -> None:
    served = set(re.findall(r"create or replace (?:function|procedure) public\.(\w+)\(", SQL))
    assert len(served) > 60
    called = {name for name in served if any(f'"{name}"' in text for text in PYTHON.values())}
    assert served - called == NAMED_BY_THE_ORIGINAL


def test_a_definer_says_why() -> None:
    """Above the function, in a sentence that begins so."""
    for path, text in SCHEMAS.items():
        for function in re.finditer(
            r"((?:^--[^\n]*\n)*)^create or replace function ([\w.]+)\(.*?\$\$", text, re.M | re.S
        ):
            if "security definer" in function[0]:
                assert "Definer: " in function[1], (path, function[2])
