"""Passwords, opaque tokens and JWTs: everything that proves who somebody is."""

import hashlib
import secrets
import time
from typing import Any

import bcrypt
import jwt

from service.config import settings
from service.errors import Unauthorized

ISSUER = "jklg-travel"
AUDIENCES = {"customer": "jklg-customer", "staff": "jklg-staff"}
CLOCK_SKEW = 10  # seconds
# bcrypt reads 72 bytes (Provos & Mazières 1999); the library refuses more, in checks as well.
MAX_PASSWORD_BYTES = 72

_dummies: dict[int, bytes] = {}


def hash_password(password: str) -> str:
    """A bcrypt hash ($2b$) at the configured cost. The password has at most 72 bytes of UTF-8 and no NUL."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(settings.bcrypt_rounds)).decode()


def check_password(guess: str, hashed: str | None) -> bool:
    """Whether the guess is the password. Costs the same whatever the guess, and without a hash as well."""
    try:
        secret = guess.encode()
    except UnicodeEncodeError:  # lone surrogates
        secret = b"\0"
    is_possible = len(secret) <= MAX_PASSWORD_BYTES and b"\0" not in secret
    checked = secret if is_possible else b"impossible"
    try:
        is_equal = bcrypt.checkpw(checked, hashed.encode() if hashed else _dummy())
    except ValueError:  # what is stored is no bcrypt hash
        is_equal = bcrypt.checkpw(checked, _dummy()) and False
    return is_equal and is_possible and hashed is not None


def is_outdated(hashed: str) -> bool:
    """Whether the hash was made at a lower cost than the configured one."""
    return int(hashed[4:6]) < settings.bcrypt_rounds


def new_token() -> tuple[str, str]:
    """256 random bits for a link, and the hash that alone is stored: (token, SHA-256 in hex)."""
    token = secrets.token_urlsafe(32)
    return token, hash_token(token)


def hash_token(token: str) -> str:
    """SHA-256 in hex. Enough for random tokens of 112 bits or more (OWASP ASVS 5.0, 6.5.2)."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def issue_customer_token(customer_id: str, email: str, session_id: str) -> str:
    """The JWT a customer carries; it is worth as much as the session it names."""
    claims = {"customerId": customer_id, "email": email, "role": "customer"}
    return _issue("customer", claims, session_id, settings.customer_session_ttl)


def issue_staff_token(staff_id: int, email: str, role: str, session_id: str) -> str:
    """The JWT a member of staff carries."""
    return _issue("staff", {"id": staff_id, "email": email, "role": role}, session_id, settings.staff_session_ttl)


def read_token(kind: str, token: str) -> dict[str, Any]:
    """The claims of a token of that kind, its signature, issuer, audience and times checked. Raises ``Unauthorized``.

    The session it names is not looked at here.
    """
    previous = settings.jwt_previous_secret
    for secret in (settings.jwt_secret, previous) if previous else (settings.jwt_secret,):
        try:
            return jwt.decode(
                token,
                secret,
                algorithms=["HS256"],
                audience=AUDIENCES[kind],
                issuer=ISSUER,
                leeway=CLOCK_SKEW,
                options={"require": ["exp", "iat", "iss", "aud", "sid"]},
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidTokenError as error:
            raise Unauthorized("Invalid or expired token", code="token_invalid") from error
    raise Unauthorized("Invalid or expired token", code="token_invalid")


def _issue(kind: str, claims: dict[str, Any], session_id: str, ttl: int) -> str:
    now = int(time.time())
    times = {"iat": now, "exp": now + ttl}
    return jwt.encode(
        {**claims, "sid": session_id, **times, "iss": ISSUER, "aud": AUDIENCES[kind]}, settings.jwt_secret, "HS256"
    )


def _dummy() -> bytes:
    """A hash of nothing anybody knows, at the configured cost: an unknown address must cost what a known one does."""
    rounds = settings.bcrypt_rounds
    if rounds not in _dummies:
        _dummies[rounds] = bcrypt.hashpw(secrets.token_bytes(16).hex().encode(), bcrypt.gensalt(rounds))
    return _dummies[rounds]
