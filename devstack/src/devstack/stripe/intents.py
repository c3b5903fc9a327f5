"""PaymentIntents: created, updated, confirmed, settled later, canceled."""

import time
from typing import Any

from localstripe import resources

from . import account, currencies
from .charges import Charge, succeed
from .events import emit
from .methods import AFTER_PAYMENT, DECLINES, card_error, find_method, from_data, number_of
from .parameters import Refusal, invalid, merge_metadata, missing
from .state import action

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
GENERIC_DECLINE = DECLINES["4000000000000002"]
# Plain values of a create or update call that are kept on the intent as they came.
KEPT = tuple(
    """description receipt_email statement_descriptor_suffix setup_future_usage shipping customer
    allowed_payment_method_types""".split()
)


class PaymentIntent(resources.StripeObject):
    object = "payment_intent"
    _id_prefix = "pi_"

    def __init__(self, amount: int, currency: str) -> None:
        super().__init__()
        self.amount, self.currency = amount, currency
        self.amount_capturable = self.amount_received = 0
        self.amount_details: dict[str, Any] = {"tip": {}}
        self.application = self.application_fee_amount = self.on_behalf_of = self.review = None
        self.allowed_payment_method_types: list[str] | None = None
        self.automatic_payment_methods: dict[str, Any] | None = None
        self.canceled_at: int | None = None
        self.cancellation_reason: str | None = None
        self.capture_method, self.confirmation_method = "automatic_async", "automatic"
        self.client_secret = f"{self.id}_secret_{resources.random_id(25)}"
        self.customer: str | None = None
        self.description: str | None = None
        self.last_payment_error: dict[str, Any] | None = None
        self.latest_charge: str | None = None
        self.metadata: dict[str, str] = {}
        self.next_action: dict[str, Any] | None = None
        self.payment_method: str | None = None
        self.processing: dict[str, Any] | None = None
        self.receipt_email: str | None = None
        self.payment_method_options: dict[str, Any] = {}
        self.payment_method_types = ["card"]
        self.setup_future_usage = self.shipping = self.source = None
        self.statement_descriptor = self.statement_descriptor_suffix = None
        self.status = "requires_payment_method"
        self.transfer_data = self.transfer_group = None
        self._due: str | None = None


def create(params: dict[str, Any]) -> PaymentIntent:
    confirmed, data = params.pop("confirm", False), params.pop("payment_method_data", None)
    currency = currencies.table.check(params["amount"], params["currency"])
    automatic = _automatic(params)
    if confirmed:
        _check_return_url(automatic, params)
    elif "return_url" in params:
        raise invalid("A return_url can be given only together with confirm=true.", "return_url")
    _check_customer(params.get("customer"))
    _check_words(params)
    metadata = merge_metadata({}, params.get("metadata", {}))
    method = from_data(data) if data else find_method(params["payment_method"]) if "payment_method" in params else None
    intent = PaymentIntent(params["amount"], currency)
    intent.metadata = metadata
    intent.automatic_payment_methods = automatic
    intent.payment_method_types = _types(automatic)
    _keep(intent, params)
    if method is not None:
        intent.payment_method, intent.status = method.id, "requires_confirmation"
    emit("payment_intent.created", intent)
    return confirm(intent, {"return_url": params.get("return_url")}) if confirmed else intent


def update(intent: PaymentIntent, params: dict[str, Any]) -> PaymentIntent:
    fixed = [name for name in ("amount", "currency", "customer", "payment_method") if name in params]
    if fixed and intent.status not in OPEN:
        raise unexpected(
            intent, f"This PaymentIntent's {fixed[0]} could not be updated because it has a status of {intent.status}."
        )
    if {"amount", "currency"} & params.keys():
        amount = params.get("amount", intent.amount)
        intent.currency = currencies.table.check(amount, params.get("currency", intent.currency))
        intent.amount = amount
    _check_customer(params.get("customer"))
    _check_words(params)
    if "metadata" in params:
        intent.metadata = merge_metadata(intent.metadata, params["metadata"])
    if params.get("payment_method"):
        intent.payment_method, intent.status = find_method(params["payment_method"]).id, "requires_confirmation"
    _keep(intent, params)
    return intent


