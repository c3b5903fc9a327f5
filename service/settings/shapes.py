"""What travels between the views of settings and the database, by its keys."""

from typing import Any, TypedDict

Settings = dict[str, Any]  # whatever the site keeps, by key


class ChangedLogo(TypedDict):
    """The general settings after the logo changed, and the address of the one before."""

    settings: Settings
    previous: str | None
