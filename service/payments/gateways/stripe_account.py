"""What of a Stripe account has to be set by hand in its dashboard, and whether it is."""

import stripe

from service.payments.gateways.stripe_events import KINDS, StripeObject

WEBHOOK = "/api/payments/process-webhook"


def find_webhook_faults(endpoints: list[StripeObject]) -> list[str]:
    """A sentence for each thing that keeps events from arriving (docs.stripe.com/api/webhook_endpoints)."""
    ours = [endpoint for endpoint in endpoints if endpoint["url"].rstrip("/").endswith(WEBHOOK)]
    if not ours:
        return [f"The account has no webhook endpoint that ends with {WEBHOOK}."]
    return [fault for endpoint in ours for fault in _find_faults(endpoint)]


def _find_faults(endpoint: StripeObject) -> list[str]:
    url, faults = endpoint["url"], []
    if endpoint["status"] != "enabled":
        faults.append(f"The webhook endpoint {url} is switched off.")
    enabled = endpoint["enabled_events"]
    if missing := [] if "*" in enabled else sorted(KINDS.keys() - set(enabled)):
        faults.append(f"The webhook endpoint {url} is not told of: {', '.join(missing)}.")
    version = endpoint.get("api_version")
    if version != stripe.api_version:
        told = version or "the account's default"
        faults.append(f"The webhook endpoint {url} speaks the API version {told}, not {stripe.api_version}.")
    return faults