def cancel(intent: PaymentIntent, params: dict[str, Any]) -> PaymentIntent:
    if intent.status not in OPEN:
        raise unexpected(intent, f"You cannot cancel this PaymentIntent because it has a status of {intent.status}.")
    intent.status, intent.canceled_at, intent.next_action = "canceled", int(time.time()), None
    intent.cancellation_reason = params.get("cancellation_reason")
    emit("payment_intent.canceled", intent)
    return intent


def confirm(intent: PaymentIntent, params: dict[str, Any]) -> PaymentIntent:
    """Try to pay. A declined card leaves the intent open and raises a card error (402) that carries it."""
    if intent.status == "succeeded":
        raise unexpected(intent, "You cannot confirm this PaymentIntent because it has already succeeded.")
    if intent.status not in OPEN:
        raise unexpected(intent, f"You cannot confirm this PaymentIntent because it has a status of {intent.status}.")
    _check_return_url(intent.automatic_payment_methods, params)
    chosen = params.get("payment_method") or intent.payment_method
    method = from_data(params["payment_method_data"]) if params.get("payment_method_data") else None
    if method is None and not chosen:
        raise unexpected(intent, "You cannot confirm this PaymentIntent because it's missing a payment method.")
    method = method or find_method(chosen or "")
    intent.payment_method, intent.last_payment_error = method.id, None
    if method._requires_authentication():
        intent.status = "requires_action"
        intent.next_action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
        emit("payment_intent.requires_action", intent)
        return intent
    return charge(intent, method)


def authenticate(intent: PaymentIntent, success: bool) -> PaymentIntent:
    """The answer of the 3-D Secure box, also of an intent without a card yet."""
    if intent.status not in OPEN:
        raise unexpected(intent, f"This PaymentIntent cannot be authenticated in status {intent.status}.")
    method = find_method(intent.payment_method or "pm_card_visa")
    intent.next_action = None
    if success:
        return charge(intent, method)
    text = "The provided PaymentMethod has failed authentication."
    intent.status, intent.payment_method = "requires_payment_method", None
    intent.last_payment_error = {
        "code": "payment_intent_authentication_failure",
        "message": text,
        "payment_method": method._export(),
        "type": "invalid_request_error",
    }
    emit("payment_intent.payment_failed", intent)
    return intent


def charge(intent: PaymentIntent, method: Any) -> PaymentIntent:
    made = Charge(intent.amount, intent.currency, method, intent)
    intent.latest_charge, intent.payment_method = made.id, method.id
    if method.type != "card":
        intent.status = "processing"
        emit("charge.pending", made)
        emit("payment_intent.processing", intent)
        if outcome := getattr(method, "_outcome", None):
            resources.store.later(intent, f"intent_{outcome}")
    elif why := DECLINES.get(number_of(method.id)):
        decline(intent, why)
        error = intent.last_payment_error
        assert error
        raise card_error(
            error["code"],
            error["message"],
            decline_code=error["decline_code"],
            charge=made.id,
            payment_method=error["payment_method"],
            payment_intent=intent._export(),
        )
    else:
        intent_succeeded(intent)
    return intent


@action
def intent_succeeded(intent: PaymentIntent) -> None:
    paid = resources.store.get(f"charge:{intent.latest_charge}")
    intent.status, intent.amount_received, intent.next_action = "succeeded", paid.amount, None
    succeed(paid)
    emit("payment_intent.succeeded", intent)
    if afterwards := AFTER_PAYMENT.get(number_of(paid.payment_method)):
        resources.store.later(paid, afterwards)


@action
def intent_failed(intent: PaymentIntent) -> None:
    decline(intent, GENERIC_DECLINE)


