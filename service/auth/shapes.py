"""What travels between the views of staff's sign-in and the database, by its keys."""

from typing import NotRequired, TypedDict

from service.users.shapes import User


class LoginAttempt(TypedDict):
    """The account that somebody wants to log in to, None where nobody has the address; its hash where it may."""

    staff_id: int | None
    password_hash: str | None


class LoginOutcome(TypedDict):
    """``verdict``: logged_in, with what follows, or why not."""

    verdict: str
    session_id: NotRequired[str]
    staff: NotRequired[User]


class Acceptance(TypedDict):
    """The body by which somebody takes up an invitation."""

    staff_id: int
    token: str
    password: str
