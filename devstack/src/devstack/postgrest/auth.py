"""Who is asking: the bearer token (HS256) and the role it names, by the rules of PostgREST 14."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from devstack.postgrest.errors import ApiError
from devstack.postgrest.settings import Settings

SKEW = 30  # seconds that the clocks of issuer and server may differ
_verified: dict[tuple[bytes, str], dict[str, Any]] = {}


def identify(authorization: str | None, settings: Settings) -> tuple[str, dict[str, Any]]:
    """Return (role, claims) of a request; the claims always name the role.

    Raises PGRST300 without a secret, 301 for a token that cannot be verified, 302 when anonymous access is off and
    303 when the claims forbid its use now.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        claims: dict[str, Any] = {}
    elif settings.jwt_secret is None:
        raise ApiError(500, "PGRST300", "Server lacks JWT secret")
    else:
        claims = _verify(token.strip(), settings.jwt_secret)
        _check_claims(claims, settings.jwt_aud)
    role = _role(claims, settings.jwt_role_claim_key)
    if role is None:
        role = settings.db_anon_role
    if role is None:
        raise ApiError(401, "PGRST302", "Anonymous access is disabled", headers=(("WWW-Authenticate", "Bearer"),))
    return role, {**claims, "role": role}


def _refuse(code: str, message: str, details: str | None = None) -> ApiError:
    challenge = f'Bearer error="invalid_token", error_description="{message}"'
    return ApiError(401, code, message, details, headers=(("WWW-Authenticate", challenge),))


def _verify(token: str, secret: bytes) -> dict[str, Any]:
    claims = _verified.get((secret, token))
    if claims is None:
        claims = _decode(token, secret)
        if len(_verified) >= 1000:
            _verified.clear()
        _verified[secret, token] = claims
    return claims


def _decode(token: str, secret: bytes) -> dict[str, Any]:
    if not token:
        raise _refuse("PGRST301", "Empty JWT is sent in Authorization header")
    parts = token.split(".")
    if len(parts) != 3:
        raise _refuse("PGRST301", f"Expected 3 parts in JWT; got {len(parts)}")
    try:
        header, payload, signature = json.loads(_unbase64(parts[0])), _unbase64(parts[1]), _unbase64(parts[2])
        algorithm = header["alg"]
    except (ValueError, KeyError, TypeError):
        raise _refuse("PGRST301", "JWT cryptographic operation failed") from None
    if algorithm == "none":
        raise _refuse("PGRST301", "Wrong or unsupported encoding algorithm", "JWT is unsecured")
    signed = hmac.new(secret, f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256).digest()
    foreign = algorithm != "HS256" or "crit" in header or header.get("kid") is not None
    if foreign or not hmac.compare_digest(signed, signature):
        raise _refuse("PGRST301", "No suitable key or wrong key type", "None of the keys was able to decode the JWT")
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise _refuse("PGRST303", "Parsing claims failed")
    return claims


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _check_claims(claims: dict[str, Any], audience: str | None) -> None:
    now = int(time.time())
    for name, past in (("exp", True), ("nbf", False), ("iat", False)):
        value = claims.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _refuse("PGRST303", f"The JWT '{name}' claim must be a number")
        second = int(value) if value == value and abs(value) < 2**63 and int(value) == value else 0
        if past and now - SKEW > second:
            raise _refuse("PGRST303", "JWT expired")
        if not past and now + SKEW < second:
            raise _refuse("PGRST303", "JWT not yet valid" if name == "nbf" else "JWT issued at future")
    given = claims.get("aud")
    if not (given is None or isinstance(given, str) or _is_text_list(given)):
        raise _refuse("PGRST303", "The JWT 'aud' claim must be a string or an array of strings")
    if audience and given and audience not in ([given] if isinstance(given, str) else given):
        raise _refuse("PGRST303", "JWT not in audience")


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _role(claims: dict[str, Any], path: str) -> str | None:
    value: Any = claims
    for key in path.strip(".").split("."):
        value = value.get(key.strip('"')) if isinstance(value, dict) else None
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))
