"""Staff signs in and out."""

from flask import g

from service.api import Answer, DoneSchema
from service.auth import blueprint, store
from service.auth.schemas import StaffLoggedInSchema, StaffLoginSchema, VerifiedSchema
from service.cookies import clear_session_cookie, set_session_cookie
from service.credentials import InvalidCredentials, compare_password, issue_staff_token
from service.guards import anyone_signed_in, public, staff_required
from service.limits import limit, limit_failures
from service.people import current_staff


@blueprint.post("/login")
@public
@limit("login")
@limit_failures("failed_login")
@blueprint.arguments(StaffLoginSchema)
@blueprint.response(200, StaffLoggedInSchema)
def log_in(data: dict[str, str]) -> Answer:
    """Sign in as staff

    Answers a token of 24 hours and sets the cookie `jklg_staff`. An unknown address, a wrong password, an inactive
    account and one without a password are answered alike.
    """
    found = store.begin_login(data["email"])
    is_right, new_hash = compare_password(data["password"], found["password_hash"])
    done = store.finish_login(found, is_right, new_hash)
    if done["verdict"] != "logged_in":
        raise InvalidCredentials
    staff = done["staff"]
    token = issue_staff_token(staff["id"], staff["email"], staff["role"], done["session_id"])
    set_session_cookie("staff", token)
    return {"token": token, "user": staff}


@blueprint.post("/verify")
@anyone_signed_in
@blueprint.response(200, VerifiedSchema)
def verify_token() -> Answer:
    """Say whose token this is"""
    return {"valid": True, "user": g.claims}


@blueprint.post("/logout")
@staff_required()
@blueprint.response(200, DoneSchema)
def log_out() -> Answer:
    """End this session"""
    store.end_session(current_staff()["session_id"])
    clear_session_cookie("staff")
    return {"success": True, "message": "Logged out successfully"}
