"""Signing in and out, and the list of a customer's sessions."""

from service.api import Answer, MessageSchema
from service.cookies import clear_session_cookie, set_session_cookie
from service.credentials import InvalidCredentials, compare_password, issue_customer_token
from service.customers import blueprint, store
from service.customers.schemas import LoggedInSchema, LogInSchema, ScopeSchema, SessionsSchema
from service.errors import Forbidden
from service.guards import brought_session, customer_required, public
from service.limits import limit, limit_failures
from service.people import current_customer


class EmailNotVerified(Forbidden):
    """Names the customer, so that the site can offer another mail."""

    code, message = "email_not_verified", "Email not verified"

    def __init__(self, customer_id: str | None) -> None:
        super().__init__(customerId=customer_id)
        self.extra["message"] = "Please verify your email before you log in."


class AccountInactive(Forbidden):
    code, message = "account_inactive", "Account is not active"


@blueprint.post("/login")
@public
@limit("login")
@limit_failures("failed_login")
@blueprint.arguments(LogInSchema)
@blueprint.response(200, LoggedInSchema)
def log_in(data: dict[str, str]) -> Answer:
    """Log in

    Answers a token and sets the cookie `jklg_customer`; the customer's session of the cookie before ends. 401
    `invalid_credentials` for a wrong password and an unknown address alike; 403 `email_not_verified` or
    `account_inactive` after the right password only.
    """
    found = store.begin_login(data["email"])
    # An unknown address is compared with a dummy, so that it takes as long.
    is_right, new_hash = compare_password(data["password"], found["password_hash"])
    done = store.finish_login(found, is_right, new_hash, brought_session("customer"))
    _refuse(done["verdict"], found["customer_id"])
    customer = done["customer"]
    token = issue_customer_token(customer["id"], customer["email"], done["session_id"])
    set_session_cookie("customer", token)
    return {"customerId": customer["id"], "token": token, "customer": customer}


@blueprint.post("/logout")
@customer_required
@blueprint.arguments(ScopeSchema, location="query")
@blueprint.response(200, MessageSchema)
def log_out(query: dict[str, str]) -> Answer:
    """Log out

    Ends this session and clears the cookie; `scope=all` ends all sessions, `scope=others` all but this one.
    """
    customer_id, session_id = current_customer()["id"], current_customer()["session_id"]
    if query["scope"] == "this":
        store.end_session(customer_id, session_id)
    else:
        store.end_sessions(customer_id, session_id if query["scope"] == "others" else None)
    if query["scope"] != "others":
        clear_session_cookie("customer")
    return {"message": "Logged out successfully"}


@blueprint.get("/<customer_id>/sessions")
@customer_required
@blueprint.response(200, SessionsSchema)
def list_sessions(customer_id: str) -> Answer:
    """List the sessions that are signed in"""
    current = current_customer()["session_id"]
    sessions = store.list_sessions(customer_id)
    return {"sessions": [{**session, "current": session["id"] == current} for session in sessions]}


@blueprint.delete("/<customer_id>/sessions/<session_id>")
@customer_required
@blueprint.response(200, MessageSchema)
def end_session(customer_id: str, session_id: str) -> Answer:
    """End a session"""
    store.end_session(customer_id, session_id)
    return {"message": "Session ended successfully"}


def _refuse(verdict: str, customer_id: str | None) -> None:
    if verdict == "invalid_credentials":
        raise InvalidCredentials
    if verdict == "email_not_verified":
        raise EmailNotVerified(customer_id)
    if verdict == "account_inactive":
        raise AccountInactive
