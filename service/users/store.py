"""Every PostgREST call about staff accounts. All functions raise ``ServiceError``, also when the database is away."""

from service.database import one, rpc, table
from service.fields import Changes
from service.users.shapes import NewUser, User

COLUMNS = "id, name, email, phone, role, avatar, status, last_login, created_at"


def list_users(role: str | None, status: str | None, search: str | None) -> list[User]:
    """Accounts, newest first."""
    return rpc("list_users", p_role=role, p_status=status, p_search=search)


def get_user(user_id: int) -> User:
    """One account. Raises ``NotFound``."""
    return one(table("admin_users").select(COLUMNS).eq("id", user_id), "User")


def create_user(values: NewUser, password_hash: str) -> User:
    """Make an account. Raises 409 when the address has one."""
    return rpc("create_user", p_values=values, p_password_hash=password_hash)


def update_user(user_id: int, changes: Changes, password_hash: str | None) -> User:
    """Change an account. Raises 404, 409 address taken, 400 last Admin or own account."""
    return rpc("update_user", p_id=user_id, p_changes=changes, p_password_hash=password_hash)


def delete_user(user_id: int) -> None:
    """Delete an account. Raises 404, 400 last Admin or own account."""
    rpc("delete_user", p_id=user_id)
