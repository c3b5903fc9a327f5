"""Staff accounts as sign-in sees them, through their SQL functions (20251027000007_add_staff_sessions.sql)."""

from typing import Any

from service.config import settings
from service.database import rpc
from service.limits import account_limits


def begin_login(email: str) -> dict[str, Any] | None:
    """Count a guess at this address's password; {id, password_hash} of its active account, or None.

    Raises ``ServiceError`` 429 when too many were made.
    """
    return rpc("begin_staff_login", p_email=email, p_limits=account_limits("login_account"))


def start_session(
    account: dict[str, Any], request_info: dict[str, str | None], new_hash: str | None
) -> dict[str, Any] | None:
    """Sign in the account whose password was checked; {id, email, name, role, session_id}, None if it changed since."""
    return rpc(
        "start_staff_session",
        p_staff_id=account["id"],
        p_checked_hash=account["password_hash"],
        p_ttl_seconds=settings.staff_session_ttl,
        p_request=request_info,
        p_new_hash=new_hash,
    )


def end_session(session_id: str, actor: dict[str, Any]) -> None:
    """End one session."""
    rpc("end_staff_session", p_session_id=session_id, p_actor=actor)


def change_password(account: dict[str, Any], session_id: str, new_hash: str, actor: dict[str, Any]) -> bool:
    """Replace the hash that was checked; the other sessions end. False when it is another by now."""
    return rpc(
        "change_staff_password",
        p_staff_id=account["id"],
        p_session_id=session_id,
        p_checked_hash=account["password_hash"],
        p_new_hash=new_hash,
        p_actor=actor,
    )


def accept_invitation(staff_id: int, token_hash: str, password_hash: str, request_info: dict[str, str | None]) -> str:
    """Spend an invitation: "accepted", or why not: "token_invalid", "token_expired"."""
    return rpc(
        "accept_staff_invitation",
        p_staff_id=staff_id,
        p_token_hash=token_hash,
        p_password_hash=password_hash,
        p_request=request_info,
    )


def invite_staff(values: dict[str, str], actor: dict[str, Any]) -> dict[str, Any]:
    """Make the account where it is missing, and queue the mail with its link to a first password."""
    return rpc("invite_staff", p_values=values, p_actor=actor)


def create_staff(values: dict[str, str], password_hash: str, actor: dict[str, Any]) -> dict[str, Any]:
    """Make an account. Raises ``ServiceError`` 409 when the address has one."""
    return rpc("create_user", p_values=values, p_password_hash=password_hash, p_actor=actor)