def decline(intent: PaymentIntent, why: tuple[str, str, str]) -> None:
    code, decline_code, message = why
    tried = resources.store.get(f"charge:{intent.latest_charge}")
    tried.status, tried.failure_code, tried.failure_message = "failed", code, message
    tried.outcome = {"network_status": "declined_by_network", "reason": decline_code, "type": "issuer_declined"}
    intent.last_payment_error = {
        "charge": tried.id,
        "code": code,
        "decline_code": decline_code,
        "message": message,
        "payment_method": find_method(tried.payment_method)._export(),
        "type": "card_error",
    }
    intent.status, intent.payment_method, intent.next_action = "requires_payment_method", None, None
    emit("charge.failed", tried)
    emit("payment_intent.payment_failed", intent)


def settle(intent: PaymentIntent, outcome: str) -> PaymentIntent:
    """Bring a processing intent to its end by hand: `outcome` is succeeded or failed."""
    if intent.status != "processing" or outcome not in ("succeeded", "failed"):
        raise unexpected(intent, f"Only a processing PaymentIntent settles, this one has a status of {intent.status}.")
    intent._due = None
    (intent_succeeded if outcome == "succeeded" else intent_failed)(intent)
    return intent


def public_view(intent: PaymentIntent) -> dict[str, Any]:
    """What a browser may see of an intent, with its publishable key and client secret."""
    hidden = ("metadata", "customer", "latest_charge", "amount_received", "application", "on_behalf_of", "review")
    return {name: value for name, value in intent._export().items() if name not in hidden}


def foreign(amount: int, currency: str, metadata: dict[str, str] | None = None, pay: bool = True) -> PaymentIntent:
    """An intent of another program on the same account, paid by card unless `pay` is false."""
    intent = create({"amount": amount, "currency": currency, "metadata": metadata or {}})
    return confirm(intent, {"payment_method": "pm_card_visa"}) if pay else intent


def find_intent(id: str, param: str = "intent") -> PaymentIntent:
    intent = resources.store.get(f"payment_intent:{id}")
    if intent is None:
        raise missing("payment_intent", id, param)
    return intent


def unexpected(intent: PaymentIntent, message: str) -> Refusal:
    return Refusal(400, message, code="payment_intent_unexpected_state", payment_intent=intent._export())


def _keep(intent: PaymentIntent, params: dict[str, Any]) -> None:
    for name in KEPT:
        if name in params:
            setattr(intent, name, params[name])
    if intent.allowed_payment_method_types:
        intent.payment_method_types = intent.allowed_payment_method_types


def _automatic(params: dict[str, Any]) -> dict[str, Any] | None:
    """The automatic methods of a new intent: {enabled, allow_redirects}; None where none were asked for."""
    asked = params.get("automatic_payment_methods")
    return {"allow_redirects": "always", **asked} if asked else None


def _types(automatic: dict[str, Any] | None) -> list[str]:
    """The methods an intent offers: what the account has switched on, or cards alone."""
    if not automatic or not automatic["enabled"]:
        return ["card"]
    return account.offered(with_redirects=automatic["allow_redirects"] != "never")


def _check_return_url(automatic: dict[str, Any] | None, params: dict[str, Any]) -> None:
    """Whoever may be sent away to pay must have a way back (docs.stripe.com/upgrades/manage-payment-methods)."""
    if automatic and automatic["enabled"] and automatic["allow_redirects"] != "never" and not params.get("return_url"):
        text = "This intent takes methods that may leave the page: give a return_url, or allow_redirects=never with it."
        raise invalid(text, "return_url")


def _check_customer(id: str | None) -> None:
    customer = resources.store.get(f"customer:{id}")
    if id is not None and (customer is None or getattr(customer, "_deleted", False)):
        raise missing("customer", id, "customer", status=400)


def _check_words(params: dict[str, Any]) -> None:
    email = params.get("receipt_email")
    if email is not None and (email.count("@") != 1 or " " in email or "." not in email.partition("@")[2]):
        raise invalid(f"Invalid email address: {email}", "receipt_email", "email_invalid")
    suffix = params.get("statement_descriptor_suffix")
    if suffix is None:
        return
    if len(suffix) > 22 or not any(char.isalpha() for char in suffix) or set(suffix) & set("<>\\'\"*"):
        text = "The statement descriptor suffix must hold a letter, at most 22 characters and none of <>\\'\"*"
        raise invalid(text, "statement_descriptor_suffix")
