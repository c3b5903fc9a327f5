"""Tokens and cookies that somebody made up, changed, kept or carried to where they do not belong."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import psycopg
import pytest
from flask import Flask

from tests.client import Client
from tests.factories import Customer, Staff, make_customer

ROUTES = {"customer": "/api/customers/me", "staff": "/api/bookings"}
NOBODY = "00000000-0000-4000-8000-000000000000"
OWN_PAGE = {"Origin": "http://localhost"}


@pytest.fixture
def tokens(customer: Customer, staff: Callable[..., Staff]) -> dict[str, str]:
    return {"customer": customer.token, "staff": staff().token}


def encoded(thing: Any) -> str:
    text = thing if isinstance(thing, str | bytes) else json.dumps(thing)
    return base64.urlsafe_b64encode(text if isinstance(text, bytes) else text.encode()).rstrip(b"=").decode()


def forgeries(app: Flask, kind: str, token: str, other: str) -> dict[str, str]:
    """What is made of a good token, without the secret and with it: the latter as by a bug elsewhere in the house."""
    settings = app.extensions["config"]
    secret = settings.jwt_secret
    claims = jwt.decode(token, options={"verify_signature": False})
    header, payload, signature = token.split(".")
    now = int(time.time())
    who = "customerId" if kind == "customer" else "id"

    def signed(
        key: str = secret,
        algorithm: str = "HS256",
        drop: str = "",
        headers: dict[str, Any] | None = None,
        **changes: object,
    ) -> str:
        made = {name: value for name, value in {**claims, **changes}.items() if name != drop}
        return jwt.encode(made, key, algorithm, headers)

    def raw(payload: str, header: dict[str, Any] | None = None, key: str = secret) -> str:
        """Signed, whatever the text of the claims."""
        message = f"{encoded(header or {'alg': 'HS256', 'typ': 'JWT'})}.{encoded(payload)}"
        return f"{message}.{encoded(hmac.digest(key.encode(), message.encode(), 'sha256'))}"

    def of(value: object) -> Any:
        return {who: value}

    unsigned = {
        f"algorithm {word}": f"{encoded({'alg': word, 'typ': 'JWT'})}.{payload}."
        for word in ("none", "None", "NONE", "")
    }
    # The header says where the key is, or which: it is not asked.
    attackers = "a key of the attacker's own, of thirty-two bytes"
    pointed = {
        name: signed(attackers, headers={name: value})
        for name, value in {
            "kid": "../../../../dev/null",
            "jku": "https://evil.example/keys.json",
            "x5u": "https://evil.example/key.pem",
            "jwk": {"kty": "oct", "k": encoded(attackers)},
        }.items()
    }
    return {
        **unsigned,
        **pointed,
        "an empty key": raw(json.dumps(claims), key=""),
        "wrong key": signed("another secret of at least thirty-two bytes"),
        "the database's key": signed(settings.supabase_jwt_secret),
        "the example's key": signed("change-me-to-a-random-string-of-at-least-32-bytes"),
        "other algorithm": signed(algorithm="HS512"),
        "algorithm of key pairs": f"{encoded({'alg': 'RS256', 'typ': 'JWT'})}.{payload}.{signature}",
        "another algorithm's name over our signature": raw(json.dumps(claims), {"alg": "HS384"}),
        "a header that must be understood": signed(headers={"crit": ["exp"], "exp": now}),
        "a payload that is not encoded": raw(json.dumps(claims), {"alg": "HS256", "b64": False, "crit": ["b64"]}),
        "wrong audience": signed(aud="jklg-staff" if kind == "customer" else "jklg-customer"),
        "no audience": signed(drop="aud"),
        "audience null": signed(aud=None),
        "wrong issuer": signed(iss="somebody"),
        "no expiry": signed(drop="exp"),
        "expired": signed(exp=now - 60),
        "expired, as text": signed(exp="never"),
        "expiry beyond all numbers": raw(json.dumps(claims).replace(str(claims["exp"]), "1e999")),
        "issued in the future": signed(iat=now + 3600),
        "not valid yet": signed(nbf=now + 3600),
        "no session": signed(drop="sid"),
        "a session that is no id": signed(sid="' or true --"),
        "a session that is a list": signed(sid=[claims["sid"]]),
        "a session of nobody": signed(sid=NOBODY),
        "another's session": signed(sid=jwt.decode(other, options={"verify_signature": False})["sid"]),
        "another's id": signed(**of(jwt.decode(other, options={"verify_signature": False})[who])),
        "nobody's id": signed(**of(None)),
        "an id of another kind": signed(**of(1.5 if kind == "staff" else 1)),
        "a true id": signed(**of(True)),
        "an id beyond all numbers": signed(**of(10**30)),
        "an id as text": signed(**of(str(claims[who]) if kind == "staff" else f"{{{claims[who]}}}x")),
        "claims that are a list": raw("[]"),
        "claims that are no JSON": raw("{"),
        "claims that are nothing": raw(""),
        "claims of deep nesting": raw("[" * 50_000),
        "edited": f"{header}.{encoded({**claims, 'email': 'admin@jklg.example'})}.{signature}",
        "cut off": f"{header}.{payload}.",
        "cut short": token[:-4],
        "twice": f"{token}.{token}",
        "five parts": ".".join([header, "", payload, signature, ""]),
        "text": "open sesame",
        "bytes": "\xff\xfe",
        "dots": "..",
        "long": "x" * 8000,
    }


@pytest.mark.parametrize("kind", ROUTES)
@pytest.mark.filterwarnings("ignore:The HMAC key:jwt.InsecureKeyLengthWarning")
def test_forged_tokens_are_refused_in_the_header_and_in_the_cookie(kind, app, api, db, customer, staff, tokens):
    other = make_customer(api, db).token if kind == "customer" else staff().token
    api.signed_in(tokens[kind]).get(ROUTES[kind])
    for name, token in forgeries(app, kind, tokens[kind], other).items():
        for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"jklg_{kind}={token}"}):
            if "Cookie" in headers and not token.isascii():
                continue
            answer = api.http.get(ROUTES[kind], headers=headers, environ_base={"REMOTE_ADDR": api.address})
            assert answer.status_code == 401, f"{name}: {answer.status} {answer.text[:200]}"
            assert answer.json["code"] in ("session_invalid", "session_ended") or name == "text", name  # no cookie


def test_the_role_in_a_token_of_staff_gives_no_rights(app: Flask, api: Client, staff: Callable[..., Staff]):
    """Rights are the account's as it stands; the claim is there for the site's page alone."""
    guide = staff("Guide")
    claims = {**jwt.decode(guide.token, options={"verify_signature": False}), "role": "Admin"}
    token = jwt.encode(claims, app.extensions["config"].jwt_secret, "HS256")
    assert api.signed_in(token).get("/api/users", expect=403)["code"] == "insufficient_permissions"


def test_a_customers_token_with_another_role_is_none(app: Flask, api: Client, customer: Customer):
    claims = jwt.decode(customer.token, options={"verify_signature": False})
    for role in ("staff", "Admin", "service_role", None):
        token = jwt.encode({**claims, "role": role}, app.extensions["config"].jwt_secret, "HS256")
        assert api.signed_in(token).get("/api/customers/me", expect=401)["code"] == "session_invalid"


def test_a_token_counts_only_where_tokens_stand(api: Client, customer: Customer):
    """Not in the address, where logs keep it, nor in a body or another header."""
    token = customer.token
    for name in ("token", "access_token", "authorization", "jklg_customer"):
        assert api.get(f"/api/customers/me?{name}={token}", expect=401)["code"] == "token_missing"
        assert api.post("/api/customers/logout", {name: token}, expect=401)["code"] == "token_missing"
    for header in ("X-Authorization", "X-Access-Token", "Proxy-Authorization", "X-Forwarded-Authorization", "apikey"):
        assert api.get("/api/customers/me", headers={header: f"Bearer {token}"}, expect=401)["code"] == "token_missing"


@pytest.mark.parametrize(
    "form", ["Bearer {0} {0}", "Bearer {0},{0}", "Bearer x, Bearer {0}", 'Bearer "{0}"', "Bearer={0}"]
)
def test_a_header_with_more_than_a_token_is_none(form: str, api: Client, customer: Customer):
    header = {"Authorization": form.format(customer.token)}
    assert api.get("/api/customers/me", headers=header, expect=401)["code"] == "session_invalid"


def test_a_bad_header_is_not_made_good_by_a_cookie(api: Client, customer: Customer):
    headers = {"Authorization": "Bearer x.y.z", "Cookie": f"jklg_customer={customer.token}"}
    assert api.get("/api/customers/me", headers=headers, expect=401)["code"] == "session_invalid"


@pytest.mark.parametrize("value", ["", '""', "null", "x" * 4000, "a.b.c", "%00", "{0}x", "x{0}", "{0}.", '"{0}'])
def test_a_cookie_that_holds_something_else_is_nobodys(value: str, api: Client, customer: Customer):
    cookie = {"Cookie": f"jklg_customer={value.format(customer.token)}"}
    assert api.get("/api/customers/me", headers=cookie, expect=401)["code"] in ("token_missing", "session_invalid")


def test_of_two_cookies_of_the_name_one_person_comes_out(api: Client, db: psycopg.Connection, customer: Customer):
    """A neighbour's page on the same domain can add a cookie; it cannot mix two people."""
    other = make_customer(api, db)
    cookie = {"Cookie": f"jklg_customer={customer.token}; jklg_customer={other.token}"}
    assert api.get("/api/customers/me", headers=cookie)["customer"]["id"] in (customer.id, other.id)
    assert api.get(f"/api/customers/{customer.id}/addresses", headers=cookie)["addresses"] == []


