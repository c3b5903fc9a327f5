"""Staff signs in and out, and the list of where it is signed in."""

from flask import g

from service.api import Answer, DoneSchema
from service.auth import blueprint, store
from service.auth.schemas import StaffLoggedInSchema, StaffLoginSchema, StaffSessionsQuerySchema, VerifiedSchema
from service.cookies import clear_session_cookie, set_session_cookie
from service.credentials import InvalidCredentials, compare_password, issue_staff_token
from service.customers.schemas import SessionsSchema
from service.guards import anyone_signed_in, brought_session, public, require_permission, staff_required
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

    Answers a token of 24 hours and sets the cookie `jklg_staff`; the person's session of the cookie before ends. An
    unknown address, a wrong password, an inactive account and one without a password are answered alike.
    """
    found = store.begin_login(data["email"])
    is_right, new_hash = compare_password(data["password"], found["password_hash"])
    done = store.finish_login(found, is_right, new_hash, brought_session("staff"))
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
    staff = current_staff()
    store.end_session(staff["session_id"], staff["id"])
    clear_session_cookie("staff")
    return {"success": True, "message": "Logged out successfully"}


@blueprint.get("/sessions")
@staff_required()
@blueprint.arguments(StaffSessionsQuerySchema, location="query")
@blueprint.response(200, SessionsSchema)
def list_sessions(query: dict[str, int]) -> Answer:
    """List the sessions that are signed in

    One's own, the latest first, at most 20; with `staffId` somebody else's, which takes `users_edit`.
    """
    staff = current_staff()
    staff_id = query.get("staff_id", staff["id"])
    if staff_id != staff["id"]:
        require_permission("users_edit")
    sessions = store.list_sessions(staff_id)
    return {"sessions": [{**session, "current": session["id"] == staff["session_id"]} for session in sessions]}


@blueprint.delete("/sessions/<session_id>")
@staff_required()
@blueprint.response(200, DoneSchema)
def end_session(session_id: str) -> Answer:
    """End a session

    One's own, or with `users_edit` anybody's; 404 `session_not_found` for all others.
    """
    staff = current_staff()
    store.end_session(session_id, None if "users_edit" in staff["permissions"] else staff["id"])
    if session_id == staff["session_id"]:
        clear_session_cookie("staff")
    return {"success": True, "message": "Session ended successfully"}
