"""Staff signs in and out."""

from typing import Any

from flask import after_this_request, g

from service.api import DoneSchema
from service.auth import blueprint, store
from service.auth.schemas import StaffLoggedInSchema, StaffLoginSchema, VerifiedSchema
from service.credentials import check_password, hash_password, is_outdated, issue_staff_token
from service.errors import Unauthorized
from service.guards import (
    anyone_signed_in,
    clear_session_cookie,
    public,
    request_info,
    set_session_cookie,
    staff_actor,
    staff_required,
)
from service.limits import limit


class InvalidCredentials(Unauthorized):
    code, message = "invalid_credentials", "Invalid credentials"


@blueprint.post("/login")
@public
@limit("login")
@blueprint.arguments(StaffLoginSchema)
@blueprint.response(200, StaffLoggedInSchema)
def log_in(credentials: dict[str, str]) -> dict[str, Any]:
    """Sign in as staff

    Answers a token of 24 hours and sets the cookie `jklg_staff`. An unknown address, a wrong password, an inactive
    account and one without a password are answered alike.
    """
    staff = _checked(credentials["email"], credentials["password"])
    token = issue_staff_token(staff["id"], staff["email"], staff["role"], staff["session_id"])
    after_this_request(lambda response: set_session_cookie(response, "staff", token))
    return {"token": token, "user": staff}


def _checked(email: str, password: str) -> dict[str, Any]:
    """The staff member whose address and password these are, with a new session. Raises ``InvalidCredentials``."""
    account = store.begin_login(email)
    if not check_password(password, account and account["password_hash"]):
        raise InvalidCredentials()
    new_hash = hash_password(password) if is_outdated(account["password_hash"]) else None
    staff = store.start_session(account, request_info(), new_hash)
    if staff is None:
        raise InvalidCredentials()
    return staff


@blueprint.post("/verify")
@anyone_signed_in
@blueprint.response(200, VerifiedSchema)
def verify_token() -> dict[str, Any]:
    """Say whose token this is"""
    return {"valid": True, "user": g.claims}


@blueprint.post("/logout")
@staff_required()
@blueprint.response(200, DoneSchema)
def log_out() -> dict[str, Any]:
    """End this session"""
    store.end_session(g.staff["session_id"], staff_actor())
    after_this_request(lambda response: clear_session_cookie(response, "staff"))
    return {"success": True, "message": "Logged out successfully"}
