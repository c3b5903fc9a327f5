"""Passwords, tokens and JWTs."""

import time

import bcrypt
import jwt
import pytest
from flask import Flask

from service import credentials
from service.errors import Unauthorized

SECRET = "a secret of the tests, long enough"
CUSTOMER = ("00000000-0000-4000-8000-000000000001", "a@example.com", "00000000-0000-4000-8000-000000000002")


@pytest.fixture(autouse=True)
def context(lone_app: Flask):
    with lone_app.app_context():
        yield


@pytest.mark.parametrize("password", ["ordinary8", "x" * 72, "é" * 36, "👩‍🚀 to the moon", " spaces kept "])
def test_a_password_is_kept_exactly(password: str):
    hashed = credentials.hash_password(password)
    assert hashed.startswith("$2b$04$")
    assert credentials.check_password(password, hashed)
    assert not credentials.check_password(password + "x", hashed)
    assert not credentials.check_password(password.strip() + "!", hashed)


@pytest.mark.parametrize("guess", ["x" * 73, "é" * 37, "x\0y", "\ud800", "x" * 1_000_000])
def test_an_impossible_guess_is_just_wrong(guess: str):
    assert not credentials.check_password(guess, credentials.hash_password("x" * 72))
    assert not credentials.check_password(guess, None)


def test_hashes_of_the_old_backend_log_in():
    made = bcrypt.hashpw(b"old password", bcrypt.gensalt(4)).decode()
    assert credentials.check_password("old password", "$2a$" + made[4:])
    assert credentials.is_outdated("$2a$03$" + made[7:])
    assert not credentials.is_outdated(made)


@pytest.mark.parametrize("stored", [None, "", "plain", "$2b$04$short"])
def test_without_a_hash_nothing_is_right(stored: str | None):
    assert not credentials.check_password("", stored)
    assert not credentials.check_password("impossible", stored)


def test_a_token_is_long_random_and_stored_as_its_hash():
    token, stored = credentials.new_token()
    assert len(token) == 43 and len(stored) == 64
    assert stored == credentials.hash_token(token)
    assert credentials.new_token()[0] != token


def test_a_customers_token_reads_back():
    claims = credentials.read_token("customer", credentials.issue_customer_token(*CUSTOMER))
    assert claims.pop("exp") - claims.pop("iat") == 7 * 86400
    assert claims == {
        "customerId": CUSTOMER[0],
        "email": CUSTOMER[1],
        "role": "customer",
        "sid": CUSTOMER[2],
        "iss": "jklg-travel",
        "aud": "jklg-customer",
    }


def forge(secret: str = SECRET, algorithm: str = "HS256", drop: str = "", headers=None, **changes) -> str:
    now = int(time.time())
    claims: dict[str, object] = {
        "customerId": CUSTOMER[0],
        "email": CUSTOMER[1],
        "role": "customer",
        "sid": CUSTOMER[2],
    }
    claims |= {"iat": now, "exp": now + 600, "iss": "jklg-travel", "aud": "jklg-customer", **changes}
    claims.pop(drop, None)
    return jwt.encode(claims, secret, algorithm, headers)


NOW = int(time.time())
FORGED = {
    "none": lambda: forge("", "none"),
    "wrong key": lambda: forge("another secret that is long enough"),
    "other algorithm": lambda: forge("a secret of the tests, long enough" * 2, "HS512"),
    "no exp": lambda: forge(drop="exp"),
    "no sid": lambda: forge(drop="sid"),
    "no aud": lambda: forge(drop="aud"),
    "wrong aud": lambda: forge(aud="jklg-staff"),
    "wrong iss": lambda: forge(iss="somebody"),
    "expired": lambda: forge(exp=NOW - 60),
    "issued in the future": lambda: forge(iat=NOW + 600),
    "critical header": lambda: forge(headers={"crit": ["x"], "x": 1}),
    "edited": lambda: ".".join([*forge().split(".")[:1], forge(email="b@example.com").split(".")[1], "x" * 43]),
    "no token": lambda: "not.a.token",
    "not ascii": lambda: "é.é.é",
}


@pytest.mark.parametrize("make", FORGED.values(), ids=FORGED.keys())
def test_a_forged_token_is_refused(make):
    with pytest.raises(Unauthorized):
        credentials.read_token("customer", make())


def test_customer_and_staff_tokens_are_never_taken_for_each_other():
    staff = credentials.issue_staff_token(1, "s@example.com", "Admin", CUSTOMER[2])
    assert credentials.read_token("staff", staff)["id"] == 1
    with pytest.raises(Unauthorized):
        credentials.read_token("customer", staff)
    with pytest.raises(Unauthorized):
        credentials.read_token("staff", credentials.issue_customer_token(*CUSTOMER))
