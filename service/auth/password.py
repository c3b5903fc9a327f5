"""Staff changes the own password."""

from service.api import Answer, DoneSchema
from service.auth import blueprint, store
from service.auth.schemas import ChangeStaffPasswordSchema
from service.credentials import WrongPassword, check_password, hash_password
from service.errors import Forbidden
from service.guards import staff_required
from service.limits import limit
from service.people import current_staff


@blueprint.post("/change-password")
@staff_required()
@limit("password")
@blueprint.arguments(ChangeStaffPasswordSchema)
@blueprint.response(200, DoneSchema)
def change_password(passwords: dict[str, str]) -> Answer:
    """Change the own password

    This session stays, the others end, and a notice goes out by mail.
    """
    staff = current_staff()
    if passwords["email"].lower() != staff["email"].lower():
        raise Forbidden("You can only change your own password.")
    found = store.begin_login(staff["email"])
    if not check_password(passwords["current_password"], found["password_hash"]):
        store.record_wrong_password(staff["id"])
        raise WrongPassword
    store.change_password(found, staff["session_id"], hash_password(passwords["new_password"]))
    return {"success": True, "message": "Password changed successfully"}
