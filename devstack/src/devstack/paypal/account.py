"""The merchant's account: what all its parts share, its links, and what it tells by events."""

import secrets
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from devstack.gateway import State, Thing

from . import errors, money
from .events import Deliveries, Event, make

ALPHABET = string.ascii_uppercase + string.digits


class Order(Thing):
    """`_funding`: how the payer has chosen to pay, once there was an approval. `_capture`: the capture's id."""

    object = "order"
    status = "CREATED"
    update_time: str | None = None
    _funding = ""
    _capture: str | None = None

    def __init__(self, unit: dict[str, Any], context: dict[str, Any] | None, currency: str, amount: Decimal) -> None:
        self.id, self.create_time = new_id(), now()
        self._unit, self._context, self._currency, self._amount = unit, context, currency, amount
        self._opened = datetime.now(UTC).timestamp()  # since when it waits for the next step


class Capture(Thing):
    object = "capture"
    reason: str | None = None

    def __init__(self, order: Order, status: str, reason: str | None = None) -> None:
        self.id, self.create_time, self.update_time = new_id(), now(), now()
        self.order, self.currency, self.amount = order.id, order._currency, order._amount
        self.custom_id = order._unit.get("custom_id")
        self.status, self.reason = status, reason


class Refund(Thing):
    """Also a reversal, which PayPal makes by itself and tells in the form of a refund."""

    object = "refund"

    def __init__(self, capture: Capture, amount: Decimal, status: str, custom_id: str | None, note: str | None) -> None:
        self.id, self.create_time, self.update_time = new_id(), now(), now()
        self.capture, self.currency, self.amount, self.status = capture.id, capture.currency, amount, status
        # Without one of its own it carries the capture's, as a refund made by hand does.
        self.custom_id, self.note_to_payer = custom_id or capture.custom_id, note


class Dispute(Thing):
    object = "dispute"
    outcome: str | None = None

    def __init__(self, capture: Capture, amount: Decimal, stage: str) -> None:
        self.id = f"PP-D-{secrets.randbelow(10**8):08d}"
        self.create_time = self.update_time = now()
        self.capture, self.currency, self.amount, self.stage = capture.id, capture.currency, amount, stage
        self.status = "OPEN" if stage == "INQUIRY" else "WAITING_FOR_SELLER_RESPONSE"
        self.movements: list[dict[str, Any]] = []


