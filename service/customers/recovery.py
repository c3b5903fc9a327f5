"""Passwords that are forgotten or changed."""

from typing import Any

from flask import g

from service.credentials import check_password, hash_password, hash_token
from service.customers import blueprint, store
from service.customers.schemas import ChangePasswordSchema, EmailSchema, MessageSchema, ResetPasswordSchema
from service.errors import BadInput, Unauthorized
from service.guards import customer_required, public, request_info
from service.limits import limit
from service.passwords import IS_EMAIL, is_email


class WrongCurrentPassword(Unauthorized):
    code, message = "invalid_password", "Current password is incorrect"


@blueprint.post("/forgot-password")
@public
@limit("recovery")
@blueprint.arguments(EmailSchema)
@blueprint.response(200, MessageSchema)
def forgot_password(data: dict[str, Any]) -> dict[str, str]:
    """Ask for a link to set a new password

    The answer is the same whether the address is known or not.
    """
    store.request_password_reset(data["email"], request_info())
    return {"message": "If an account exists for this address, a link to set a new password is on its way."}


@blueprint.post("/reset-password")
@public
@limit("token")
@blueprint.arguments(ResetPasswordSchema)
@blueprint.response(200, MessageSchema)
def reset_password(data: dict[str, Any]) -> dict[str, str]:
    """Set a new password with the link that was mailed

    All sessions end, and so do all links of the kind. 400 `token_invalid`, `token_expired`, `token_superseded`.
    """
    hashed = hash_password(data["newPassword"])
    store.reset_password(data["customerId"], hash_token(data["token"]), hashed, request_info())
    return {"message": "Password reset successfully. Please log in again."}


@blueprint.post("/change-password")
@customer_required(with_password=True)
@limit("password")
@blueprint.arguments(ChangePasswordSchema)
@blueprint.response(200, MessageSchema)
def change_password(data: dict[str, Any]) -> dict[str, str]:
    """Change the password

    This session stays, all others end. 401 `invalid_password` when `oldPassword` is not the current one.
    """
    if is_email(data["newPassword"], g.customer["email"]):
        details = {"newPassword": IS_EMAIL}
        raise BadInput(f"newPassword: {IS_EMAIL}", code="validation_failed", details=details)
    if not check_password(data["oldPassword"], g.customer["password_hash"]):
        store.record_wrong_password(g.customer["id"], request_info())
        raise WrongCurrentPassword
    store.change_password(g.customer, hash_password(data["newPassword"]), request_info())
    return {"message": "Password changed successfully"}
