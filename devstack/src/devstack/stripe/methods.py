"""Payment methods: Stripe's named test methods and raw test card numbers, and what each of them does when charged."""

import time
from typing import Any

from localstripe import resources
from localstripe.errors import UserError

from .parameters import Refusal, missing

# Card number -> (code, decline code, sentence): docs.stripe.com/testing#declined-payments
DECLINES = {
    "4000000000000002": ("card_declined", "generic_decline", "Your card was declined."),
    "4000000000009995": ("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "4000000000009987": ("card_declined", "lost_card", "Your card was declined."),
    "4000000000009979": ("card_declined", "stolen_card", "Your card was declined."),
    "4000000000000069": ("expired_card", "expired_card", "Your card has expired."),
    "4000000000000127": ("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."),
    "4000000000000119": ("processing_error", "processing_error", "An error occurred while processing your card."),
    "4000000000000341": ("card_declined", "generic_decline", "Your card was declined."),
    "4000000000006975": ("card_declined", "card_velocity_exceeded", "Your card was declined."),
}
DISPUTED, INQUIRED = "4000000000000259", "4000000000001976"
REFUND_PENDS, REFUND_FAILS = "4000000000007726", "4000000000005126"
# Card number -> what becomes of its charges after a while.
AFTER_PAYMENT = {DISPUTED: "charge_disputed", INQUIRED: "charge_inquired"}

TEST_CARDS = {
    "pm_card_visa": "4242424242424242",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_visa_chargeDeclined": "4000000000000002",
    "pm_card_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_chargeDeclinedLostCard": "4000000000009987",
    "pm_card_visa_chargeDeclinedLostCard": "4000000000009987",
    "pm_card_chargeDeclinedStolenCard": "4000000000009979",
    "pm_card_visa_chargeDeclinedStolenCard": "4000000000009979",
    "pm_card_chargeDeclinedExpiredCard": "4000000000000069",
    "pm_card_chargeDeclinedIncorrectCvc": "4000000000000127",
    "pm_card_chargeDeclinedProcessingError": "4000000000000119",
    "pm_card_chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_threeDSecure2Required": "4000000000003220",
    "pm_card_createDispute": DISPUTED,
    "pm_card_createDisputeInquiry": INQUIRED,
    "pm_card_pendingRefund": REFUND_PENDS,
    "pm_card_refundFail": REFUND_FAILS,
}
# Bank debits are taken first and answered later: outcome after the waiting time, None = stays processing.
TEST_BANKS = {
    "pm_usBankAccount": "succeeded",
    "pm_usBankAccount_success": "succeeded",
    "pm_usBankAccount_processing": None,
    "pm_usBankAccount_insufficientFunds": "failed",
    "pm_usBankAccount_accountClosed": "failed",
    "pm_usBankAccount_noAccount": "failed",
}


class PaymentMethod(resources.PaymentMethod):
    """localstripe's, with all of the test methods by name; each use of a name makes an object of its own."""

    @classmethod
    def _try_get_canonical_test_article(cls, id: str) -> "PaymentMethod | None":
        if id in TEST_CARDS:
            year = time.gmtime().tm_year + 4
            return cls(type="card", card={"number": TEST_CARDS[id], "exp_month": 12, "exp_year": year, "cvc": "123"})
        if id in TEST_BANKS:
            return cls._bank_account(TEST_BANKS[id])
        return None

    @classmethod
    def _bank_account(cls, outcome: str | None) -> "PaymentMethod":
        # localstripe knows no US bank accounts; the other bank debit it has stands in for the construction.
        method = cls(type="sepa_debit", sepa_debit={"iban": "DE89370400440532013000"})
        method.type, method._outcome = "us_bank_account", outcome
        del method.sepa_debit
        method.us_bank_account = {"bank_name": "STRIPE TEST BANK", "last4": "6789", "routing_number": "110000000"}
        return method


def find_method(id: str) -> Any:
    try:
        return PaymentMethod._api_retrieve(id)
    except UserError:
        raise missing("PaymentMethod", id, "payment_method") from None


def from_data(data: Any) -> PaymentMethod:
    """The payment method of a `payment_method_data` parameter, as Stripe.js sends it; raises card errors."""
    if not isinstance(data, dict) or data.get("type") != "card" or not isinstance(data.get("card"), dict):
        raise Refusal(400, "payment_method_data must be of type card", saved=False, param="payment_method_data")
    card = data["card"]
    number = "".join(str(card.get("number", "")).split())
    if not number.isdigit() or len(number) != 16 or not _checksum_holds(number):
        raise card_error("incorrect_number", "Your card number is incorrect.", param="number")
    try:
        month, year = int(card["exp_month"]), int(card["exp_year"])
    except (KeyError, ValueError):
        raise card_error("invalid_expiry_month", "Your card's expiration date is missing.", param="exp_month") from None
    year += 2000 if year < 100 else 0
    if not 1 <= month <= 12:
        raise card_error("invalid_expiry_month", "Your card's expiration month is invalid.", param="exp_month")
    if not time.gmtime()[:2] <= (year, month) < (2100, 1):
        raise card_error("invalid_expiry_year", "Your card's expiration year is invalid.", param="exp_year")
    if len(cvc := str(card.get("cvc", "123"))) != 3:
        raise card_error("invalid_cvc", "Your card's security code is invalid.", param="cvc")
    billing = data.get("billing_details")
    return PaymentMethod(
        type="card",
        billing_details=billing if isinstance(billing, dict) else None,
        card={"number": number, "exp_month": month, "exp_year": year, "cvc": cvc},
    )


def _checksum_holds(number: str) -> bool:
    """Luhn's check (ISO/IEC 7812-1)."""
    doubled = (int(digit) * (2 - i % 2) for i, digit in enumerate(number))
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def card_error(code: str, message: str, **fields: Any) -> Refusal:
    error = Refusal(402, message, code=code, **fields)
    error.body["error"]["type"] = "card_error"
    return error


def number_of(method_id: str | None) -> str:
    """The card number behind a payment method, empty when it is no card."""
    method = resources.store.get(f"payment_method:{method_id}") or resources.store.get(f"card:{method_id}")
    return getattr(method, "_card_number", "")
