"""The control client; a payment is named by its order."""

from typing import Any

from devstack import gateway


class Control(gateway.Control):
    """What a payer does here is approve; the money moves by the application's capture."""

    def reverse(self, payment_id: str, amount: int | None = None) -> dict[str, Any]:
        """PayPal takes money back by itself (PAYMENT.CAPTURE.REVERSED); minor units, default what is left."""
        return self.do("reverse", payment_id=payment_id, amount=amount)

    def expire(self, payment_id: str) -> None:
        """As after the hours that an order waits to be captured: it is unknown then."""
        self.do("expire", payment_id=payment_id)

    def expire_tokens(self) -> None:
        self.do("expire_tokens")

    def endpoint(self, **changes: Any) -> dict[str, Any]:
        """Set the webhook up as in the dashboard: id, event_types. It is not told of other types."""
        return self.do("endpoint", **changes)

    def sign(self, payload: bytes, timestamp: float | None = None) -> dict[str, str]:
        """The headers with which a payload passes as PayPal's."""
        return self.do("sign", payload=payload.decode(), timestamp=timestamp)
