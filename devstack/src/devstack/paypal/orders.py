"""Orders v2 with intent CAPTURE: created, approved by the payer, captured by the merchant."""

from datetime import UTC, datetime
from typing import Any, Literal

from . import errors, money, schema
from .account import Account, Capture, Order, now

# What the payer has chosen to pay by: money that is there, an instrument that is declined at the capture, an eCheck.
Funding = Literal["balance", "declined", "echeck"]
OPEN = ("CREATED", "PAYER_ACTION_REQUIRED")


def create(account: Account, body: dict[str, Any], request_id: str | None) -> Order:
    schema.ORDER(body, "")
    if body["intent"] != "CAPTURE":
        raise errors.unmodelled("authorisations, only intent CAPTURE", "/intent")
    source = body.get("payment_source")
    if source is not None and not request_id:
        text = "With a payment_source the header PayPal-Request-Id is required."
        raise errors.refusal(400, "PAYPAL_REQUEST_ID_REQUIRED", text)
    unit = {"reference_id": "default"} | body["purchase_units"][0]
    currency, amount = money.read(unit["amount"], "/purchase_units/0/amount")
    if extra := unit["amount"].keys() - {"currency_code", "value"}:
        raise errors.unmodelled(f"'{extra.pop()}'", "/purchase_units/0/amount")
    unit["amount"] = money.write(currency, amount)
    context = None if source is None else source.get("paypal", {}).get("experience_context", {})
    order = account.store.add(Order(unit, context, currency, amount))
    order.status = "CREATED" if source is None else "PAYER_ACTION_REQUIRED"
    return order


def approve(account: Account, order: Order, funding: Funding) -> Order:
    """The payer agrees, on PayPal's page."""
    if order.status not in OPEN:
        raise errors.unprocessable("ORDER_CANNOT_BE_APPROVED", f"The order is {order.status}.")
    if funding == "echeck" and (order._context or {}).get("payment_method_preference") == "IMMEDIATE_PAYMENT_REQUIRED":
        raise errors.unprocessable("PAYER_CANNOT_PAY", "This merchant takes no eChecks.")
    order.status, order._funding, order.update_time = "APPROVED", funding, now()
    order._opened = datetime.now(UTC).timestamp()
    account.emit("CHECKOUT.ORDER.APPROVED", order, account.show(order), "An order has been approved by buyer")
    return order


def capture(account: Account, order: Order, body: dict[str, Any]) -> Order:
    """Take the money of an approved order. A declined instrument opens it for another approval."""
    schema.CAPTURE(body, "")
    if order._capture:
        raise errors.unprocessable("ORDER_ALREADY_CAPTURED", "The order was captured before.")
    if order.status != "APPROVED":
        raise errors.unprocessable("ORDER_NOT_APPROVED", "The payer has not approved the order.")
    order.update_time = now()
    if order._funding == "declined":
        order.status = "PAYER_ACTION_REQUIRED"
        links = [account.approve_link(order, "redirect")]
        raise errors.unprocessable("INSTRUMENT_DECLINED", "The payer's instrument was declined.", links=links)
    slow = order._funding == "echeck"
    made = account.store.add(Capture(order, "PENDING" if slow else "COMPLETED", "ECHECK" if slow else None))
    order.status, order._capture = "COMPLETED", made.id
    if slow:
        account.emit("PAYMENT.CAPTURE.PENDING", made, account.show(made), "Payment pending")
    else:
        _completed(account, made)
    return order


def settle(account: Account, order: Order, outcome: str) -> Capture:
    """An eCheck clears or bounces."""
    made = account.capture_of(order)
    if made is None or made.status != "PENDING" or outcome not in ("succeeded", "failed"):
        raise errors.unprocessable("NOTHING_PENDING", "Only a pending capture settles: succeeded or failed.")
    made.update_time, made.reason = now(), None
    if outcome == "succeeded":
        made.status = "COMPLETED"
        _completed(account, made)
    else:
        made.status = "DECLINED"
        account.emit("PAYMENT.CAPTURE.DENIED", made, account.show(made), "Payment denied")
    return made


def _completed(account: Account, made: Capture) -> None:
    paid = money.write(made.currency, made.amount)
    account.emit(
        "PAYMENT.CAPTURE.COMPLETED", made, account.show(made), f"Payment completed for {paid['value']} {made.currency}"
    )


def brief(account: Account, order: Order) -> dict[str, Any]:
    """What an answer holds unless the caller prefers the representation."""
    return {"id": order.id, "status": order.status, "links": account.order_links(order)}
