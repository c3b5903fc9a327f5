"""A customer's profile: seen by themselves, by others, changed and deleted."""

from typing import Any

from flask import after_this_request, g

from service.credentials import check_password
from service.customers import blueprint, store
from service.customers.schemas import (
    ConfirmPasswordSchema,
    CustomerAnswerSchema,
    MessageSchema,
    PublicCustomerAnswerSchema,
    UpdateProfileSchema,
)
from service.errors import NotFound, Unauthorized
from service.guards import clear_session_cookie, customer_required, is_uuid, public, request_info
from service.limits import limit


class WrongPassword(Unauthorized):
    code, message = "invalid_password", "Invalid password"


@blueprint.get("/me")
@customer_required
@blueprint.response(200, CustomerAnswerSchema)
def get_me() -> dict[str, Any]:
    """Show the signed-in customer"""
    return {"customer": g.customer}


@blueprint.get("/<customer_id>")
@public
@blueprint.response(200, PublicCustomerAnswerSchema)
def get_customer(customer_id: str) -> dict[str, Any]:
    """Show what anybody may know of a customer"""
    if not is_uuid(customer_id):
        raise NotFound("Customer not found")
    return {"customer": store.get_public_customer(customer_id)}


@blueprint.put("/<customer_id>")
@customer_required
@blueprint.arguments(UpdateProfileSchema)
@blueprint.response(200, CustomerAnswerSchema)
def update_customer(changes: dict[str, Any], customer_id: str) -> dict[str, Any]:
    """Change name, phone, avatar or address"""
    return {"customer": store.update_profile(g.customer["id"], changes, request_info())}


@blueprint.delete("/<customer_id>")
@customer_required(with_password=True)
@limit("password")
@blueprint.arguments(ConfirmPasswordSchema)
@blueprint.response(200, MessageSchema)
def delete_customer(data: dict[str, Any], customer_id: str) -> dict[str, str]:
    """Delete the account

    Personal data is erased, also from bookings; payments stay, and the address can register again.
    """
    if not check_password(data["password"], g.customer["password_hash"]):
        store.record_wrong_password(g.customer["id"], request_info())
        raise WrongPassword
    store.delete_customer(g.customer, request_info())
    after_this_request(lambda response: clear_session_cookie(response, "customer"))
    return {"message": "Account deleted successfully"}
