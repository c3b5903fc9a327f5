"""Staff accounts are listed, made, changed and deleted."""

from typing import Any

from flask import g

from service.credentials import hash_password
from service.errors import BadInput, NotFound
from service.fields import parse_id
from service.guards import staff_actor, staff_required
from service.users import blueprint, store
from service.users.schemas import (
    CreateUserSchema,
    SetStatusSchema,
    UpdateUserSchema,
    UserAnswerSchema,
    UsersAnswerSchema,
    UsersQuerySchema,
)


@blueprint.get("")
@staff_required("users_view")
@blueprint.arguments(UsersQuerySchema, location="query")
@blueprint.response(200, UsersAnswerSchema)
def list_users(query: dict[str, str | None]) -> dict[str, Any]:
    """List staff accounts, newest first"""
    return {"success": True, "data": store.list_users(query.get("role"), query.get("status"), query.get("search"))}


@blueprint.get("/<user_id>")
@staff_required("users_view")
@blueprint.response(200, UserAnswerSchema)
def get_user(user_id: str) -> dict[str, Any]:
    """Show a staff account"""
    return {"success": True, "data": store.get_user(_number(user_id))}


@blueprint.post("")
@staff_required("users_create", "users_change_role")
@blueprint.arguments(CreateUserSchema)
@blueprint.response(201, UserAnswerSchema)
def create_user(values: dict[str, Any]) -> dict[str, Any]:
    """Make a staff account"""
    user = store.create_user(values, hash_password(values.pop("password")), staff_actor())
    return {"success": True, "message": "User created successfully", "data": user}


@blueprint.put("/<user_id>")
@staff_required("users_edit", "users_change_role")
@blueprint.arguments(UpdateUserSchema)
@blueprint.response(200, UserAnswerSchema)
def update_user(changes: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Change a staff account

    Another role, status or password ends its sessions.
    """
    number = _number(user_id)
    if not changes:
        raise BadInput("No fields to update", code="nothing_to_update")
    password = changes.pop("password", None)
    user = store.update_user(number, changes, password and hash_password(password), staff_actor())
    return {"success": True, "message": "User updated successfully", "data": user}


@blueprint.patch("/<user_id>/status")
@staff_required("users_edit")
@blueprint.arguments(SetStatusSchema)
@blueprint.response(200, UserAnswerSchema)
def set_status(change: dict[str, str], user_id: str) -> dict[str, Any]:
    """Activate or deactivate a staff account

    Not the own one. A deactivated person is signed out everywhere.
    """
    number = _number(user_id)
    if number == g.staff["id"]:
        raise BadInput("You cannot change the status of your own account.", code="own_account")
    user = store.update_user(number, change, None, staff_actor())
    return {"success": True, "message": "User status updated successfully", "data": user}


@blueprint.delete("/<user_id>")
@staff_required("users_delete")
@blueprint.response(200, UserAnswerSchema)
def delete_user(user_id: str) -> dict[str, Any]:
    """Delete a staff account

    Not the own one, and not the last active Admin.
    """
    store.delete_user(_number(user_id), staff_actor())
    return {"success": True, "message": "User deleted successfully"}


def _number(user_id: str) -> int:
    """The id in the address. Raises ``NotFound`` where it cannot be one of a staff account."""
    parsed = parse_id(user_id)
    if parsed is None or not parsed.isdecimal() or int(parsed) >= 2**31:
        raise NotFound("User not found")
    return int(parsed)