@pytest.mark.parametrize("kind", ROUTES)
def test_signing_in_never_takes_up_a_session_that_was_brought_along(kind, api: Client, customer, staff, tokens, db):
    """Session fixation: whatever cookie the browser was given, the session is a new one."""
    person: Any = customer if kind == "customer" else staff("Guide")
    path = "/api/customers/login" if kind == "customer" else "/api/auth/login"
    brought = {"Cookie": f"jklg_{kind}={tokens[kind]}"}
    given = {"email": person.email, "password": person.password}
    made = [api.post(path, given, headers=brought)["token"] for _ in range(2)]
    everybodys = {*made, tokens[kind], person.token}
    assert len(everybodys) == (3 if kind == "customer" else 4)  # the customer's own token is the one brought along
    sessions = {jwt.decode(token, options={"verify_signature": False})["sid"] for token in everybodys}
    assert len(sessions) == len(everybodys)


@pytest.mark.parametrize("kind", ROUTES)
def test_a_session_cookie_is_for_our_own_pages_over_tls_and_out_of_scripts_reach(kind, app_with, db, staff):
    production = Client(app_with(APP_ENV="production", BCRYPT_ROUNDS="10"))
    person = make_customer(production, db) if kind == "customer" else staff("Guide")
    path = "/api/customers" if kind == "customer" else "/api/auth"
    token = production.post(f"{path}/login", {"email": person.email, "password": person.password})["token"]
    (cookie,) = production.last.headers.getlist("Set-Cookie")
    parts = {part.strip().partition("=")[0] for part in cookie.split(";")}
    assert parts == {f"jklg_{kind}", "Expires", "Max-Age", "Secure", "HttpOnly", "Path", "SameSite"}  # and no Domain
    assert "SameSite=Lax" in cookie and "Path=/;" in cookie and cookie.startswith(f"jklg_{kind}={token};")
    signed_in = production.signed_in(token)
    signed_in.post(f"{path}/logout")
    (cleared,) = signed_in.last.headers.getlist("Set-Cookie")
    assert cleared.startswith(f"jklg_{kind}=;") and "Max-Age=0" in cleared
    assert "Secure" in cleared and "HttpOnly" in cleared


