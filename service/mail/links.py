"""The links that mails carry: made as the mail is sent, so that nothing at rest verifies or resets anything."""

from dataclasses import dataclass
from urllib.parse import urlencode

from service.config import Config
from service.credentials import new_token
from service.database import rpc


@dataclass(frozen=True)
class Kind:
    """One kind of link: the site's page, the SQL function that issues it, the setting of its lifetime.

    And the page of ours, opened with the same token, for who got the mail for nothing they did.
    """

    page: str
    issue: str
    ttl: str
    refusal_page: str | None = None


# The customers' pages are the existing React site's; staff's is service/auth/invitation.py.
LINKS = {
    "email-verification": Kind("verify-email", "issue_email_token", "verify_token_ttl", "account/not-me"),
    "password-reset": Kind("reset-password", "issue_email_token", "reset_token_ttl"),
    "staff-invitation": Kind("staff/set-password", "issue_staff_invitation", "verify_token_ttl"),
}


def make_link(template: str, email_id: str, config: Config) -> tuple[str, int] | None:
    """The address for one mail of the outbox and its lifetime in seconds; None when the mail's purpose is gone.

    Only the SHA-256 of the token reaches the database. Asked twice for one mail, both links work until one is used.
    """
    kind = LINKS[template]
    token, token_hash = new_token()
    ttl = getattr(config, kind.ttl)
    owner: dict[str, object] | None = rpc(kind.issue, p_email_id=email_id, p_token_hash=token_hash, p_ttl_seconds=ttl)
    if not owner:
        return None
    ids = {"customerId": owner["customer_id"]} if "customer_id" in owner else {"staffId": owner["staff_id"]}
    return f"{config.frontend_url}/{kind.page}?{urlencode({'token': token, **ids})}", ttl
