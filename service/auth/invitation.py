"""A member of staff chooses the first password by the mailed link."""

from pathlib import Path

from service import staff_pages
from service.api import Answer, DoneSchema
from service.auth import blueprint, store
from service.auth.schemas import AcceptInvitationSchema
from service.auth.shapes import Acceptance
from service.credentials import hash_password, hash_token
from service.guards import public
from service.limits import limit

# The page that the mailed link opens. The link is spent by its form, so looking at it changes nothing.
staff_pages.add_page("set-password", Path(__file__).with_name("set-password.html"))


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
