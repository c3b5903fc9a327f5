"""Who may call a view. Every view names exactly one guard; one that names none stops the start."""

import functools
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from service import credentials, database, permissions
from service.config import settings
from service.errors import Forbidden, NotFound, Unauthorized
from service.limits import account_limits

View = Callable[..., Any]

COOKIES = {"customer": "jklg_customer", "staff": "jklg_staff"}
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
NO_TOKENS = {"", "null", "undefined"}  # what three pages of the site send when nobody is signed in


def public(view: View) -> View:
    """Anybody; whatever token comes along is not looked at."""
    return _guarded(view, lambda: None, security=[])


def customer_required(view: View | None = None, *, with_password: bool = False) -> View:
    """A signed-in customer, put into ``g.customer``; with ``password_hash`` among its keys where that is asked for.

    Where the address names a ``customer_id``, it must be their own.
    """

    def check() -> None:
        g.customer = _authenticate_customer(with_password)
        if g.customer is None:
            raise Unauthorized("Please sign in.", code="token_missing")
        if "customer_id" in (request.view_args or {}):
            own(request.view_args["customer_id"])

    def decorate(view: View) -> View:
        return _guarded(view, check)

    return decorate(view) if view else decorate


def customer_optional(view: View) -> View:
    """A signed-in customer in ``g.customer``, or a guest (None). A token that is there must be good."""

    def check() -> None:
        g.customer = _authenticate_customer()

    return _guarded(view, check, security=[{}, {"bearer": []}])


def staff_required(*needed: str) -> Callable[[View], View]:
    """A signed-in member of staff in ``g.staff``, whose role has all the permissions that are named."""

    def check() -> None:
        g.staff = _authenticate_staff()
        if g.staff is None:
            raise Unauthorized("Please sign in.", code="token_missing")
        for permission in needed:
            require_permission(permission)

    return lambda view: _guarded(view, check)


def staff_or_public(view: View) -> View:
    """Anybody; staff is recognised in ``g.staff`` (else None), where the answer tells them more."""

    def check() -> None:
        try:
            g.staff = _authenticate_staff()
        except Unauthorized:
            g.staff = None

    return _guarded(view, check, security=[{}, {"bearer": []}])


def require_permission(permission: str) -> None:
    """Raise ``Forbidden`` unless the signed-in member of staff has the permission."""
    if not permissions.allows(g.staff["role"], permission):
        raise Forbidden(f"Insufficient permissions. Required: {permission}", code="insufficient_permissions")


def staff_actor() -> dict[str, Any]:
    """Who acts, as SQL functions write it into audit rows: the member of staff and the request."""
    return {"id": g.staff["id"], "email": g.staff["email"], **request_info()}


def anyone_signed_in(view: View) -> View:
    """A customer or a member of staff, by whichever token is there; its claims in ``g.claims``."""

    def check() -> None:
        for kind, authenticate in (("staff", _authenticate_staff), ("customer", _authenticate_customer)):
            try:
                person = authenticate()
            except Unauthorized:
                continue
            if person:
                setattr(g, kind, person)
                return
        raise Unauthorized("Invalid or expired token", code="token_invalid")

    return _guarded(view, check)


def own(customer_id: str) -> str:
    """The id in the address, which must be the signed-in customer's. Raises ``NotFound``, ``Forbidden``."""
    if not is_uuid(customer_id):
        raise NotFound("Customer not found")
    if uuid.UUID(customer_id) != uuid.UUID(g.customer["id"]):
        raise Forbidden("You can only access your own account.")
    return g.customer["id"]


def is_uuid(text: str) -> bool:
    try:
        return bool(uuid.UUID(text))
    except (ValueError, AttributeError):
        return False


def request_info() -> dict[str, str | None]:
    """What events and sessions note of a request: ``{"ip", "user_agent", "request_id"}``."""
    agent = request.user_agent.string[:500].encode(errors="replace").decode().replace("\0", "")
    return {"ip": request.remote_addr, "user_agent": agent, "request_id": g.request_id}


