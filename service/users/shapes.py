"""What travels between the views of staff accounts and the database, by its keys."""

from typing import NotRequired, TypedDict


class User(TypedDict):
    """A staff account as the API answers it. Times are ISO 8601."""

    id: int
    name: str
    email: str
    phone: str | None
    role: str
    avatar: str | None
    status: str
    last_login: str | None
    created_at: str


class NewUser(TypedDict):
    """A staff account to be made; the password is hashed before it goes on."""

    name: str
    email: str
    role: str
    password: NotRequired[str]
    phone: NotRequired[str | None]
    avatar: NotRequired[str | None]
    status: NotRequired[str]
