"""The local Stripe's stand-in for Stripe.js: a person types a card into a page, which is told what came of it."""

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from tests.browser import CHROMIUM, needs_chromium
from tools.stack import Stack

pytestmark = [pytest.mark.browser, needs_chromium]

PAGE = """<!doctype html><script src="%s/js.stripe.com/v3/"></script><form><div id="card"></div></form><script>
  const stripe = Stripe("%s"), elements = stripe.elements({}), heard = [];
  const card = elements.create("card", { style: {} });
  for (const name of ["ready", "change", "focus"]) card.on(name, (event) => heard.push([name, event.complete]));
  card.mount("#card");
  const billing_details = { name: "Ada", email: "ada@example.com", phone: null, address: { country: "GB" } };
</script>"""


class Payer:
    """A page with the script, and the intents that are paid on it."""

    def __init__(self, page: Any, client: stripe.StripeClient) -> None:
        self.page, self.client = page, client
        self.number = page.get_by_label("Card number")

    def ask(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)

    def new_intent(self) -> stripe.PaymentIntent:
        return self.client.v1.payment_intents.create({"amount": 2000, "currency": "usd"})

    def confirm(self, number: str) -> Any:
        """Type a number, and pay a new intent with it."""
        self.number.fill(number)
        confirm = "(secret) => stripe.confirmCardPayment(secret, { payment_method: { card, billing_details } })"
        return self.ask(confirm, self.new_intent().client_secret)


@pytest.fixture(scope="module")
def payer(stack: Stack) -> Iterator[Payer]:
    from playwright.sync_api import sync_playwright

    address = stack.url("stripe")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(15_000)
        page.goto(f"{address}/_local/health")
        page.set_content(PAGE % (address, stack.secrets["stripe_publishable_key"]))
        client = stripe.StripeClient(stack.secrets["stripe_secret_key"], base_addresses={"api": address})
        yield Payer(page, client)
        browser.close()


def test_a_card_that_is_typed_in_pays(payer: Payer):
    payer.number.press_sequentially("4242424242424242")
    assert payer.number.input_value() == "4242 4242 4242 4242"
    answer = payer.confirm("4242 4242 4242 4242")
    assert (answer["paymentIntent"]["status"], answer.get("error")) == ("succeeded", None)
    paid = payer.client.v1.payment_intents.retrieve(answer["paymentIntent"]["id"], {"expand": ["latest_charge"]})
    charge = paid.to_dict()["latest_charge"]
    assert (charge["billing_details"]["name"], charge["payment_method_details"]["card"]["last4"]) == ("Ada", "4242")
    heard = payer.ask("heard")
    assert heard[0] == ["ready", None] and ["focus", None] in heard and heard[-1] == ["change", True]


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        ("4000000000000002", "card_declined", "Your card was declined."),
        ("4000 0000 0000 9995", "card_declined", "Your card has insufficient funds."),
        ("4242424242424241", "incorrect_number", "Your card number is incorrect."),
        ("", "incorrect_number", "Your card number is incorrect."),
    ],
)
def test_a_card_that_is_refused_is_told_in_a_sentence(payer: Payer, number: str, code: str, told: str):
    error = payer.confirm(number)["error"]
    assert (error["type"], error["code"], error["message"]) == ("card_error", code, told)


def test_the_bank_asks_in_a_box(payer: Payer):
    payer.page.once("dialog", lambda box: box.dismiss())
    assert payer.confirm("4000002760003184")["error"]["code"] == "payment_intent_authentication_failure"
    payer.page.once("dialog", lambda box: box.accept())
    assert payer.confirm("4000002760003184")["paymentIntent"]["status"] == "succeeded"


def test_methods_tokens_and_a_field_that_comes_and_goes(payer: Payer):
    payer.number.fill("5555555555554444")
    made = payer.ask("stripe.createPaymentMethod({ type: 'card', card, billing_details })")["paymentMethod"]
    assert made["card"]["last4"] == "4444"
    secret = payer.new_intent().client_secret
    pay = "([secret, id]) => stripe.confirmCardPayment(secret, { payment_method: id })"
    assert payer.ask(pay, [secret, made["id"]])["paymentIntent"]["status"] == "succeeded"
    assert (
        payer.ask("(secret) => stripe.retrievePaymentIntent(secret)", secret)["paymentIntent"]["status"] == "succeeded"
    )
    assert payer.ask("stripe.createToken(card)")["token"]["card"]["last4"] == "4444"
    assert payer.ask("elements.getElement('card') === card && elements.getElement('other') === null") is True
    payer.ask("card.clear(), card.update({ disabled: true }), card.focus(), card.unmount(), card.mount('#card')")
    assert (payer.number.input_value(), payer.number.is_disabled()) == ("", True)
    payer.ask("card.update({ disabled: false }), card.unmount()")
    assert payer.page.locator("#card input").count() == 0
    payer.ask("card.mount(document.querySelector('#card'))")
    assert payer.ask("[typeof Stripe.version, typeof stripe._registerWrapper]") == ["string", "function"]
