"""Who may import whom: the service nothing of what is around it, devstack nothing of this project."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.project import PROJECT


def imports(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file of a folder with the first part of every name that it imports."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield path, node.module.partition(".")[0]


@pytest.mark.parametrize(
    ("folder", "foreign"),
    [
        ("service", {"devstack", "tests", "tools"}),
        ("devstack/src", {"service", "tests", "tools"}),
        ("devstack/tests", {"service", "tools"}),
    ],
)
def test_nothing_foreign_is_imported(folder: str, foreign: set[str]) -> None:
    found = list(imports(PROJECT / folder))
    assert found and [each for each in found if each[1] in foreign] == []


def test_devstack_names_nothing_of_this_project() -> None:
    words = ("jklg", "bookings", "email_templates", "process-webhook")
    for path in (PROJECT / "devstack" / "src").rglob("*.*"):
        if path.suffix in (".py", ".sql", ".html", ".js"):
            assert [word for word in words if word in path.read_text().lower()] == [], path
