"""Making an account."""

from service.api import Answer
from service.cookies import set_session_cookie
from service.credentials import hash_password, issue_customer_token
from service.customers import blueprint, store
from service.customers.schemas import RegisterCustomerSchema, RegisteredCustomerSchema
from service.customers.shapes import Registration
from service.guards import public
from service.limits import limit


@blueprint.post("/register")
@public
@limit("register")
@blueprint.arguments(RegisterCustomerSchema)
@blueprint.response(201, RegisteredCustomerSchema)
def register_customer(data: Registration) -> Answer:
    """Create an account

    Answers a token and sets the cookie `jklg_customer`, by which the browser is known again when it opens the link of
    the mail that follows. 409 `email_taken`.
    """
    hashed = hash_password(data["password"])
    made = store.register_customer(data["email"], hashed, data["name"], data["phone"])
    token = issue_customer_token(made["customer_id"], data["email"], made["session_id"])
    set_session_cookie("customer", token)
    return {
        "customerId": made["customer_id"],
        "token": token,
        "message": "Account created successfully. Please verify your email.",
        "requiresVerification": True,
    }
