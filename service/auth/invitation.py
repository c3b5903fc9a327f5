"""A member of staff chooses the first password by the mailed link."""

from pathlib import Path

from flask import Blueprint as PlainBlueprint
from flask import Response

from service.api import Answer, DoneSchema
from service.auth import blueprint, store
from service.auth.schemas import AcceptInvitationSchema
from service.auth.shapes import Acceptance
from service.credentials import hash_password, hash_token
from service.guards import public
from service.limits import limit

PAGE = (Path(__file__).parent / "set-password.html").read_text()

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
def accept_invitation(given: Acceptance) -> Answer:
    """Choose the first password by the mailed link

    400 `token_invalid`, `token_expired`.
    """
    token_hash, hashed = hash_token(given["token"]), hash_password(given["password"])
    store.accept_invitation(given["staff_id"], token_hash, hashed)
    return {"success": True, "message": "Your password is set. You can log in now."}
