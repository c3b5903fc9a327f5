"""Pieces of SQL that are safe to put together: quoted identifiers and numbered parameters.

Names and values end at their first NUL, as those of PostgREST do, which hands them to Postgres as C strings.
"""

from devstack.postgrest.errors import up_to_nul


def ident(name: str) -> str:
    """Quote an identifier."""
    return '"' + up_to_nul(name).replace('"', '""') + '"'


def qualified(name: tuple[str, str]) -> str:
    return f"{ident(name[0])}.{ident(name[1])}"


def array_literal(values: list[str]) -> str:
    """Return the text of an array."""
    escaped = (up_to_nul(value).replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


class Parameters(list[bytes | None]):
    """The values of a statement in the making."""

    def add(self, value: str | bytes | None) -> str:
        """Keep a value and return its placeholder."""
        self.append(up_to_nul(value).encode() if isinstance(value, str) else value)
        return f"${len(self)}"
