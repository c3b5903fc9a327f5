"""The mailbox of the stack shows every mail of the service with sample data."""

import httpx

from tools.stack import Stack


def test_the_templates_page_shows_every_mail(stack: Stack) -> None:
    page = httpx.get(f"{stack.url('mailbox')}/templates").text
    assert "email-verification" in page and "refund-issued" in page
    shown = httpx.get(f"{stack.url('mailbox')}/templates/payment-receipt")
    assert "$2,598.00" in shown.text and "sandbox" in shown.headers["content-security-policy"]
    for path in ("/templates/no-such", "/templates?name=../tests"):
        assert httpx.get(stack.url("mailbox") + path).status_code == 404
