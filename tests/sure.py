"""What must be there, or the test fails."""

import re
from typing import Any

import psycopg


def fetch_row(db: psycopg.Connection[Any], query: str, params: Any = None) -> tuple[Any, ...]:
    """The first row that a query finds."""
    found = db.execute(query.encode(), params).fetchone()
    assert found is not None, f"no row: {query} {params}"
    return tuple(found)


def match(pattern: str, text: str) -> re.Match[str]:
    """Where a text matches first."""
    found = re.search(pattern, text)
    assert found is not None, f"{pattern} is not in {text[:2000]}"
    return found