def test_after_a_change_of_the_secret_old_tokens_live_on_only_while_it_is_named(app_with, customer):
    old, new = "the secret before, of thirty-two bytes at least", "the secret after, of thirty-two bytes at least"
    claims = jwt.decode(customer.token, options={"verify_signature": False})
    token = jwt.encode(claims, old, "HS256")
    assert Client(app_with(JWT_SECRET=old), token).get("/api/customers/me")["customer"]["id"] == customer.id
    Client(app_with(JWT_SECRET=new, JWT_PREVIOUS_SECRET=old), token).get("/api/customers/me")
    Client(app_with(JWT_SECRET=new), token).get("/api/customers/me", expect=401)
    for changes in ({"aud": "jklg-staff"}, {"exp": int(time.time()) - 60}, {"sid": NOBODY}):
        forged = jwt.encode({**claims, **changes}, old, "HS256")
        Client(app_with(JWT_SECRET=new, JWT_PREVIOUS_SECRET=old), forged).get("/api/customers/me", expect=401)


def test_an_ended_account_is_refused_at_once(customer, db):
    for status in ("suspended", "inactive"):
        db.execute("update customers set status = %s where id = %s", [status, customer.id])
        assert customer.api.get("/api/customers/me", expect=401)["code"] == "session_ended"
    db.execute("update customers set status = 'active' where id = %s", [customer.id])
    customer.api.get("/api/customers/me")


