"""Staff accounts, through their SQL functions (20251027000003_add_user_functions.sql)."""

from typing import Any

from service.database import rpc, run, table
from service.errors import NotFound

COLUMNS = "id, name, email, phone, role, avatar, status, last_login, created_at"


def list_users(role: str | None, status: str | None, search: str | None) -> list[dict[str, Any]]:
    """Accounts, newest first."""
    return rpc("list_users", p_role=role, p_status=status, p_search=search)


def get_user(user_id: int) -> dict[str, Any]:
    """One account. Raises ``NotFound``."""
    rows = run(table("admin_users").select(COLUMNS).eq("id", user_id))
    if not rows:
        raise NotFound("User not found")
    return rows[0]


def create_user(values: dict[str, Any], password_hash: str, actor: dict[str, Any]) -> dict[str, Any]:
    """Make an account. Raises ``ServiceError`` 409 when the address has one."""
    return rpc("create_user", p_values=values, p_password_hash=password_hash, p_actor=actor)


def update_user(
    user_id: int, changes: dict[str, Any], password_hash: str | None, actor: dict[str, Any]
) -> dict[str, Any]:
    """Change an account. Raises ``ServiceError``: 404, 409 address taken, 400 last Admin or own account."""
    return rpc("update_user", p_id=user_id, p_changes=changes, p_password_hash=password_hash, p_actor=actor)


def delete_user(user_id: int, actor: dict[str, Any]) -> None:
    """Delete an account. Raises ``ServiceError``: 404, 400 last Admin or own account."""
    rpc("delete_user", p_id=user_id, p_actor=actor)
