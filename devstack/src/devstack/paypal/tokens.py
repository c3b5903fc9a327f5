"""OAuth 2.0 access tokens by client credentials; they end after some hours, or at once by command."""

import base64
import hmac
import secrets
import time
from typing import Any

from devstack.gateway import Refusal, State, Thing

LIFETIME = 32_400  # seconds; what PayPal says in expires_in
SCOPE = "https://uri.paypal.com/services/applications/webhooks https://uri.paypal.com/services/payments/payment"


class Token(Thing):
    object = "token"

    def __init__(self, id: str, lifetime: float) -> None:
        self.id, self._until = id, time.time() + lifetime


class Tokens:
    def __init__(self, store: State, client_id: str, client_secret: str, lifetime: float = LIFETIME) -> None:
        self.store, self.client_id, self.client_secret, self.lifetime = store, client_id, client_secret, lifetime

    def grant(self, authorization: str, form: dict[str, Any]) -> dict[str, Any]:
        if not self._is_client(authorization):
            raise _refused(401, "invalid_client", "Client Authentication failed")
        if form.get("grant_type") != "client_credentials":
            raise _refused(400, "unsupported_grant_type", "The local PayPal grants client_credentials alone")
        token = self.store.add(Token("A21AAL" + secrets.token_urlsafe(48), self.lifetime))
        return {
            "scope": SCOPE,
            "access_token": token.id,
            "token_type": "Bearer",
            "app_id": "APP-80W284485P519543T",
            "expires_in": int(self.lifetime),
            "nonce": secrets.token_urlsafe(16),
        }

    def is_good(self, authorization: str) -> bool:
        kind, _, id = authorization.partition(" ")
        token = self.store.get(f"token:{id.strip()}") if kind == "Bearer" else None
        return token is not None and time.time() < token._until

    def forget(self) -> None:
        for token in self.store.of_kind("token"):
            del self.store[f"token:{token.id}"]

    def _is_client(self, authorization: str) -> bool:
        kind, _, value = authorization.partition(" ")
        expected = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        return kind == "Basic" and hmac.compare_digest(value.strip().encode(), expected.encode())


def _refused(status: int, error: str, text: str) -> Refusal:
    return Refusal(status, {"error": error, "error_description": text}, saved=False)
