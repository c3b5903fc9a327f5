"""Signing in and out, and the list of a customer's sessions."""

from typing import Any

from flask import after_this_request, g

from service.credentials import check_password, hash_password, is_outdated, issue_customer_token
from service.customers import blueprint, store
from service.customers.schemas import LoggedInSchema, LogInSchema, MessageSchema, ScopeSchema, SessionsSchema
from service.errors import Forbidden, NotFound, Unauthorized
from service.guards import (
    clear_session_cookie,
    customer_required,
    is_uuid,
    public,
    request_info,
    set_session_cookie,
)
from service.limits import limit


class InvalidCredentials(Unauthorized):
    code, message = "invalid_credentials", "Invalid credentials"


class EmailNotVerified(Forbidden):
    """Names the customer, so that the site can offer another mail."""

    code, message = "email_not_verified", "Email not verified"

    def __init__(self, customer_id: str) -> None:
        super().__init__(customerId=customer_id)
        self.extra["message"] = "Please verify your email before you log in."


class AccountInactive(Forbidden):
    code, message = "account_inactive", "Account is not active"


@blueprint.post("/login")
@public
@limit("login")
@blueprint.arguments(LogInSchema)
@blueprint.response(200, LoggedInSchema)
def log_in(data: dict[str, Any]) -> dict[str, Any]:
    """Log in

    Answers a token and sets the cookie `jklg_customer`. 401 `invalid_credentials` for a wrong password and an unknown
    address alike; 403 `email_not_verified` or `account_inactive` after the right password only.
    """
    found = store.begin_login(data["email"], request_info())
    # An unknown address is compared with a dummy, so that it takes as long.
    is_right = check_password(data["password"], found["password_hash"])
    new_hash = hash_password(data["password"]) if is_right and is_outdated(found["password_hash"]) else None
    done = store.finish_login(found, is_right, new_hash, request_info())
    _refuse(done["verdict"], found["customer_id"])
    customer = done["customer"]
    token = issue_customer_token(customer["id"], customer["email"], done["session_id"])
    after_this_request(lambda response: set_session_cookie(response, "customer", token))
    return {"customerId": customer["id"], "token": token, "customer": customer}


@blueprint.post("/logout")
@customer_required
@blueprint.arguments(ScopeSchema, location="query")
@blueprint.response(200, MessageSchema)
def log_out(query: dict[str, str]) -> dict[str, str]:
    """Log out

    Ends this session and clears the cookie; `scope=all` ends all sessions, `scope=others` all but this one.
    """
    customer_id, session_id = g.customer["id"], g.customer["session_id"]
    if query["scope"] == "this":
        store.end_session(customer_id, session_id, request_info())
    else:
        store.end_sessions(customer_id, session_id if query["scope"] == "others" else None, request_info())
    if query["scope"] != "others":
        after_this_request(lambda response: clear_session_cookie(response, "customer"))
    return {"message": "Logged out successfully"}


@blueprint.get("/<customer_id>/sessions")
@customer_required
@blueprint.response(200, SessionsSchema)
def list_sessions(customer_id: str) -> dict[str, Any]:
    """List the sessions that are signed in"""
    sessions = store.list_sessions(g.customer["id"])
    return {"sessions": [{**row, "current": row["id"] == g.customer["session_id"]} for row in sessions]}


@blueprint.delete("/<customer_id>/sessions/<session_id>")
@customer_required
@blueprint.response(200, MessageSchema)
def end_session(customer_id: str, session_id: str) -> dict[str, str]:
    """End a session"""
    if not is_uuid(session_id):
        raise NotFound("Session not found", code="session_not_found")
    store.end_session(g.customer["id"], session_id, request_info())
    return {"message": "Session ended successfully"}


def _refuse(verdict: str, customer_id: str | None) -> None:
    if verdict == "invalid_credentials":
        raise InvalidCredentials
    if verdict == "email_not_verified":
        raise EmailNotVerified(customer_id)
    if verdict == "account_inactive":
        raise AccountInactive
