"""A local, stateful PayPal for development and tests, as strict as its documents.

    python -m devstack.paypal --port 8440 --state .devstack/paypal.sqlite \
        --webhook-url http://127.0.0.1:5000/webhooks/paypal --webhook-id LOCALWEBHOOK00001

Flags, the state file, the control API and outages are those of every local gateway: see devstack.gateway, and `--help`.

Served (developer.paypal.com; the schemas are those of github.com/paypal/paypal-rest-api-specifications):

    POST /v1/oauth2/token                            client credentials; tokens end after --token-lifetime
    POST /v2/checkout/orders · GET …/:id · POST …/:id/capture        intent CAPTURE, one purchase unit
    GET  /v2/payments/captures/:id · POST …/:id/refund · GET /v2/payments/refunds/:id
    GET  /v1/customer/disputes?disputed_transaction_id= · GET …/:id
    GET  /v1/notifications/webhooks · …/:id · webhooks-events · …/:id · POST …/:id/resend
    POST /v1/notifications/verify-webhook-signature  by the bytes of webhook_event: a re-serialised body fails
    GET  /checkoutnow?token=…                        the page where a person approves, or the window that is closed

Bodies are checked by those schemas; what is not modelled is refused with the issue LOCAL_PAYPAL_UNSUPPORTED, never
ignored. A PayPal-Request-Id that comes again is answered with how its order or refund is now.
An order that is not approved, or not captured, within --order-lifetime is unknown. A declined instrument
(INSTRUMENT_DECLINED) opens its order for another approval; an eCheck leaves its capture PENDING until settled.

Of a case that is open PayPal holds the money; lost, the capture is reversed (PAYMENT.CAPTURE.REVERSED). What is sent of
a refund that fails, or booked by an appeal, no document says: the first sends nothing here, the second is refused.

`Control` has the verbs of devstack.gateway, and reverse, expire, expire_tokens, endpoint and sign.
"""

from devstack.gateway import GatewayRefused, wait_for

from .client import Control

__all__ = ["Control", "GatewayRefused", "wait_for"]
