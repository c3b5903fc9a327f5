"""A local, stateful Stripe for development and tests: localstripe, extended to what applications send.

    python -m devstack.stripe --port 8420 --state .devstack/stripe.sqlite \
        --webhook-url http://127.0.0.1:5000/webhooks/stripe --webhook-secret whsec_local

Every flag has an environment variable (`--help` names them): STRIPE_LOCAL_PORT, STRIPE_LOCAL_STATE, STRIPE_WEBHOOK_URL,
STRIPE_WEBHOOK_SECRET, STRIPE_SECRET_KEY (default sk_test_local), STRIPE_PUBLISHABLE_KEY (pk_test_local). It listens on
127.0.0.1 only, is ready when GET /_local/health answers 200, ends at once by SIGTERM, and writes nothing but the state
file (with its `-wal` companion); what it has answered is in there, so SIGKILL loses nothing. `--port 0` takes a free
port and prints it. The webhook endpoint can be set later (`PUT /_local/webhook`) and is remembered; flags win.

    stripe.StripeClient(key, base_addresses={"api": "http://127.0.0.1:8420"}).v1.payment_intents.create(…)

Served: PaymentIntents, Charges, Refunds, Disputes, Customers, Events, WebhookEndpoints (to read), PaymentMethods,
Tokens, SetupIntents. Parameters are checked by the SDK's own types; what is not modelled is refused with code
`local_stripe_unsupported`, never ignored.
A page pays with the stand-in for Stripe.js at /js.stripe.com/v3/ (card elements, confirmCardPayment), whose card field
takes the test numbers; without it as Stripe.js does: POST /v1/payment_intents/:id/confirm with key, client_secret and
payment_method_data[card][number]=4242….
Test methods: pm_card_visa, pm_card_chargeDeclined, …InsufficientFunds, …, pm_card_authenticationRequired,
pm_card_createDispute, pm_card_createDisputeInquiry, pm_card_pendingRefund, pm_card_refundFail;
pm_usBankAccount_success and …_insufficientFunds settle after --settle-after seconds, …_processing only by command.

What can be charged is a table of currencies; `--currencies FILE` gives another (see currencies.py).

The control API (JSON, no key; `Control(url)` has a method for each):

    GET  /_local/health                              ready?
    GET  /_local/webhook   PUT {url, secret, enabled, forget}    endpoint, deliveries on and off, `waiting` event ids
    GET  /_local/deliveries?event=                   attempts: {event, type, at, url, status | error, body, ms}
    GET  /_local/objects/:id                         any object
    GET  /_local/events?type=&about=                 POST {type, object} makes an event of any kind
    POST /_local/events/:id/deliver {copies, timestamp}          now, any number of times, at once
    POST /_local/payment_intents/:id/confirm {payment_method} · /authenticate {success} · /settle {outcome}
    POST /_local/refunds {payment_intent | charge, amount}       a refund from the dashboard
    POST /_local/refunds/:id {status}                let it succeed, fail or be canceled
    PUT  /_local/next_refunds {status, count}        refunds from now on begin as pending, requires_action or failed
    PUT  /_local/failed_refunds {keep_total}         whether charge.amount_refunded goes on counting failed refunds
    POST /_local/disputes {payment_intent | charge, amount, reason, inquiry}
    POST /_local/disputes/:id/respond · /escalate · /close {status: won | lost | warning_closed} · /appeal {status}
    POST /_local/foreign_charges {amount, currency}  a charge without an intent
    POST /_local/foreign_payments {amount, currency, metadata, pay}           another program's intent
    PUT  /_local/method_types {types}                what automatic payment methods offer
    PUT  /_local/endpoint {url, enabled_events, api_version, status, …} · POST /_local/foreign_endpoints {url, …}
    POST /_local/outages {kind, method, path, count, when, status, seconds, error, remember} · GET · DELETE
                                                     kind: delay, timeout, reset or error; see gateway.Outage.
                                                     In memory only, as next_refunds, failed_refunds, method_types
                                                     and the endpoint's settings are: a restart ends them
    GET  /_local/ledger                              the money at Stripe: all objects and the totals by currency
    GET  /_local/requests?method=&path=              what was called, with parameters and idempotency keys
    DELETE /_local/idempotency_keys                  as after 24 hours
    POST /_local/reset                               forget all but the webhook endpoint
"""

from .client import Control, StripeRefused, signed, wait_for

__all__ = ["Control", "StripeRefused", "signed", "wait_for"]
