"""Proving that an address is the customer's, or saying that an account is not."""

from pathlib import Path

from service import staff_pages
from service.api import Answer, MessageSchema
from service.credentials import hash_token
from service.customers import blueprint, store
from service.customers.schemas import EmailSchema, VerifiedEmailSchema, VerifyEmailSchema
from service.guards import claims_at_hand, public
from service.limits import limit

# The page that the mail's "It was not me" opens. Its button deletes the account, looking at it changes nothing.
staff_pages.add_page("not-me", Path(__file__).with_name("not-me.html"), folder="account")


@blueprint.post("/verify-email")
@public
@limit("token")
@blueprint.arguments(VerifyEmailSchema)
@blueprint.response(200, VerifiedEmailSchema)
def verify_email(data: dict[str, str]) -> Answer:
    """Verify an address with the link that was mailed to it

    All sessions end but the one whose token or cookie comes along. Where one does, it is the browser that registered,
    and bookings made as guest with the address become the customer's; else they do with a password set by a mailed
    link, or one by one as they are claimed. 400 `token_invalid`, `token_expired`, `token_superseded`. The link that
    verified already answers 200 as well.
    """
    claims = claims_at_hand()
    done = store.verify_email(data["customerId"], hash_token(data["token"]), claims["sid"] if claims else None)
    if not done["is_first"]:
        return {"message": "Email is already verified"}
    return {"message": "Email verified successfully", "customer": done["customer"]}


@blueprint.post("/disown")
@public
@limit("token")
@blueprint.arguments(VerifyEmailSchema)
@blueprint.response(200, MessageSchema)
def disown_account(data: dict[str, str]) -> Answer:
    """Delete an account that somebody else made with one's address

    With the link of any verification mail, also an old one, while the address is unproven. 400 `token_invalid`, 409
    `already_verified`.
    """
    store.disown_account(data["customerId"], hash_token(data["token"]))
    return {"message": "The account is deleted. Nobody can use it any more."}


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
