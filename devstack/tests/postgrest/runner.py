"""Asks a PostgREST one recorded request, and says what of its answer has to match.

What is compared: the status; the JSON (or text) of a success; of an error its code, and its message too where the
code is an SQLSTATE (the wording of PGRST errors is free); Content-Range, Preference-Applied, and whether
WWW-Authenticate is there.
"""

import json
import time
from typing import Any
from urllib.parse import unquote, urlencode

import httpx
import jwt

HEADERS = ("content-range", "preference-applied", "www-authenticate")
Case = dict[str, Any]


def token(role: str | list[str], secret: str) -> str:
    """A token for a role, for [role, subject], or one of the broken ones that the cases name."""
    now = int(time.time())
    live = {"iat": now, "exp": now + 3600}
    special = {
        "EXPIRED": {"role": "authenticated", "exp": now - 3600},
        "NBF": {**live, "role": "authenticated", "nbf": now + 3600},
        "UNKNOWN_ROLE": {**live, "role": "nobody_at_all"},
        "NO_ROLE": {**live, "sub": "x"},
    }
    if role == "GARBAGE":
        return "not.a.token"
    if role == "WRONG_SECRET":
        return jwt.encode({**live, "role": "authenticated"}, "x" * 40, "HS256")
    if isinstance(role, list):
        claims = {**live, "role": role[0], "sub": role[1]}
    else:
        claims = special.get(role, {**live, "role": role})
    return jwt.encode(claims, secret, "HS256")


def ask(client: httpx.Client, url: str, secret: str, case: Case) -> Case:
    """Send the request of a case; the answer comes in the form that the cases keep theirs in."""
    headers = dict(case["headers"])
    if case["role"] != "anon":
        headers["Authorization"] = "Bearer " + token(case["role"], secret)
    body, content = case["body"], None
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
        content = body[4:] if isinstance(body, str) and body.startswith("RAW:") else json.dumps(body)
    path, _, query = case["path"].partition("?")
    pairs = [part.split("=", 1) for part in query.split("&")] if query else []
    target = url.rstrip("/") + path
    if pairs:
        target += "?" + urlencode([(unquote(key), unquote(value)) for key, value in pairs])
    answer = client.request(case["method"], target, headers=headers, content=content)
    seen: Case = {"status": answer.status_code}
    seen["headers"] = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
    try:
        seen["json"] = answer.json() if answer.content else None
    except ValueError:
        seen["text"] = answer.text
    return seen


def essence(answer: Case) -> Case:
    """The part of an answer that has to match."""
    body = answer.get("json", answer.get("text"))
    if answer["status"] >= 300 and isinstance(body, dict) and "code" in body:
        code = str(body["code"])
        body = {"code": code} if code.startswith("PGRST") else {"code": code, "message": body.get("message")}
    headers = dict(answer["headers"])
    if "www-authenticate" in headers:
        headers["www-authenticate"] = "present"
    if "preference-applied" in headers:
        headers["preference-applied"] = sorted(part.strip() for part in headers["preference-applied"].split(","))
    return {"status": answer["status"], "headers": headers, "body": body}