@dataclass
class Account:
    """`url`: where this PayPal is found, for links; known with the first request.

    In memory only, as outages are: `refunds_begin`, how the next refunds begin, and how many of them.
    """

    store: State
    deliveries: Deliveries
    order_lifetime: float
    url: str = ""
    refunds_begin: dict[str, Any] = field(default_factory=dict)

    def find(self, kind: type[Any], id: str) -> Any:
        found = self.store.get(f"{kind.object}:{id}")
        if found is None or isinstance(found, Order) and self.is_expired(found):
            raise errors.missing()
        return found

    def all(self, kind: type[Any]) -> list[Any]:
        return self.store.of_kind(kind.object)

    def is_expired(self, order: Order) -> bool:
        """What is not captured in time is gone: three hours to the approval, and three from there."""
        age = datetime.now(UTC).timestamp() - order._opened
        return order._capture is None and age > self.order_lifetime

    def capture_of(self, order: Order) -> Capture | None:
        return self.find(Capture, order._capture) if order._capture else None

    def refunds_of(self, capture: Capture) -> list[Refund]:
        return [refund for refund in self.all(Refund) if refund.capture == capture.id]

    def disputes_of(self, capture: Capture) -> list[Dispute]:
        return [dispute for dispute in self.all(Dispute) if dispute.capture == capture.id]

    def refunded(self, capture: Capture) -> Decimal:
        """What went back or is on its way."""
        gone = (each.amount for each in self.refunds_of(capture) if each.status in ("COMPLETED", "PENDING"))
        return sum(gone, Decimal(0))

    def link(self, rel: str, path: str, method: str = "GET") -> dict[str, str]:
        return {"href": self.url + path, "rel": rel, "method": method}

    def approve_link(self, order: Order, rel: str) -> dict[str, str]:
        return self.link(rel, f"/checkoutnow?token={order.id}")

    def emit(self, type: str, thing: Any, resource: dict[str, Any], summary: str) -> Event:
        """Write an event down and send it: about the thing, and all that hangs together with it."""
        capture = thing if isinstance(thing, Capture) else self.store.get(f"capture:{getattr(thing, 'capture', '')}")
        about = {thing.id, getattr(capture, "id", thing.id), getattr(capture, "order", thing.id)}
        return self.tell(make(type, thing.object, resource, summary, self.url), about)

    def tell(self, event: Event, about: set[str]) -> Event:
        event._about, event._wanted = about, self.deliveries.is_told(event.type)
        self.store.add(event)
        if event._wanted:
            self.deliveries.start(event.id)
        return event

    # --- how things look

    def show(self, thing: Any) -> dict[str, Any]:
        match thing:
            case Order():
                return self.show_order(thing)
            case Capture():
                return self.show_capture(thing)
            case Refund():
                return self.show_refund(thing)
            case Dispute():
                return self.show_dispute(thing)
            case _:
                return dict(thing.export())

    def show_order(self, order: Order) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": order.id, "intent": "CAPTURE", "status": order.status}
        if order._context is not None or order._funding:
            shown["payment_source"] = {"paypal": _wallet() if order._funding else {}}
        capture = self.capture_of(order)
        shown["purchase_units"] = [order._unit | ({"payments": self._payments(capture)} if capture else {})]
        if order._funding:
            shown["payer"] = {"email_address": "payer@example.com", "payer_id": PAYER, "name": _wallet()["name"]}
        shown["create_time"] = order.create_time
        if order.update_time:
            shown["update_time"] = order.update_time
        return shown | {"links": self.order_links(order)}

    def order_links(self, order: Order) -> list[dict[str, str]]:
        path = f"/v2/checkout/orders/{order.id}"
        links = [self.link("self", path)]
        if order.status == "CREATED":
            links.append(self.approve_link(order, "approve"))
        elif order.status == "PAYER_ACTION_REQUIRED":
            links.append(self.approve_link(order, "payer-action"))
        elif order.status == "APPROVED":
            links.append(self.link("capture", f"{path}/capture", "POST"))
        return links

    def _payments(self, capture: Capture) -> dict[str, Any]:
        refunds = [self.show_refund(refund) for refund in self.refunds_of(capture)]
        return {"captures": [self.show_capture(capture)]} | ({"refunds": refunds} if refunds else {})

    def show_capture(self, capture: Capture) -> dict[str, Any]:
        path, amount = f"/v2/payments/captures/{capture.id}", money.write(capture.currency, capture.amount)
        shown: dict[str, Any] = {"id": capture.id, "status": capture.status, "amount": amount, "final_capture": True}
        if capture.reason:
            shown["status_details"] = {"reason": capture.reason}
        if capture.custom_id:
            shown["custom_id"] = capture.custom_id
        if capture.status in ("COMPLETED", "REFUNDED", "PARTIALLY_REFUNDED"):
            shown["seller_receivable_breakdown"] = {"gross_amount": amount, "net_amount": amount}
        return shown | {
            "supplementary_data": {"related_ids": {"order_id": capture.order}},
            "create_time": capture.create_time,
            "update_time": capture.update_time,
            "links": [
                self.link("self", path),
                self.link("refund", f"{path}/refund", "POST"),
                self.link("up", f"/v2/checkout/orders/{capture.order}"),
            ],
        }

    def show_refund(self, refund: Refund) -> dict[str, Any]:
        capture = self.find(Capture, refund.capture)
        amount = money.write(refund.currency, refund.amount)
        shown: dict[str, Any] = {"id": refund.id, "status": refund.status, "amount": amount}
        if refund.status == "PENDING":
            shown["status_details"] = {"reason": "ECHECK"}
        for name in ("custom_id", "note_to_payer"):
            if value := getattr(refund, name):
                shown[name] = value
        total = money.write(refund.currency, self.refunded(capture))
        return shown | {
            "seller_payable_breakdown": {"gross_amount": amount, "net_amount": amount, "total_refunded_amount": total},
            "create_time": refund.create_time,
            "update_time": refund.update_time,
            "links": [
                self.link("self", f"/v2/payments/refunds/{refund.id}"),
                self.link("up", f"/v2/payments/captures/{refund.capture}"),
            ],
        }

    def show_dispute(self, dispute: Dispute) -> dict[str, Any]:
        capture = self.find(Capture, dispute.capture)
        disputed = {
            "buyer_transaction_id": capture.id[::-1],
            "seller_transaction_id": capture.id,
            "create_time": capture.create_time,
            "transaction_status": "COMPLETED",
            "gross_amount": money.write(capture.currency, capture.amount),
        } | ({"custom": capture.custom_id} if capture.custom_id else {})
        shown: dict[str, Any] = {
            "dispute_id": dispute.id,
            "create_time": dispute.create_time,
            "update_time": dispute.update_time,
            "disputed_transactions": [disputed],
            "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
            "status": dispute.status,
            "dispute_amount": money.write(dispute.currency, dispute.amount),
            "dispute_life_cycle_stage": dispute.stage,
            "dispute_channel": "INTERNAL",
        }
        if dispute.outcome:
            shown["dispute_outcome"] = {"outcome_code": dispute.outcome}
        if dispute.movements:
            shown["money_movements"] = dispute.movements
        if dispute.status in ("OPEN", "WAITING_FOR_SELLER_RESPONSE"):
            shown["seller_response_due_date"] = in_days(10)
        return shown | {"links": [self.link("self", f"/v1/customer/disputes/{dispute.id}")]}


PAYER = "QYR5Z8XDVJNXQ"


def _wallet() -> dict[str, Any]:
    name = {"given_name": "Tenzin", "surname": "Dolma"}
    return {"email_address": "payer@example.com", "account_id": PAYER, "account_status": "VERIFIED", "name": name}


def new_id() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(17))


def now() -> str:
    """PayPal's objects have whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_days(days: int) -> str:
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() + days * 86_400, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
