"""Which role may do what, as in the original table."""


def allows(role: str, permission: str) -> bool:
    """Whether the role has the permission; an unknown role has none."""
    raise LookupError("the table of roles is not there yet")
