"""Passwords that are forgotten or changed."""

from service.api import Answer, MessageSchema
from service.credentials import WrongPassword, check_password, hash_password, hash_token
from service.customers import blueprint, store
from service.customers.schemas import ChangePasswordSchema, EmailSchema, ResetPasswordSchema
from service.errors import BadInput
from service.guards import customer_required, public
from service.limits import limit
from service.passwords import IS_EMAIL, is_email
from service.people import current_customer


@blueprint.post("/forgot-password")
@public
@limit("recovery")
@blueprint.arguments(EmailSchema)
@blueprint.response(200, MessageSchema)
def forgot_password(data: dict[str, str]) -> Answer:
    """Ask for a link to set a new password

    The answer is the same whether the address is known or not.
    """
    store.request_password_reset(data["email"])
    return {"message": "If an account exists for this address, a link to set a new password is on its way."}


@blueprint.post("/reset-password")
@public
@limit("token")
@blueprint.arguments(ResetPasswordSchema)
@blueprint.response(200, MessageSchema)
def reset_password(data: dict[str, str]) -> Answer:
    """Set a new password with the link that was mailed

    All sessions end, and so do all links of the kind. 400 `token_invalid`, `token_expired`, `token_superseded`.
    """
    hashed = hash_password(data["newPassword"])
    store.reset_password(data["customerId"], hash_token(data["token"]), hashed)
    return {"message": "Password reset successfully. Please log in again."}


@blueprint.post("/change-password")
@customer_required(with_password=True)
@limit("password")
@blueprint.arguments(ChangePasswordSchema)
@blueprint.response(200, MessageSchema)
def change_password(data: dict[str, str]) -> Answer:
    """Change the password

    This session stays, all others end. 401 `invalid_password` when `oldPassword` is not the current one.
    """
    if is_email(data["newPassword"], current_customer()["email"]):
        details = {"newPassword": IS_EMAIL}
        raise BadInput(f"newPassword: {IS_EMAIL}", code="validation_failed", details=details)
    confirm_password(data["oldPassword"])
    store.change_password(current_customer(), hash_password(data["newPassword"]))
    return {"message": "Password changed successfully"}


def confirm_password(guess: str, complaint: str | None = None) -> None:
    """Make sure that who is signed in knows the password. Raises ``WrongPassword``, after an audit row."""
    customer = current_customer()
    if not check_password(guess, customer["password_hash"]):
        store.record_wrong_password(customer["id"])
        raise WrongPassword(complaint)
