"""A local, stateful Razorpay for development and tests, as strict as its documents (razorpay.com/docs/api).

    python -m devstack.razorpay --port 8430 --state .devstack/razorpay.sqlite \
        --webhook-url http://127.0.0.1:5000/webhooks/razorpay --webhook-secret hook_local

Every flag has an environment variable (`--help` names them): RAZORPAY_LOCAL_PORT, RAZORPAY_LOCAL_STATE,
RAZORPAY_WEBHOOK_URL, RAZORPAY_WEBHOOK_SECRET, RAZORPAY_KEY_ID (default rzp_test_local), RAZORPAY_KEY_SECRET (local). It
listens on 127.0.0.1 only, is ready when GET /_local/health answers 200, ends at once by SIGTERM, and SIGKILL loses
nothing that was answered.

Served under /v1, by HTTP Basic with key id and secret, bodies in JSON: orders (create, fetch, list, update, payments),
payments (fetch, list, update, capture, refund, refunds), refunds and disputes (fetch, list, accept). Unknown parameters
and what is not modelled are refused, never ignored.
- Amounts are in the currency's smallest unit; an order of rupees has at least 100 paise. A receipt has at most 40
  characters, notes at most 15 pairs of 256.
- `unique_receipt` makes a repeated order the one made before; `X-Refund-Idempotency` (10 characters or more) a
  repeated refund, and answers 409 while the first one is being worked on. Nothing else is idempotent.
- An order takes many attempts and one payment. A payment is created, authorized and captured, or fails; a failed one
  may be authorized late. What is authorized is captured by itself, unless the order says `payment.capture: manual`.
- A webhook is signed by HMAC-SHA256 of its body with the webhook's secret, and its id is in the header
  x-razorpay-event-id. After 24 hours of failures (`--disable-after`) the webhook is disabled.
- A chargeback takes the money at its onset, an inquiry (phase retrieval) takes nothing.

A page pays with the stand-in for checkout.js at /v1/checkout.js, whose dialogue takes the UPI ids success@razorpay,
failure@razorpay and pending@razorpay, and cards (4111 1111 1111 1111; 4000 0000 0000 0002 is declined).

The control API is devstack.gateway's; `Control` adds

    POST /_local/do/authorize {payment_id, capture}     a failed attempt was paid after all; or one that waits
    POST /_local/do/expire {payment_id}                 what was not captured goes back to the payer, as after days
    POST /_local/do/ask_again {dispute_id}              the evidence was not enough
    POST /_local/do/set {deduct_at_onset, repeated_receipts, refunds_refused}      habits of the account, in memory only
"""

from .client import Control, RazorpayRefused, signed, wait_for

__all__ = ["Control", "RazorpayRefused", "signed", "wait_for"]
