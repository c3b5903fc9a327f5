"""The rules of money in plain Python, to be compared with what the database does: no SQL, no shared formula."""

from dataclasses import dataclass, field

FINAL = ("completed", "refunded")


@dataclass
class Payment:
    """One payment, as the facts that were told about it so far."""

    number: int
    amount: int
    is_manual: bool = False
    is_superseded: bool = False
    paid: int | None = None
    news: tuple[int, int] | None = None  # (second, 1 processing or 2 failed)
    is_canceled: bool = False
    refunds: dict[str, tuple[int, str]] = field(default_factory=dict)  # id -> (amount, status)
    review: str | None = None

    @property
    def given_back(self) -> int:
        if self.paid is None:
            return 0
        return sum(amount for amount, status in self.refunds.values() if status in ("pending", "succeeded"))

    @property
    def status(self) -> str:
        if self.paid is not None:
            return "refunded" if self.given_back == self.paid else "completed"
        if self.is_canceled or self.is_superseded and self.news is None:
            return "failed"
        return {None: "pending", 1: "processing", 2: "failed"}[self.news and self.news[1]]

    @property
    def is_standing(self) -> bool:
        return self.status == "completed" and self.review != "amount_mismatch"

    @property
    def is_live(self) -> bool:
        return self.status in ("pending", "processing") and not self.is_superseded and not self.is_manual


@dataclass
class Booking:
    """A booking of ``price`` minor units and its payments, oldest first."""

    price: int
    status: str = "Pending"
    payments: list[Payment] = field(default_factory=list)

    @property
    def payment_status(self) -> str:
        if any(payment.is_standing for payment in self.payments):
            return "Paid"
        statuses = [payment.status for payment in self.payments]
        if "refunded" in statuses and "completed" not in statuses:
            return "Refunded"
        return "Failed" if statuses and statuses[-1] == "failed" else "Pending"

    def settle(self) -> None:
        if self.payment_status == "Paid" and self.status == "Pending":
            self.status = "Confirmed"

    @property
    def live(self) -> Payment | None:
        return next((payment for payment in self.payments if payment.is_live), None)

    def begin(self) -> Payment | str:
        """The payment to be paid now, or the code of the refusal."""
        if self.status == "Cancelled":
            return "booking_cancelled"
        if any(payment.status == "completed" for payment in self.payments):
            return "already_paid"
        if self.price < 50:
            return "amount_too_small"
        live = self.live
        if live and (live.status == "processing" or live.amount == self.price):
            return live
        self.supersede()
        self.payments.append(Payment(len(self.payments), self.price))
        return self.payments[-1]

    def supersede(self, but: Payment | None = None) -> None:
        for payment in self.payments:
            if payment is not but and payment.status in ("pending", "failed") and not payment.is_canceled:
                payment.is_superseded = payment.is_superseded or not payment.is_manual

    def tell(self, payment: Payment, kind: str, second: int, amount: int) -> None:
        """An event of the gateway about one of the payments."""
        if kind == "payment.succeeded":
            self._complete(payment, amount)
        elif payment.paid is None and not payment.is_canceled:
            self._move(payment, kind, second)
        self.settle()

    def _complete(self, payment: Payment, amount: int) -> None:
        if payment.paid is not None:
            return
        standing = [other for other in self.payments if other.is_standing]
        payment.paid = amount
        if amount != self.price:
            payment.review = "amount_mismatch"
        elif standing:
            payment.review = "double_payment"
            for other in standing:
                other.review = other.review or "double_payment"
        elif self.status == "Cancelled":
            payment.review = "booking_cancelled"
        if payment.review != "amount_mismatch":
            self.supersede(but=payment)

    def _move(self, payment: Payment, kind: str, second: int) -> None:
        if kind == "payment.canceled":
            payment.is_canceled = True
            return
        news = (second, 2 if kind == "payment.failed" else 1)
        if payment.news is None or news > payment.news:
            live = self.live
            if news[1] == 1 and live and live is not payment:
                payment.is_superseded = True
            payment.news = news
