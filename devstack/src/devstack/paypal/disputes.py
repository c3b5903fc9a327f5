"""Disputes v1: a case is an inquiry between payer and merchant, or a claim that PayPal decides.

While a case is open PayPal holds the money and moves none. Lost, the capture is reversed, which is an event of its own
(PAYMENT.CAPTURE.REVERSED); won, nothing follows. What an appeal books is not documented, and not modelled.
"""

from decimal import Decimal

from . import errors, money, refunds
from .account import Account, Capture, Dispute, now


def create(account: Account, capture: Capture, amount: Decimal | None, *, inquiry: bool) -> Dispute:
    if capture.status not in refunds.PAID:
        raise errors.unprocessable("TRANSACTION_NOT_PAID", "Only a completed capture can be disputed.")
    if any(each.status != "RESOLVED" for each in account.disputes_of(capture)):
        raise errors.unprocessable("DISPUTE_OPEN", "There is an open case on this transaction.")
    left = capture.amount - account.refunded(capture)
    amount = left if amount is None else amount
    if not 0 < amount <= left:
        raise errors.unprocessable("NOTHING_TO_DISPUTE", "So much is not left of the capture.")
    made = account.store.add(Dispute(capture, amount, "INQUIRY" if inquiry else "CHARGEBACK"))
    account.emit("CUSTOMER.DISPUTE.CREATED", made, account.show(made), f"A new dispute opened with case # {made.id}")
    return made


def respond(account: Account, dispute: Dispute) -> Dispute:
    """Evidence is handed in."""
    if dispute.status not in ("OPEN", "WAITING_FOR_SELLER_RESPONSE"):
        raise errors.unprocessable("ACTION_NOT_ALLOWED", f"A case that is {dispute.status} takes no evidence.")
    dispute.status = "WAITING_FOR_BUYER_RESPONSE" if dispute.stage == "INQUIRY" else "UNDER_REVIEW"
    return _updated(account, dispute)


def escalate(account: Account, dispute: Dispute) -> Dispute:
    """An inquiry becomes a claim."""
    if dispute.stage != "INQUIRY" or dispute.status == "RESOLVED":
        raise errors.unprocessable("ACTION_NOT_ALLOWED", "Only an open inquiry is escalated.")
    dispute.stage, dispute.status = "CHARGEBACK", "WAITING_FOR_SELLER_RESPONSE"
    return _updated(account, dispute)


def close(account: Account, dispute: Dispute, status: str) -> Dispute:
    """won, lost, or warning_closed: an inquiry that the payer withdraws."""
    outcomes = {"won": "RESOLVED_SELLER_FAVOUR", "lost": "RESOLVED_BUYER_FAVOUR"}
    if dispute.stage == "INQUIRY":
        outcomes = {"warning_closed": "CANCELED_BY_BUYER", "lost": "RESOLVED_BUYER_FAVOUR"}
    if dispute.status == "RESOLVED" or status not in outcomes:
        raise errors.unprocessable("ACTION_NOT_ALLOWED", f"A case cannot be closed as {status} now.")
    dispute.status, dispute.outcome, dispute.update_time = "RESOLVED", outcomes[status], now()
    if status == "lost" and (back := refunds.reverse(account, account.find(Capture, dispute.capture), dispute.amount)):
        dispute.movements.append(
            {
                "affected_party": "SELLER",
                "amount": money.write(back.currency, back.amount),
                "initiated_time": back.create_time,
                "type": "DEBIT",
                "reason": "DISPUTE_SETTLEMENT",
            }
        )
    account.emit("CUSTOMER.DISPUTE.RESOLVED", dispute, account.show(dispute), f"A dispute was resolved: {dispute.id}")
    return dispute


def _updated(account: Account, dispute: Dispute) -> Dispute:
    dispute.update_time = now()
    account.emit("CUSTOMER.DISPUTE.UPDATED", dispute, account.show(dispute), f"A dispute was updated: {dispute.id}")
    return dispute
