"""Headers of the calls that the site's pages make to `/rest/v1`."""

from tests.factories import Staff

OWN = {"Origin": "http://localhost"}
RETURNING = {"Prefer": "return=representation"}


def cookie(person: Staff) -> dict[str, str]:
    return {"Cookie": f"jklg_staff={person.token}", **OWN}
