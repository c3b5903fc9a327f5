"""Every failure has the contract's shape, whoever notices it."""

import io

import pytest
from flask import Flask

from service import credentials
from tests.client import Client

LOGIN = "/api/customers/login"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_an_unknown_address_answers_404(lone: Client, method: str):
    body = lone.call(method, "/api/nowhere/at-all", expect=404)
    assert body == {"error": "API endpoint not found", "code": "not_found"}


def test_an_address_may_end_with_a_slash(lone: Client):
    assert lone.get("/api/health/")["status"] == "ok"


def test_a_wrong_method_answers_405_and_names_the_right_ones(lone: Client):
    body = lone.post("/api/health", expect=405)
    assert body == {"error": "This address does not take that method.", "code": "method_not_allowed"}
    assert set(lone.last.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b"\xff\xfe", b'{"a": NaN}', b'{"a": Infinity}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"],
    ids=["cut", "words", "no utf-8", "NaN", "infinity", "nested", "5000 digits"],
)
def test_a_broken_body_answers_400(lone: Client, body: bytes):
    answer = lone.post(LOGIN, data=body, content_type="application/json", expect=400)
    assert answer == {"error": "The body is not valid JSON.", "code": "invalid_json"}


def test_a_number_beyond_all_numbers_answers_400(lone: Client):
    lone.post(LOGIN, data=b'{"email": 1e400}', content_type="application/json", expect=400)


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"null", b"7"])
def test_a_body_that_is_no_object_answers_400(lone: Client, body: bytes):
    answer = lone.post(LOGIN, data=body, content_type="application/json", expect=400)
    assert isinstance(answer["error"], str)


def test_another_content_type_answers_415(lone: Client):
    body = lone.post(LOGIN, data=b"email=a", content_type="application/x-www-form-urlencoded", expect=415)
    assert body["code"] == "unsupported_media_type"


def test_too_large_a_body_answers_413(lone: Client):
    body = lone.post(LOGIN, data=b" " * 1_000_001, content_type="application/json", expect=413)
    assert body == {"error": "The request is too large.", "code": "too_large"}


def test_too_large_a_body_in_chunks_answers_413(lone: Client):
    chunked = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    body = io.BytesIO(b" " * 1_000_001)
    answer = lone.http.post(LOGIN, input_stream=body, content_type="application/json", environ_overrides=chunked)
    assert (answer.status_code, answer.get_json()["code"]) == (413, "too_large")


def test_bad_input_names_each_field(lone: Client):
    body = lone.post(LOGIN, {"email": "nobody"}, expect=400)
    assert body["code"] == "validation_failed"
    assert body["details"] == {"email": "Is not a valid e-mail address.", "password": "Is required."}
    assert body["error"] == "email: Is not a valid e-mail address."


def test_a_database_out_of_reach_answers_503(lone: Client, lone_app: Flask):
    with lone_app.app_context():
        token = credentials.issue_customer_token(
            "00000000-0000-4000-8000-000000000001", "a@example.com", "00000000-0000-4000-8000-000000000002"
        )
    body = lone.signed_in(token).get("/api/customers/me", expect=503)
    assert body["code"] == "database_unavailable"


def test_every_answer_carries_the_request_id(lone: Client):
    for given in ("trace-1234", "7"):
        lone.get("/api/health", headers={"X-Request-Id": given})
        assert lone.last.headers["X-Request-Id"] == given
    lone.get("/api/nowhere", expect=404, headers={"X-Request-Id": "line\tbreak"})
    assert len(lone.last.headers["X-Request-Id"]) == 32


def test_our_site_may_call_with_cookies_and_no_other(lone: Client):
    asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "Idempotency-Key"}
    lone.call("OPTIONS", "/api/customers/me", headers={"Origin": "http://site.example", **asked})
    answer = lone.last.headers
    assert answer["Access-Control-Allow-Origin"] == "http://site.example"
    assert answer["Access-Control-Allow-Credentials"] == "true"
    assert answer["Access-Control-Max-Age"] == "3600"
    assert "PATCH" in answer["Access-Control-Allow-Methods"]
    lone.call("OPTIONS", "/api/customers/me", headers={"Origin": "http://evil.example", **asked})
    assert "Access-Control-Allow-Origin" not in lone.last.headers


def test_the_documentation_needs_no_network(lone: Client):
    page = lone.get("/api/docs").decode()
    assert "http://" not in page and "https://" not in page
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js"):
        assert f"/api/docs/assets/{asset}" in page
        lone.get(f"/api/docs/assets/{asset}")
        lone.last.close()
