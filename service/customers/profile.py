"""A customer's profile: seen by themselves, by others, changed and deleted."""

from service.api import Answer, MessageSchema
from service.cookies import clear_session_cookie
from service.customers import blueprint, store
from service.customers.recovery import confirm_password
from service.customers.schemas import (
    ConfirmPasswordSchema,
    CustomerAnswerSchema,
    PublicCustomerAnswerSchema,
    UpdateProfileSchema,
)
from service.fields import Changes
from service.guards import customer_required, public
from service.limits import limit
from service.people import current_customer


@blueprint.get("/me")
@customer_required
@blueprint.response(200, CustomerAnswerSchema)
def get_me() -> Answer:
    """Show the signed-in customer"""
    return {"customer": current_customer()}


@blueprint.get("/<customer_id>")
@public
@blueprint.response(200, PublicCustomerAnswerSchema)
def get_customer(customer_id: str) -> Answer:
    """Show what anybody may know of a customer"""
    return {"customer": store.get_public_customer(customer_id)}


@blueprint.put("/<customer_id>")
@customer_required
@blueprint.arguments(UpdateProfileSchema)
@blueprint.response(200, CustomerAnswerSchema)
def update_customer(changes: Changes, customer_id: str) -> Answer:
    """Change name, phone, avatar or address"""
    return {"customer": store.update_profile(customer_id, changes)}


@blueprint.delete("/<customer_id>")
@customer_required(with_password=True)
@limit("password")
@blueprint.arguments(ConfirmPasswordSchema)
@blueprint.response(200, MessageSchema)
def delete_customer(data: dict[str, str], customer_id: str) -> Answer:
    """Delete the account

    Personal data is erased, also from bookings; payments stay, and the address can register again.
    """
    confirm_password(data["password"], "Invalid password")
    store.delete_customer(current_customer())
    clear_session_cookie("customer")
    return {"message": "Account deleted successfully"}
