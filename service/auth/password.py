"""Staff changes the own password."""

from typing import Any

from flask import g

from service.api import DoneSchema
from service.auth import blueprint, store
from service.auth.schemas import ChangeStaffPasswordSchema
from service.credentials import check_password, hash_password
from service.errors import Forbidden, Unauthorized
from service.guards import staff_actor, staff_required
from service.limits import limit


@blueprint.post("/change-password")
@staff_required()
@limit("password")
@blueprint.arguments(ChangeStaffPasswordSchema)
@blueprint.response(200, DoneSchema)
def change_password(passwords: dict[str, str]) -> dict[str, Any]:
    """Change the own password

    This session stays, the others end, and a notice goes out by mail.
    """
    if passwords["email"].lower() != g.staff["email"].lower():
        raise Forbidden("You can only change your own password.", code="other_account")
    account = store.begin_login(g.staff["email"])
    is_right = check_password(passwords["current_password"], account and account["password_hash"])
    new_hash = hash_password(passwords["new_password"])
    if not (is_right and store.change_password(account, g.staff["session_id"], new_hash, staff_actor())):
        raise Unauthorized("Current password is incorrect", code="invalid_password")
    return {"success": True, "message": "Password changed successfully"}
