"""Staff accounts as sign-in sees them. All functions raise ``ServiceError``, also when the database is away."""

from service.auth.shapes import LoginAttempt, LoginOutcome
from service.config import config
from service.database import Row, rpc
from service.errors import BadInput
from service.limits import account_limits
from service.logs import RequestFacts
from service.people import Actor, StaffMember
from service.users.shapes import NewUser, User

SPENT = {
    "token_invalid": "This link is not valid or was used already.",
    "token_expired": "This link has expired. Ask an administrator for a new one.",
}


def begin_login(email: str, request: RequestFacts) -> LoginAttempt:
    """Count a guess at this address's password and find its active account. Raises 429."""
    found: Row = rpc("begin_staff_login", p_email=email, p_limits=account_limits("login_account")) or {}
    return {"staff_id": found.get("id"), "password_hash": found.get("password_hash")}


def finish_login(found: LoginAttempt, is_right: bool, new_hash: str | None, request: RequestFacts) -> LoginOutcome:
    """Note how the comparison with what ``begin_login`` found went."""
    if not is_right:
        return {"verdict": "invalid_credentials"}
    staff: StaffMember | None = rpc(
        "start_staff_session",
        p_staff_id=found["staff_id"],
        p_checked_hash=found["password_hash"],
        p_ttl_seconds=config.staff_session_ttl,
        p_request=request,
        p_new_hash=new_hash,
    )
    if staff is None:
        return {"verdict": "invalid_credentials"}
    return {"verdict": "logged_in", "session_id": staff["session_id"], "staff": staff}


def end_session(session_id: str, actor: Actor) -> None:
    """End one session."""
    rpc("end_staff_session", p_session_id=session_id, p_actor=actor)


def change_password(found: LoginAttempt, session_id: str, new_hash: str, actor: Actor) -> bool:
    """Replace the hash that was compared; the other sessions end. False when it is another by now."""
    return rpc(
        "change_staff_password",
        p_staff_id=found["staff_id"],
        p_session_id=session_id,
        p_checked_hash=found["password_hash"],
        p_new_hash=new_hash,
        p_actor=actor,
    )


def accept_invitation(staff_id: int, token_hash: str, password_hash: str, request: RequestFacts) -> None:
    """Spend an invitation. Raises 400 ``token_…``."""
    verdict: str = rpc(
        "accept_staff_invitation",
        p_staff_id=staff_id,
        p_token_hash=token_hash,
        p_password_hash=password_hash,
        p_request=request,
    )
    if verdict in SPENT:
        raise BadInput(SPENT[verdict], code=verdict)


def invite_staff(values: NewUser, actor: Actor) -> User:
    """Make the account where it is missing, and queue the mail with its link to a first password. Raises 409."""
    return rpc("invite_staff", p_values=values, p_actor=actor)
