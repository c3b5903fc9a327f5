"""The rules of money in plain Python, to be compared with what the database does: no SQL, no shared formula."""

from dataclasses import dataclass, field

# The statuses of a dispute; of two told for one second the later one here counts.
ORDER = (
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
    "needs_response",
    "under_review",
    "lost",
    "won",
)

LATER = 10**9  # the second of what is done now; the news that are told are of long ago


@dataclass
class Dispute:
    """One dispute: how often its amount was taken and given back, and its latest news (second, place in ORDER)."""

    amount: int
    taken: int = 0
    given: int = 0
    news: tuple[int, int] = (0, 0)

    @property
    def is_open_or_lost(self) -> bool:
        return ORDER[self.news[1]] not in ("warning_closed", "won")

    @property
    def is_open(self) -> bool:
        return self.is_open_or_lost and ORDER[self.news[1]] != "lost"


@dataclass
class Payment:
    """One payment, as the facts that were told about it so far."""

    number: int
    amount: int
    gateway: str = "manual"
    is_superseded: bool = False
    paid: int | None = None
    news: tuple[int, int] | None = None  # (second, 1 processing or 2 failed)
    is_canceled: bool = False
    refunds: dict[str, tuple[int, str]] = field(default_factory=dict)  # id -> (amount, status)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    review: str | None = None

    @property
    def is_manual(self) -> bool:
        return self.gateway == "manual"

    @property
    def withdrawn(self) -> int:
        if self.paid is None:
            return 0
        return sum(one.amount * max(0, one.taken - one.given) for one in self.disputes.values())

    @property
    def given_back(self) -> int:
        if self.paid is None:
            return 0
        return sum(amount for amount, status in self.refunds.values() if status in ("pending", "succeeded"))

    @property
    def status(self) -> str:
        if self.paid is not None:
            return "refunded" if self.given_back + self.withdrawn >= self.paid else "completed"
        if self.is_canceled or self.is_superseded and self.news is None:
            return "failed"
        return {None: "pending", 1: "processing", 2: "failed"}[self.news and self.news[1]]

    @property
    def is_standing(self) -> bool:
        return self.status == "completed" and self.review != "amount_mismatch"

    @property
    def is_live(self) -> bool:
        return self.paid is None and not (self.is_canceled or self.is_superseded or self.is_manual)


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
        tried = [payment.status for payment in self.payments if not payment.is_superseded]
        return "Failed" if tried and tried[-1] == "failed" else "Pending"

    def settle(self) -> None:
        if self.payment_status == "Paid" and self.status == "Pending":
            self.status = "Confirmed"

    @property
    def live(self) -> Payment | None:
        return next((payment for payment in self.payments if payment.is_live), None)

    def begin(self, gateway: str) -> Payment | str:
        """The payment to be paid now by this gateway, or the code of the refusal."""
        if self.status == "Cancelled":
            return "booking_cancelled"
        if any(payment.status == "completed" for payment in self.payments):
            return "already_paid"
        if any(dispute.is_open for payment in self.payments for dispute in payment.disputes.values()):
            return "payment_disputed"
        if self.price < 50:
            return "amount_too_small"
        under_way = [payment for payment in self.payments if payment.status == "processing"]
        if under_way:
            return min(under_way, key=lambda payment: (payment.is_superseded, payment.number))
        if (live := self.live) and (live.amount, live.gateway) == (self.price, gateway):
            return live
        self.supersede()
        self.payments.append(Payment(len(self.payments), self.price, gateway))
        return self.payments[-1]

    def supersede(self, but: Payment | None = None) -> None:
        for payment in self.payments:
            if payment is not but and payment.status in ("pending", "failed") and not payment.is_canceled:
                payment.is_superseded = payment.is_superseded or not payment.is_manual

    def reprice(self, price: int) -> None:
        if price != self.price and self.live and (self.live.amount != price or self.status == "Cancelled"):
            self.supersede()
        self.price = price

    def cancel(self) -> None:
        if self.status != "Cancelled":
            self.supersede()
        self.status = "Cancelled"

    def capture(self, payment: Payment) -> bool:
        """We are about to take the money that its payer has agreed to; not of what is not wanted any more."""
        if payment.is_live:
            payment.news = (LATER, 1)
        return payment.is_live

    def tell(self, payment: Payment, kind: str, second: int, amount: int) -> None:
        """An event of the gateway about one of the payments."""
        if kind == "payment.succeeded":
            self._complete(payment, amount)
        elif kind != "payment.approved" and payment.paid is None and not payment.is_canceled:
            self._move(payment, kind, second)
        self.settle()

    def _complete(self, payment: Payment, amount: int) -> None:
        if payment.paid is not None:
            return
        payment.paid = amount
        if self.status == "Cancelled":
            payment.review = "booking_cancelled"
        elif amount != self.price:
            payment.review = "amount_mismatch"
        self._settle_doubles(is_new=True)
        if payment.review != "amount_mismatch":
            self.supersede(but=payment)

    def _settle_doubles(self, is_new: bool) -> None:
        unquestioned = (None, "double_payment", "dispute")
        standing = [one for one in self.payments if one.status == "completed" and one.review in unquestioned]
        for one in standing:
            if len(standing) > 1 and is_new:
                one.review = one.review or "double_payment"
            elif len(standing) == 1 and one.review == "double_payment":
                one.review = None

    def give_back(self, payment: Payment, refund_id: str, amount: int, status: str) -> None:
        """News of a refund."""
        before = payment.status
        payment.refunds[refund_id] = (amount, status)
        self._recount(payment, before)

    def dispute(
        self, payment: Payment, dispute_id: str, amount: int, news: tuple[int, int], moves: tuple[int, int]
    ) -> None:
        """News of a dispute: (second, place in ORDER), and how often its amount was taken and given back by then."""
        before, known = payment.status, payment.disputes.get(dispute_id)
        dispute = payment.disputes.setdefault(dispute_id, Dispute(amount, *moves, news))
        old = None if known is None else (known.news[1], known.taken, known.given)
        dispute.news = max(dispute.news, news)
        dispute.taken, dispute.given = max(dispute.taken, moves[0]), max(dispute.given, moves[1])
        if old != (dispute.news[1], dispute.taken, dispute.given):
            if any(one.is_open_or_lost for one in payment.disputes.values()):
                payment.review = payment.review or "dispute"
            elif payment.review == "dispute":
                payment.review = None
        self._recount(payment, before)

    def _recount(self, payment: Payment, before: str) -> None:
        if payment.status != before:
            self._settle_doubles(is_new=before == "refunded")
        self.settle()

    def _move(self, payment: Payment, kind: str, second: int) -> None:
        if kind == "payment.canceled":
            payment.is_canceled = True
            return
        news = (second, 2 if kind == "payment.failed" else 1)
        if payment.news is None or news > payment.news:
            payment.news = news
            is_wanted = self.status != "Cancelled" and self.payment_status != "Paid" and payment.amount == self.price
            if kind == "payment.failed" and not is_wanted:
                payment.is_superseded = True
