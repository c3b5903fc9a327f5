"""Staff accounts as sign-in sees them. All functions raise ``ServiceError``, also when the database is away."""

from service.auth.shapes import LoginAttempt, LoginOutcome
from service.config import config
from service.customers.shapes import Session
from service.database import rpc, run, table
from service.limits import account_limits
from service.users.shapes import NewUser, User

SESSION_COLUMNS = "id,ip_address,user_agent,created_at,last_seen_at,expires_at"


def begin_login(email: str) -> LoginAttempt:
    """Count an attempt and find the account. Raises 429."""
    return rpc("begin_staff_login", p_email=email, p_limits=account_limits("login_account"))


def finish_login(
    found: LoginAttempt, is_right: bool, new_hash: str | None, replaced: str | None = None
) -> LoginOutcome:
    """Note how the comparison with what ``begin_login`` found went; the new session takes the place of theirs given."""
    return rpc(
        "finish_staff_login",
        p_staff_id=found["staff_id"],
        p_password_hash=found["password_hash"],
        p_is_right=is_right,
        p_new_hash=new_hash,
        p_session_seconds=config.staff_session_ttl,
        p_replaced=replaced,
    )


def list_sessions(staff_id: int) -> list[Session]:
    """The live sessions of one account, the latest first."""
    query = table("staff_sessions").select(SESSION_COLUMNS).eq("staff_id", staff_id)
    return run(query.gt("expires_at", "now").order("created_at", desc=True))


def end_session(session_id: str, staff_id: int | None) -> None:
    """End one session of that account, of any where it is None. Raises ``NotFound``."""
    rpc("end_staff_session", p_session_id=session_id, p_staff_id=staff_id)


def change_password(found: LoginAttempt, session_id: str, new_hash: str) -> None:
    """Set a new hash, end the other sessions, queue the notice. Raises 401 when it was changed meanwhile."""
    rpc(
        "change_staff_password",
        p_staff_id=found["staff_id"],
        p_session_id=session_id,
        p_old_hash=found["password_hash"],
        p_new_hash=new_hash,
    )


def record_wrong_password(staff_id: int) -> None:
    """Leave an audit row: a signed-in member of staff did not know the password."""
    rpc("note_wrong_staff_password", p_staff_id=staff_id)


def accept_invitation(staff_id: int, token_hash: str, password_hash: str) -> None:
    """Spend an invitation. Raises 400 ``token_…``."""
    rpc("accept_staff_invitation", p_staff_id=staff_id, p_token_hash=token_hash, p_password_hash=password_hash)


def invite_staff(values: NewUser) -> User:
    """Make the account where it is missing, and queue the mail with its link to a first password. Raises 409."""
    return rpc("invite_staff", p_values=values)
