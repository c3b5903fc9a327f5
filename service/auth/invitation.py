"""A member of staff chooses the first password by the mailed link."""

from pathlib import Path
from typing import Any

from flask import Blueprint as PlainBlueprint
from flask import Response

from service.api import DoneSchema
from service.auth import blueprint, store
from service.auth.schemas import AcceptInvitationSchema
from service.credentials import hash_password, hash_token
from service.errors import BadInput
from service.guards import public, request_info
from service.limits import limit

PAGE = (Path(__file__).parent / "set-password.html").read_text()
SENTENCES = {
    "token_invalid": "This link is not valid or was used already.",
    "token_expired": "This link has expired. Ask an administrator for a new one.",
}

page_blueprint = PlainBlueprint("staff_pages", __name__)  # the page of the link is no part of the API


@page_blueprint.get("/staff/set-password")
@public
def show_page() -> Response:
    """The page that the mailed link opens. The link is spent by its form, so looking at it changes nothing."""
    response = Response(PAGE, mimetype="text/html")
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'"
    )
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


@page_blueprint.get("/staff/set-password.js")
@public
def show_script() -> Response:
    """The script of that page."""
    return Response((Path(__file__).parent / "set-password.js").read_text(), mimetype="text/javascript")


@blueprint.post("/accept-invitation")
@public
@limit("recovery")
@blueprint.arguments(AcceptInvitationSchema)
@blueprint.response(200, DoneSchema)
def accept_invitation(given: dict[str, Any]) -> dict[str, Any]:
    """Choose the first password by the mailed link"""
    verdict = store.accept_invitation(
        given["staff_id"], hash_token(given["token"]), hash_password(given["password"]), request_info()
    )
    if verdict != "accepted":
        raise BadInput(SENTENCES[verdict], code=verdict)
    return {"success": True, "message": "Your password is set. You can log in now."}