def test_the_cookie_counts_without_a_header_and_only_from_our_own_pages(app, customer):
    http = app.test_client()
    http.set_cookie("jklg_customer", customer.token)
    assert http.get("/api/customers/me").status_code == 200
    path = f"/api/customers/{customer.id}"
    own = app.extensions["config"].cors_origins[0]
    refused = ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"})
    for headers in refused:
        answer = http.put(path, json={"name": "Eve"}, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (403, "csrf")
    for headers in ({"Origin": own}, {"Sec-Fetch-Site": "same-origin"}, {"Authorization": f"Bearer {customer.token}"}):
        assert http.put(path, json={"name": "Ada"}, headers=headers).status_code == 200


def test_the_alias_without_api_is_the_same(api, customer):
    assert customer.api.get("/customers/me") == customer.api.get("/api/customers/me")
    api.get("/customers/me", expect=401)


@pytest.mark.parametrize("kind", ROUTES)
def test_signing_in_again_ends_the_session_of_the_cookie_and_of_nobody_else(kind, api: Client, customer, staff, tokens):
    person: Any = customer if kind == "customer" else staff("Guide")
    path = "/api/customers/login" if kind == "customer" else "/api/auth/login"
    given = {"email": person.email, "password": person.password}
    elsewhere = api.post(path, given)["token"]
    for wrong in ({"Cookie": f"jklg_{kind}={person.token}x"}, {"Authorization": f"Bearer {person.token}"}):
        api.post(path, given, headers=wrong)
    cookie = {"Cookie": f"jklg_{kind}={person.token}"}
    api.post(path, {**given, "password": "wrong"}, headers=cookie, expect=401)
    api.signed_in(person.token).get(ROUTES[kind])
    latest = api.post(path, given, headers=cookie)["token"]
    assert api.signed_in(person.token).get(ROUTES[kind], expect=401)["code"] == "session_ended"
    if kind == "staff":  # somebody else's session that the browser had is not theirs to end
        api.post(path, given, headers={"Cookie": f"jklg_staff={tokens['staff']}"})
    for token in (elsewhere, latest, tokens[kind] if kind == "staff" else latest):
        api.signed_in(token).get(ROUTES[kind])
