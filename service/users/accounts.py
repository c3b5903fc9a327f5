"""Staff accounts are listed, made, changed and deleted."""

from service.api import Answer
from service.credentials import hash_password
from service.errors import BadInput
from service.fields import Changes
from service.guards import staff_required
from service.people import current_staff
from service.users import blueprint, store
from service.users.schemas import (
    CreateUserSchema,
    SetStatusSchema,
    UpdateUserSchema,
    UserAnswerSchema,
    UsersAnswerSchema,
    UsersQuerySchema,
)
from service.users.shapes import NewUser


@blueprint.get("")
@staff_required("users_view")
@blueprint.arguments(UsersQuerySchema, location="query")
@blueprint.response(200, UsersAnswerSchema)
def list_users(query: dict[str, str | None]) -> Answer:
    """List staff accounts, newest first"""
    return {"success": True, "data": store.list_users(query.get("role"), query.get("status"), query.get("search"))}


@blueprint.get("/<user_id>")
@staff_required("users_view")
@blueprint.response(200, UserAnswerSchema)
def get_user(user_id: int) -> Answer:
    """Show a staff account"""
    return {"success": True, "data": store.get_user(user_id)}


@blueprint.post("")
@staff_required("users_create", "users_change_role")
@blueprint.arguments(CreateUserSchema)
@blueprint.response(201, UserAnswerSchema)
def create_user(values: NewUser) -> Answer:
    """Make a staff account"""
    hashed = hash_password(values.pop("password"))
    user = store.create_user(values, hashed)
    return {"success": True, "message": "User created successfully", "data": user}


@blueprint.put("/<user_id>")
@staff_required("users_edit", "users_change_role")
@blueprint.arguments(UpdateUserSchema)
@blueprint.response(200, UserAnswerSchema)
def update_user(changes: Changes, user_id: int) -> Answer:
    """Change a staff account

    Another role, status or password ends its sessions.
    """
    password = changes.pop("password", None)
    hashed = hash_password(str(password)) if password else None
    user = store.update_user(user_id, changes, hashed)
    return {"success": True, "message": "User updated successfully", "data": user}


@blueprint.patch("/<user_id>/status")
@staff_required("users_edit")
@blueprint.arguments(SetStatusSchema)
@blueprint.response(200, UserAnswerSchema)
def set_status(change: Changes, user_id: int) -> Answer:
    """Activate or deactivate a staff account

    Not the own one. A deactivated person is signed out everywhere.
    """
    if user_id == current_staff()["id"]:
        raise BadInput("You cannot change the status of your own account.", code="own_account")
    user = store.update_user(user_id, change, None)
    return {"success": True, "message": "User status updated successfully", "data": user}


@blueprint.delete("/<user_id>")
@staff_required("users_delete")
@blueprint.response(200, UserAnswerSchema)
def delete_user(user_id: int) -> Answer:
    """Delete a staff account

    Not the own one, and not the last active Admin.
    """
    store.delete_user(user_id)
    return {"success": True, "message": "User deleted successfully"}
