"""Who may call a view. Every view names exactly one guard; one that names none stops the start.

A guard looks at the caller first (401, 403), then at the ids in the address (404), which the view gets parsed.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, g, request

from service import cookies, credentials, ids
from service.credentials import Claims, TokenInvalid
from service.database import rpc
from service.errors import Forbidden, Unauthorized
from service.limits import account_limits
from service.people import SignedInCustomer, StaffMember, current_staff

View = Callable[..., Any]
Person = TypeVar("Person", SignedInCustomer, StaffMember)

NO_TOKENS = {"", "null", "undefined"}  # what three pages of the site send when nobody is signed in


class TokenMissing(Unauthorized):
    code = "token_missing"


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
            raise TokenMissing
        asked_for = (request.view_args or {}).get("customer_id")
        if asked_for and ids.read_parameter("customer_id", asked_for) != g.customer["id"]:
            raise Forbidden("You can only access your own account.")

    def decorate(view: View) -> View:
        return _guarded(view, check)

    return decorate(view) if view else decorate


def customer_optional(view: View | None = None, *, by_header: bool = False) -> View:
    """A signed-in customer in ``g.customer``, or a guest (None). A token that is there must be good.

    ``by_header``: without the header `Authorization` it is a guest, whatever cookie comes along. The site's page sends
    one, if only `Bearer null`, for who is signed in there, and none after a log-out, of which the service is not told.
    """

    def check() -> None:
        g.customer = None if by_header and "Authorization" not in request.headers else _authenticate_customer()

    def decorate(view: View) -> View:
        return _guarded(view, check, security=[{}, {"bearer": []}])

    return decorate(view) if view else decorate


def staff_required(*needed: str) -> Callable[[View], View]:
    """A signed-in member of staff in ``g.staff``, whose role has all the permissions that are named."""

    def check() -> None:
        g.staff = _authenticate_staff()
        if g.staff is None:
            raise TokenMissing
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
        raise TokenInvalid

    return _guarded(view, check)


def claims_at_hand() -> Claims | None:
    """For a public view: the claims of the customer's token that comes along; None without one that is good.

    The session that they name is not looked at.
    """
    try:
        return _claims("customer")
    except (Unauthorized, Forbidden):
        return None


def require_permission(permission: str) -> None:
    """Raise ``Forbidden`` unless the signed-in member of staff has the permission."""
    if permission not in current_staff()["permissions"]:
        raise Forbidden(f"Insufficient permissions. Required: {permission}", code="insufficient_permissions")


def require_everywhere(app: Flask) -> None:
    """Stop the start when a view of ours names no guard: closed by default."""
    unguarded = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if not hasattr(app.view_functions[rule.endpoint], "is_guarded") and not rule.endpoint.startswith("api-docs.")
    ]
    if unguarded:
        raise RuntimeError(f"views without a guard: {', '.join(sorted(unguarded))}")


def _guarded(view: View, check: Callable[[], None], security: list[dict[str, list[str]]] | None = None) -> View:
    @functools.wraps(view)
    def guarded(**parameters: str) -> Any:
        check()
        return view(**{name: ids.read_parameter(name, text) for name, text in parameters.items()})

    guarded.is_guarded = True  # type: ignore[attr-defined]
    if security is not None:
        doc = dict(getattr(view, "_apidoc", {}))
        doc["manual_doc"] = {**doc.get("manual_doc", {}), "security": security}
        guarded._apidoc = doc  # type: ignore[attr-defined]
    return guarded


def _authenticate_customer(with_password: bool = False) -> SignedInCustomer | None:
    claims = _claims("customer")
    if claims is None:
        return None
    found: SignedInCustomer | None = rpc(
        "authenticate_customer",
        p_customer_id=claims["customerId"],
        p_session_id=claims["sid"],
        **(dict(p_with_password=True, p_limits=account_limits("password_account")) if with_password else {}),
    )
    return _living(found, claims)


def _authenticate_staff() -> StaffMember | None:
    claims = _claims("staff")
    if claims is None:
        return None
    found: StaffMember | None = rpc("authenticate_staff", p_staff_id=claims["id"], p_session_id=claims["sid"])
    return _living(found, claims)


def _living(found: Person | None, claims: Claims) -> Person:
    if found is None:
        raise Unauthorized("Your session has ended. Please log in again.", code="session_ended")
    g.claims = claims
    return found


def brought_session(kind: str) -> str | None:
    """The session of the cookie that a browser brings to a log-in, whether or not it lives; None without a good one."""
    try:
        return credentials.read_token(kind, request.cookies.get(cookies.NAMES[kind], ""))["sid"]
    except TokenInvalid:
        return None


def _claims(kind: str) -> Claims | None:
    """The claims of the header's token, else of the cookie's; None where neither is there."""
    header = request.headers.get("Authorization", "").strip()
    scheme, _, token = header.partition(" ")
    if header and scheme.lower() != "bearer":
        raise TokenInvalid("Send the token as `Authorization: Bearer …`.")
    if token.strip() not in NO_TOKENS:
        return credentials.read_token(kind, token.strip())
    cookie = request.cookies.get(cookies.NAMES[kind], "")
    if not cookie:
        return None
    claims = credentials.read_token(kind, cookie)
    cookies.refuse_foreign_origin()
    return claims
