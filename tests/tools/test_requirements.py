"""What is installed is what was asked for, each release with the checksums of its files; nothing names this machine."""

import re

import pytest

from tools.project import PROJECT

PIN = re.compile(r"^([\w.-]+)==(\S+)", re.M)


def names(text: str) -> set[str]:
    """The packages that a file asks for, in the form of PEP 503, without their extras."""
    asked = re.findall(r"^([A-Za-z][\w.-]*)", text, re.M)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in asked}


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_every_requirement_is_pinned_with_its_checksums(name: str) -> None:
    asked, compiled = ((PROJECT / f"{name}{ending}").read_text() for ending in (".in", ".txt"))
    assert names(asked) <= names(compiled), "make lock"
    _, *blocks = re.split(r"\n(?=[A-Za-z])", compiled)
    assert [block for block in blocks if not PIN.match(block) or "--hash=sha256:" not in block] == []
    assert not re.search(r"https?://|file:|^--|^-[a-z]|(^|\s)/", compiled, re.M)


def test_development_has_the_releases_that_are_deployed() -> None:
    deployed, here = (
        dict(PIN.findall((PROJECT / name).read_text())) for name in ("requirements.txt", "requirements-dev.txt")
    )
    assert deployed.items() <= here.items(), "make lock"
