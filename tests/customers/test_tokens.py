"""Each route as everybody who is not its customer."""

import time

import jwt
import pytest

from tests.factories import make_customer

OWN = [
    ("GET", "/api/customers/me"),
    ("GET", "/api/customers/me/export"),
    ("POST", "/api/customers/logout"),
    ("POST", "/api/customers/change-password"),
]
OWN_BY_ID = [
    ("PUT", "/api/customers/{id}"),
    ("DELETE", "/api/customers/{id}"),
    ("GET", "/api/customers/{id}/bookings"),
    ("GET", "/api/customers/{id}/bookings/17"),
    ("POST", "/api/customers/{id}/bookings/claim"),
    ("GET", "/api/customers/{id}/addresses"),
    ("POST", "/api/customers/{id}/addresses"),
    ("PUT", "/api/customers/{id}/addresses/17"),
    ("DELETE", "/api/customers/{id}/addresses/17"),
    ("GET", "/api/customers/{id}/preferences"),
    ("PUT", "/api/customers/{id}/preferences"),
    ("GET", "/api/customers/{id}/sessions"),
    ("DELETE", "/api/customers/{id}/sessions/17"),
]
PUBLIC = {
    "register", "login", "verify-email", "disown", "resend-verification", "forgot-password", "reset-password"
}  # fmt: skip


def test_the_lists_above_are_complete(app):
    known = {(method, path.replace("{id}", "<customer_id>").replace("17", "*")) for method, path in OWN + OWN_BY_ID}
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith("/api/customers/") or rule.rule.rpartition("/")[2] in PUBLIC:
            continue
        path = rule.rule
        for name in ("booking_id", "address_id", "session_id"):
            path = path.replace(f"<{name}>", "*")
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            assert (method, path) in known or (method, path) == ("GET", "/api/customers/<customer_id>")


@pytest.mark.parametrize(("method", "path"), OWN + OWN_BY_ID)
def test_anonymous_staff_and_strangers_are_refused(api, db, customer, staff, method, path):
    address = path.format(id=customer.id)
    for header in (None, "Bearer", "Bearer null", "Bearer undefined", "Bearer "):
        answer = api.call(method, address, expect=401, headers={"Authorization": header} if header else {})
        assert answer == {"error": "Please sign in.", "code": "token_missing"}
    assert staff().api.call(method, address, expect=401)["code"] == "session_invalid"
    if "{id}" in path:
        answer = make_customer(api, db).api.call(method, address, expect=403)
        assert answer == {"error": "You can only access your own account.", "code": "forbidden"}
        customer.api.call(method, path.format(id="no-id"), expect=404)


def forgeries(app, customer) -> dict[str, str]:
    settings = app.extensions["config"]
    secret = settings.jwt_secret
    claims = jwt.decode(customer.token, options={"verify_signature": False})
    header, payload, signature = customer.token.split(".")
    edited = jwt.encode({**claims, "email": "admin@jklg.example"}, "x" * 40).split(".")[1]
    now = int(time.time())

    def signed(key: str = secret, algorithm: str = "HS256", drop: str = "", **changes: object) -> str:
        made = {name: value for name, value in {**claims, **changes}.items() if name != drop}
        return jwt.encode(made, key, algorithm)

    return {
        "no algorithm": jwt.encode(claims, "", "none"),
        "wrong key": signed("another secret of at least thirty-two bytes"),
        "the database's key": signed(settings.supabase_jwt_secret),
        "other algorithm": signed(algorithm="HS512"),
        "wrong audience": signed(aud="jklg-staff"),
        "no audience": signed(drop="aud"),
        "wrong issuer": signed(iss="somebody"),
        "no expiry": signed(drop="exp"),
        "expired": signed(exp=now - 60),
        "issued in the future": signed(iat=now + 3600),
        "no session": signed(drop="sid"),
        "a session that is no id": signed(sid="' or true --"),
        "a session of nobody": signed(sid="00000000-0000-4000-8000-000000000000"),
        "staff's role": signed(role="staff"),
        "a number for an id": signed(customerId=1),
        "edited": f"{header}.{edited}.{signature}",
        "cut off": f"{header}.{payload}.",
        "text": "open sesame",
        "bytes": "\xff\xfe",
        "dots": "..",
    }


def test_forged_tokens_are_refused(app, api, customer):
    customer.api.get("/api/customers/me")
    for name, token in forgeries(app, customer).items():
        answer = api.signed_in(token).get("/api/customers/me", expect=401)
        assert answer["code"] in ("session_invalid", "session_ended"), name


def test_an_ended_account_is_refused_at_once(customer, db):
    for status in ("suspended", "inactive"):
        db.execute("update customers set status = %s where id = %s", [status, customer.id])
        assert customer.api.get("/api/customers/me", expect=401)["code"] == "session_ended"
    db.execute("update customers set status = 'active' where id = %s", [customer.id])
    customer.api.get("/api/customers/me")
    db.execute("delete from customer_sessions where customer_id = %s", [customer.id])
    for method, path in OWN + OWN_BY_ID:
        customer.api.call(method, path.format(id=customer.id), expect=401)


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
