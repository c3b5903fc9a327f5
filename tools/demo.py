"""`make demo`: one whole journey, from the registration to the refund, as plain HTTP against a running stack."""

import os
import sys
import time
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from dotenv import dotenv_values

from devstack.mailbox import Mailbox
from devstack.paypal import Control as PayPal
from devstack.razorpay import Control as Razorpay
from tools.project import DIRECTORY
from tools.stack import HOST, PORTS

IS_TERMINAL = sys.stdout.isatty()
SECRETS = ("password", "token", "clientSecret")
STAFF = {"email": "admin@jklg.example", "password": "travel-demo-2026"}


class DemoError(Exception):
    """What did not go as it should, in a sentence."""


class Journey:
    """Makes the calls and shows them. ``urls`` are the parts of the stack, ``stripe_key`` what a browser pays with."""

    def __init__(self, urls: dict[str, str], stripe_key: str) -> None:
        self.service, self.stripe, self.stripe_key = urls["service"], urls["stripe"], stripe_key
        self.payers = {"razorpay": Razorpay(urls["razorpay"]), "paypal": PayPal(urls["paypal"])}
        self.http = httpx.Client(timeout=30)
        self.mailbox = Mailbox(urls["mailbox"])
        self.step = 0

    def close(self) -> None:
        self.http.close()
        self.mailbox.close()
        for payer in self.payers.values():
            payer.http.close()

    def say(self, sentence: str) -> None:
        self.step += 1
        print(f"\n{_style('1', f'{self.step}. {sentence}')}")

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = None, expect: int = 200) -> Any:
        """One call of the service, shown with its answer; the decoded answer comes back."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        print(f"\n   {_style('36', method)} {path}")
        if body:
            _show(body)
        started = time.perf_counter()
        answer = self.http.request(method, self.service + path, json=body, headers=headers)
        took = (time.perf_counter() - started) * 1000
        colour = "32" if answer.is_success else "31"
        print(f"   {_style(colour, str(answer.status_code))} in {took:.0f} ms")
        _show(answer.json())
        if answer.status_code != expect:
            raise DemoError(f"{method} {path} answered {answer.status_code}, not {expect}: {answer.text}")
        return answer.json()

    def mail(self, to: str, subject: str) -> Any:
        """The mail that arrives, shown by its subject."""
        try:
            letter = self.mailbox.wait_for(to, subject)
        except TimeoutError as error:
            raise DemoError(str(error)) from error
        print(f"\n   {_style('35', 'mail')} to {to}\n       {letter['subject']}")
        return letter

    def pay(self, client_secret: str) -> None:
        """What Stripe.js does in the browser: the card goes to Stripe, never to the service."""
        intent = client_secret.split("_secret_")[0]
        address = f"/v1/payment_intents/{intent}/confirm"
        print(f"\n   {_style('36', 'POST')} to Stripe {address}, with the card 4242 4242 4242 4242")
        form = {
            "client_secret": client_secret,
            "payment_method_data[type]": "card",
            "payment_method_data[card][number]": "4242424242424242",
            "payment_method_data[card][exp_month]": "12",
            "payment_method_data[card][exp_year]": "2034",
            "payment_method_data[card][cvc]": "123",
        }
        answer = self.http.post(
            self.stripe + address, data=form, headers={"Authorization": f"Bearer {self.stripe_key}"}
        )
        print(f"   {_style('32', str(answer.status_code))} {answer.json().get('status')}")
        if not answer.is_success:
            raise DemoError(f"Stripe refused the card: {answer.text}")

    def agree(self, gateway: str, payment_id: str) -> dict[str, str] | None:
        """What the payer does in the gateway's own window or page; what it hands to ours."""
        print(f"\n   {_style('36', 'The payer')} agrees at {gateway} to {payment_id}")
        proof: dict[str, str] | None = self.payers[gateway].pay(payment_id)["proof"]
        return proof

    def wait(self, path: str, key: str, value: str, *, token: str) -> Any:
        """Ask until an answer's key has the value: webhooks and refunds come a moment later."""
        for _ in range(100):
            answer = self.http.get(self.service + path, headers={"Authorization": f"Bearer {token}"}).json()
            if answer.get(key) == value:
                return self.call("GET", path, token=token)
            time.sleep(0.1)
        raise DemoError(f"{path} did not come to say {key}: {value}; it says {_brief(answer)}")


