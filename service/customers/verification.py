"""Proving that an address is the customer's."""

from service.api import Answer, MessageSchema
from service.credentials import hash_token
from service.customers import blueprint, store
from service.customers.schemas import EmailSchema, VerifiedEmailSchema, VerifyEmailSchema
from service.guards import public
from service.limits import limit


@blueprint.post("/verify-email")
@public
@limit("token")
@blueprint.arguments(VerifyEmailSchema)
@blueprint.response(200, VerifiedEmailSchema)
def verify_email(data: dict[str, str]) -> Answer:
    """Verify an address with the link that was mailed to it

    Bookings made as guest with the address become the customer's. 400 `token_invalid`, `token_expired`,
    `token_superseded`. The link that verified already answers 200 as well.
    """
    done = store.verify_email(data["customerId"], hash_token(data["token"]))
    if not done["is_first"]:
        return {"message": "Email is already verified"}
    return {"message": "Email verified successfully", "customer": done["customer"]}


@blueprint.post("/resend-verification")
@public
@limit("recovery")
@blueprint.arguments(EmailSchema)
@blueprint.response(200, MessageSchema)
def resend_verification(data: dict[str, str]) -> Answer:
    """Ask for another verification mail

    The answer is the same whether the address is unknown, unverified or verified.
    """
    store.request_verification_mail(data["email"])
    return {"message": "If this address is waiting to be verified, a new link is on its way."}
