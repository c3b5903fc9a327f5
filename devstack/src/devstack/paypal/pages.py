"""PayPal's own page, where the payer approves an order: /checkoutnow?token=…"""

from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web

from . import errors, orders
from .account import PAYER, Account, Order

CHOICES = {
    "balance": "Pay with PayPal",
    "echeck": "Pay by eCheck, which takes days",
    "declined": "Pay by a card that will be declined",
    "cancel": "Cancel and return",
}
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The local PayPal</title>
<meta name="viewport" content="width=device-width"><style>
body {{ font: 1rem/1.5 sans-serif; max-width: 24rem; margin: 3rem auto; padding: 0 1rem }}
button {{ display: block; width: 100%; margin: .5rem 0; padding: .7rem; font: inherit }}
</style></head><body><h1>The local PayPal</h1>{content}</body></html>"""


class Pages:
    def __init__(self, account: Account) -> None:
        self.account = account

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/checkoutnow", self.ask)
        app.router.add_post("/checkoutnow", self.decide)

    async def ask(self, request: web.Request) -> web.Response:
        order = self._order(request)
        if order.status not in orders.OPEN:
            return _page("<p>This payment was approved already. You may go back to the shop.</p>")
        unit = order._unit
        amount = f"{unit['amount']['value']} {unit['amount']['currency_code']}"
        brand = (order._context or {}).get("brand_name", "the shop")
        said = escape(f"{amount} to {brand}: {unit.get('description', 'an order')}")
        keep = '<label><input type="checkbox" name="stay" value="yes"> and close this window before returning</label>'
        buttons = "".join(f'<button name="choice" value="{name}">{text}</button>' for name, text in CHOICES.items())
        return _page(f'<p id="what">{said}</p><form method="post">{buttons}{keep}</form>')

    async def decide(self, request: web.Request) -> web.Response:
        order, form = self._order(request), await request.post()
        choice = str(form.get("choice", ""))
        if choice not in CHOICES:
            raise errors.invalid("choice", f"One of {', '.join(CHOICES)}.")
        context = order._context or {}
        if choice == "cancel":
            return _back(context.get("cancel_url"), {"token": order.id})
        if order.status in orders.OPEN:
            orders.approve(self.account, order, choice)  # type: ignore[arg-type]
        if form.get("stay"):
            return _page("<p>Approved. You closed the window.</p>")
        return _back(context.get("return_url"), {"token": order.id, "PayerID": PAYER})

    def _order(self, request: web.Request) -> Order:
        found: Order = self.account.find(Order, request.query.get("token", ""))
        return found


def _back(url: str | None, query: dict[str, str]) -> web.Response:
    if not url:
        return _page("<p>Done. You may close this window.</p>")
    parts = urlsplit(url)
    full = urlencode([*parse_qsl(parts.query), *query.items()])
    return web.Response(status=303, headers={"Location": urlunsplit(parts._replace(query=full))})


def _page(content: str) -> web.Response:
    return web.Response(text=PAGE.format(content=content), content_type="text/html")
