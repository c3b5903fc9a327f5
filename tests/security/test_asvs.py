"""docs/asvs.md names every requirement of its two chapters once, and no test that is not there."""

import re
from typing import Any

import pytest

from tests.client import Client
from tests.factories import unique_email
from tools.project import PROJECT

TEXT = (PROJECT / "docs" / "asvs.md").read_text()
# How many requirements each section of ASVS 5.0 has.
SECTIONS = {
    **{"6.1": 3, "6.2": 12, "6.3": 8, "6.4": 6, "6.5": 8, "6.6": 4, "6.7": 2, "6.8": 4},
    **{"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 3, "7.6": 2},
}
ROWS = re.findall(r"^\| (\d\.\d\.\d+) \| ([123]) \| (.+?) \| (.+) \|$", TEXT, re.MULTILINE)


def test_each_requirement_stands_there_once():
    expected = [f"{section}.{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)]
    assert [number for number, *_ in ROWS] == expected
    assert f"none of the {len(expected)} is" in TEXT


def test_each_says_what_holds_it_or_why_it_is_not_met():
    for number, _, _, held in ROWS:
        told = ("::test_", "not met, because", "nothing of the kind", "the same", "used or not")
        assert any(words in held for words in told), number


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", TEXT))))
def test_each_test_that_is_named_is_there(name: str):
    path, _, function = name.partition("::")
    assert re.search(rf"^def {function}\(", (PROJECT / path).read_text(), re.MULTILINE), name


def test_no_link_of_a_mail_signs_anybody_in(api: Client, app, db, newcomer, link):
    """What is answered to who follows one is no token and sets no cookie."""
    from service.credentials import new_token

    email, password = newcomer["email"], "another horse 43 staple"
    api.post("/api/customers/forgot-password", {"email": email})
    invited: dict[str, Any] = {"name": "T", "role": "Guide", "email": unique_email("invited")}
    with app.app_context():
        from service.auth.store import invite_staff

        staff_id = invite_staff(invited)["id"]  # type: ignore[arg-type]
    token, hashed = new_token()
    db.execute(
        "select issue_staff_invitation(email_id, %s, 3600) from staff_invitations where staff_id = %s",
        [hashed, staff_id],
    )
    for path, sent in (
        ("customers/verify-email", link(email)),
        ("customers/reset-password", {**link(email, "password-reset"), "newPassword": password}),
        ("auth/accept-invitation", {"staffId": staff_id, "token": token, "password": password}),
    ):
        answer = api.post(f"/api/{path}", sent)
        assert "token" not in answer and "Set-Cookie" not in api.last.headers, path