def travel(journey: Journey) -> None:
    """The journey itself. Raises ``DemoError`` where it cannot go on."""
    email, password = f"ada.{int(time.time() * 1000)}@example.com", "over the hills 1843"
    journey.say("Ada registers")
    person = {"email": email, "password": password, "name": "Ada Byron", "phone": ""}
    registered = journey.call("POST", "/api/customers/register", person, expect=201)

    journey.say("The link in her mail proves the address")
    link = Mailbox.links(journey.mail(email, "confirm your email"))[0]
    query = {key: values[0] for key, values in parse_qs(urlsplit(link).query).items()}
    journey.call("POST", "/api/customers/verify-email", {"customerId": query["customerId"], "token": query["token"]})

    journey.say("She logs in and looks at her account")
    token = journey.call("POST", "/api/customers/login", {"email": email, "password": password})["token"]
    journey.call("GET", "/api/customers/me", token=token)

    journey.say("She books a package; the price comes from the database")
    order = {
        "package_id": 1,
        "customer_email": email,
        "customer_name": "Ada Byron",
        "customer_phone": "+44 20 7946 0000",
        "travel_date": time.strftime("%Y-%m-%d", time.gmtime(time.time() + 90 * 86400)),
        "number_of_guests": 2,
    }
    booked = journey.call("POST", "/api/bookings", order, token=token, expect=201)["booking"]

    journey.say("She pays by card, and Stripe's signed webhook tells the service")
    asked = {"bookingId": booked["id"]}
    payment = journey.call("POST", "/api/payments/create-payment-intent", asked, token=token)
    journey.pay(payment["clientSecret"])
    status = f"/api/payments/booking/{booked['id']}"
    journey.wait(status, "paymentStatus", "Paid", token=token)
    journey.mail(email, "booked, with your receipt")
    journey.call("GET", f"/api/customers/{registered['customerId']}/bookings", token=token)

    journey.say("Staff refund it")
    staff = journey.call("POST", "/api/auth/login", STAFF)["token"]
    refund = {"bookingId": booked["id"], "reason": "The ferry does not sail"}
    journey.call("POST", "/api/payments/refund", refund, token=staff)
    journey.wait(status, "paymentStatus", "Refunded", token=token)
    journey.call("GET", f"/api/payments/transactions/{payment['transactionId']}", token=staff)
    journey.mail(email, "refund")

    for way in journey.call("GET", "/api/payments/gateways")["gateways"][1:]:
        journey.say(f"Another booking is paid through {way['label']}")
        booked = journey.call("POST", "/api/bookings", order, token=token, expect=201)["booking"]
        asked = {"bookingId": booked["id"], "gateway": way["name"]}
        payment = journey.call("POST", "/api/payments/create-payment-intent", asked, token=token)
        proof = journey.agree(way["name"], payment["paymentIntentId"])
        taken = {"transactionId": payment["transactionId"], "proof": proof}
        journey.call("POST", "/api/payments/capture", taken, token=token)
        journey.wait(f"/api/payments/booking/{booked['id']}", "paymentStatus", "Paid", token=token)


def main() -> int:
    urls = {name: f"http://{HOST}:{os.environ.get(variable, default)}" for name, (variable, default) in PORTS.items()}
    key = dotenv_values(DIRECTORY / "env").get("STRIPE_PUBLISHABLE_KEY") or ""
    try:
        with closing(Journey(urls, key)) as journey:
            travel(journey)
    except httpx.ConnectError:
        print("Nothing answers: is `make run` running in another terminal?", file=sys.stderr)
        return 1
    except DemoError as error:
        print(f"\n{_style('31', 'It stopped:')} {error}", file=sys.stderr)
        return 1
    print(f"\n{_style('1;32', 'Booked, paid, confirmed and refunded, through every gateway.')}")
    return 0


def _show(value: Any) -> None:
    """A JSON answer as lines a person reads: what is null left out, long texts cut, secrets not shown."""
    for key, found in (value if isinstance(value, dict) else {"": value}).items():
        if found is not None:
            print(f"       {_style('2', key.ljust(20))} {_brief(found, key)}")


def _brief(value: Any, key: str = "") -> str:
    """A value on one line."""
    if isinstance(value, list):
        text = "; ".join(_brief(item) for item in value[:2]) + ("; …" if len(value) > 2 else "")
    elif isinstance(value, dict):
        text = ", ".join(f"{k} {_brief(v, k)}" for k, v in value.items() if v is not None)
    else:
        text = str(value)
    limit = 12 if key in SECRETS else 110
    return text if len(text) <= limit else text[:limit] + "…"


def _style(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if IS_TERMINAL else text


if __name__ == "__main__":
    sys.exit(main())
