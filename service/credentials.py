"""Passwords, opaque tokens and JWTs: everything that proves who somebody is."""

import hashlib
import secrets
import time
from typing import TypedDict, cast

import bcrypt
import jwt

from service.config import config
from service.errors import Unauthorized
from service.ids import parse_staff_id, parse_uuid

ISSUER = "jklg-travel"
AUDIENCES = {"customer": "jklg-customer", "staff": "jklg-staff"}
CLOCK_SKEW = 10  # seconds
# bcrypt reads 72 bytes (Provos & Mazières 1999); the library refuses more, in checks as well.
MAX_PASSWORD_BYTES = 72


class Claims(TypedDict, total=False):
    """What a token says: a customer's has ``customerId``, one of staff ``id``, all have the rest."""

    customerId: str
    id: int
    email: str
    role: str
    sid: str  # the session's id
    iat: int
    exp: int
    iss: str
    aud: str


class InvalidCredentials(Unauthorized):
    code, message = "invalid_credentials", "Invalid credentials"


class WrongPassword(Unauthorized):
    code, message = "invalid_password", "Current password is incorrect"


class TokenInvalid(Unauthorized):
    """The token of a session is not one of ours, or too old."""

    code, message = "session_invalid", "Invalid or expired token"


_dummies: dict[int, bytes] = {}


def hash_password(password: str) -> str:
    """A bcrypt hash ($2b$) at the configured cost. The password has at most 72 bytes of UTF-8 and no NUL."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(config.bcrypt_rounds)).decode()


def check_password(guess: str, hashed: str | None) -> bool:
    """Whether the guess is the password. Costs the same whatever the guess, and without a hash as well."""
    try:
        secret = guess.encode()
    except UnicodeEncodeError:  # lone surrogates
        secret = b"\0"
    is_possible = len(secret) <= MAX_PASSWORD_BYTES and b"\0" not in secret
    checked = secret if is_possible else b"impossible"
    dummy = _dummy()  # asked for each time: the call that makes it costs twice, whoever's it is
    try:
        is_equal = bcrypt.checkpw(checked, hashed.encode() if hashed else dummy)
    except ValueError:  # what is stored is no bcrypt hash
        is_equal = bcrypt.checkpw(checked, dummy) and False
    return is_equal and is_possible and hashed is not None


def compare_password(guess: str, hashed: str | None) -> tuple[bool, str | None]:
    """Whether the guess is right, and a new hash of it where the stored one was made at a lower cost."""
    is_right = check_password(guess, hashed)
    return is_right, hash_password(guess) if is_right and hashed and is_outdated(hashed) else None


def is_outdated(hashed: str) -> bool:
    """Whether the hash was made at a lower cost than the configured one."""
    return int(hashed[4:6]) < config.bcrypt_rounds


def new_token() -> tuple[str, str]:
    """256 random bits for a link, and the hash that alone is stored: (token, SHA-256 in hex)."""
    token = secrets.token_urlsafe(32)
    return token, hash_token(token)


def hash_token(token: str) -> str:
    """SHA-256 in hex. Enough for random tokens of 112 bits or more (OWASP ASVS 5.0, 6.5.2)."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def issue_customer_token(customer_id: str, email: str, session_id: str) -> str:
    """The JWT a customer carries; it is worth as much as the session it names."""
    claims: Claims = {"customerId": customer_id, "email": email, "role": "customer", "sid": session_id}
    return _issue("customer", claims, config.customer_session_ttl)


def issue_staff_token(staff_id: int, email: str, role: str, session_id: str) -> str:
    """The JWT a member of staff carries."""
    return _issue("staff", {"id": staff_id, "email": email, "role": role, "sid": session_id}, config.staff_session_ttl)


def read_token(kind: str, token: str) -> Claims:
    """The claims of a token of that kind, its signature, issuer, audience, times and ids checked.

    The session it names is not looked at here. Raises ``TokenInvalid``.
    """
    for secret in filter(None, (config.jwt_secret, config.jwt_previous_secret)):
        try:
            claims = cast(Claims, _decode(token, secret, AUDIENCES[kind]))
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidTokenError as error:
            raise TokenInvalid from error
        if _is_well_formed(kind, claims):
            return claims
        break
    raise TokenInvalid


def _decode(token: str, secret: str, audience: str) -> object:
    required = ["exp", "iat", "iss", "aud", "sid"]
    return jwt.decode(
        token,
        secret,
        algorithms=["HS256"],
        audience=audience,
        issuer=ISSUER,
        leeway=CLOCK_SKEW,
        options={"require": required},
    )


def _is_well_formed(kind: str, claims: Claims) -> bool:
    if kind == "staff":
        is_somebody = not isinstance(claims.get("id"), str) and parse_staff_id(claims.get("id")) is not None
    else:
        is_somebody = claims.get("role") == "customer" and parse_uuid(claims.get("customerId")) is not None
    return is_somebody and parse_uuid(claims["sid"]) is not None


def _issue(kind: str, claims: Claims, ttl: int) -> str:
    now = int(time.time())
    about = {"iat": now, "exp": now + ttl, "iss": ISSUER, "aud": AUDIENCES[kind]}
    return jwt.encode({**claims, **about}, config.jwt_secret, "HS256")


def _dummy() -> bytes:
    """A hash of nothing anybody knows, at the configured cost: an unknown address must cost what a known one does."""
    rounds = config.bcrypt_rounds
    if rounds not in _dummies:
        _dummies[rounds] = bcrypt.hashpw(secrets.token_bytes(16).hex().encode(), bcrypt.gensalt(rounds))
    return _dummies[rounds]
