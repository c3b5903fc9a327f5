"""Pieces of SQL that are safe to put together: quoted identifiers and numbered parameters."""

from devstack.postgrest.errors import ApiError


def ident(name: str) -> str:
    """Quote an identifier."""
    if "\0" in name:
        raise ApiError(400, "22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    return '"' + name.replace('"', '""') + '"'


def qualified(name: tuple[str, str]) -> str:
    return f"{ident(name[0])}.{ident(name[1])}"


def array_literal(values: list[str]) -> str:
    """Return the text of an array."""
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


class Parameters(list[bytes | None]):
    """The values of a statement in the making."""

    def add(self, value: str | bytes | None) -> str:
        """Keep a value and return its placeholder."""
        self.append(value.encode() if isinstance(value, str) else value)
        return f"${len(self)}"
