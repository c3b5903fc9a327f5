"""What may stand where somebody says what they are called: any name, and no address of the web."""

import psycopg
import pytest

from tests.client import Client
from tests.factories import PASSWORD, Customer, make_booking, unique_email
from tests.sure import fetch_row

SENTENCE = "May not be empty, have more than 100 characters or hold a web address."
NAMES = [
    "A. B. Müller",
    "J.R. Smith",
    "J.R.R. Tolkien",
    "Dr.Who",
    "Dr.Li",
    "Md.Ali",
    "St.John",
    "K.Srinivasan",
    "A.de Vries",
    "Smith.Jr",
    "Ravi Kumar s/o Mohan Kumar",
    "A.Kumar/B.Kumar",
    "Sammy Davis Jr.",
    "Martin Luther King, Jr. (3 guests)",
    "Ph.D. Ada Byron",
    "O'Brien-Łukasz",
    "名前 さん",
    "वि.स. खांडेकर",
    "Acme Travel Co. Ltd.",
]
ADDRESSES = [
    "Visit http://evil.example/11",
    "HTTPS://EVIL.EXAMPLE",
    "https:evil.example",
    "evil.example/11",
    "evil.example:8080/",
    "www.x.y",
    "Ada (www.evil.example)",
    "evil.com",
    "Evil.Com",
    "win at evil-casino.net now",
    "evil.ru",
    "evil.co.uk",
    "bit.ly/3xYz",
    "t.co/abc",
    "ada@evil.com",
    "evil。com",
    "10.0.0.1",
    "ftp://x",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name(db: psycopg.Connection, name: str) -> None:
    assert fetch_row(db, "select app.holds_web_address(%s)", [name]) == (False,)


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_web_address_is_none(db: psycopg.Connection, name: str) -> None:
    assert fetch_row(db, "select app.holds_web_address(%s)", [name]) == (True,)


def test_it_is_refused_with_a_sentence_wherever_strangers_write_one(
    api: Client, db: psycopg.Connection, customer: Customer
) -> None:
    name, email = "Visit http://evil.example/11", unique_email()
    given = {"email": email, "password": PASSWORD, "name": name}
    assert api.post("/api/customers/register", given, expect=400)["details"] == {"name": SENTENCE}
    assert db.execute("select from customers where email = %s", [email]).fetchall() == []
    answer = customer.api.put(f"/api/customers/{customer.id}", {"name": name}, expect=400)
    assert answer["details"] == {"name": SENTENCE}
    (package_id,) = fetch_row(db, "insert into packages (title, price) values ('Fjords', 10) returning id")
    booked = {"package_id": package_id, "customer_email": email, "customer_phone": "1", "travel_date": "2027-06-01"}
    answer = api.post("/api/bookings", {**booked, "customer_name": name, "number_of_guests": 1}, expect=400)
    bookings = "Must be one line of at most 200 characters, without a web address."
    assert answer["details"] == {"name": bookings}
    nameless = make_booking(db, name="", email="")
    paying = {"bookingId": nameless, "email": email, "name": name}
    answer = api.post("/api/payments/create-payment-intent", paying, expect=400)
    assert answer["details"] == {"name": "May not hold a web address."}