def set_session_cookie(response: Response, kind: str, token: str) -> Response:
    """Let the browser carry the token ("customer" or "staff") where scripts cannot read it; the response again."""
    ttl = settings.customer_session_ttl if kind == "customer" else settings.staff_session_ttl
    response.set_cookie(
        COOKIES[kind], token, max_age=ttl, path="/", httponly=True, samesite="Lax", secure=settings.is_production
    )
    return response


def clear_session_cookie(response: Response, kind: str) -> Response:
    """Take the cookie back; the response again."""
    response.delete_cookie(COOKIES[kind], path="/", httponly=True, samesite="Lax", secure=settings.is_production)
    return response


def require_everywhere(app: Flask) -> None:
    """Stop the start when a view of ours names no guard: closed by default."""
    unguarded = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if not hasattr(app.view_functions[rule.endpoint], "is_guarded") and not rule.endpoint.startswith("api-docs.")
    ]
    if unguarded:
        raise RuntimeError(f"views without a guard: {', '.join(sorted(unguarded))}")


def _guarded(view: View, check: Callable[[], None], security: list[dict[str, Any]] | None = None) -> View:
    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        check()
        return view(*args, **kwargs)

    guarded.is_guarded = True  # type: ignore[attr-defined]
    if security is not None:
        doc = dict(getattr(view, "_apidoc", {}))
        doc["manual_doc"] = {**doc.get("manual_doc", {}), "security": security}
        guarded._apidoc = doc  # type: ignore[attr-defined]
    return guarded


def _authenticate_customer(with_password: bool = False) -> dict[str, Any] | None:
    claims = _claims("customer")
    if claims is None:
        return None
    if not (claims.get("role") == "customer" and is_uuid(claims.get("customerId")) and is_uuid(claims["sid"])):
        raise Unauthorized("Invalid or expired token", code="token_invalid")
    found = database.rpc(
        "authenticate_customer",
        p_customer_id=claims["customerId"],
        p_session_id=claims["sid"],
        **({"p_with_password": True, "p_limits": account_limits("password_account")} if with_password else {}),
    )
    return _session(found, claims)


def _authenticate_staff() -> dict[str, Any] | None:
    claims = _claims("staff")
    if claims is None:
        return None
    if not (isinstance(claims.get("id"), int) and is_uuid(claims["sid"])):
        raise Unauthorized("Invalid or expired token", code="token_invalid")
    found = database.rpc("authenticate_staff", p_staff_id=claims["id"], p_session_id=claims["sid"])
    return _session(found, claims)


def _session(found: dict[str, Any] | None, claims: dict[str, Any]) -> dict[str, Any]:
    if found is None:
        raise Unauthorized("Your session has ended. Please log in again.", code="session_ended")
    g.claims = claims
    return found


def _claims(kind: str) -> dict[str, Any] | None:
    """The claims of the header's token, else of the cookie's; None where neither is there."""
    header = request.headers.get("Authorization", "").strip()
    scheme, _, token = header.partition(" ")
    if header and scheme.lower() != "bearer":
        raise Unauthorized("Send the token as `Authorization: Bearer …`.", code="token_invalid")
    if token.strip() not in NO_TOKENS:
        return credentials.read_token(kind, token.strip())
    cookie = request.cookies.get(COOKIES[kind], "")
    if not cookie:
        return None
    claims = credentials.read_token(kind, cookie)
    refuse_foreign_origin()
    return claims


def refuse_foreign_origin() -> None:
    """For calls authenticated by cookie that change something: only our own pages may make them (403 ``csrf``)."""
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    if origin is None:
        is_ours = request.headers.get("Sec-Fetch-Site") == "same-origin"
    else:
        own_origin = "{0.scheme}://{0.netloc}".format(urlsplit(request.host_url))
        is_ours = origin == own_origin or origin in settings.cors_origins
    if not is_ours:
        raise Forbidden("This request did not come from our own site.", code="csrf")
