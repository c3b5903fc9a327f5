"""The forms that settings have, each with the sentence for a value of another form."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import jwt
from limits import parse_many
from pydantic import AfterValidator, BeforeValidator, Field

HOUR, DAY = 3600, 86400  # seconds


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _is_production(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.strip() not in ("production", "development"):
        raise ValueError(f"is neither production nor development: {value}")
    return value.strip() == "production"


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _limit(text: str) -> str:
    try:
        parse_many(text)
    except ValueError:
        raise ValueError(f"is no rate limit: {text}") from None
    return text


def _address(text: str) -> str:
    """Without the slashes at its end; nothing stays nothing."""
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number of 16 bits, or a bracket is open
        is_address = False
    if text and (not is_address or re.search(r"[\s?#]", text)):
        raise ValueError(f"is no http(s) address: {text}")
    return text.rstrip("/")


def _origin(text: str) -> str:
    if text == "*":
        raise ValueError("may not be *: the service answers with credentials")
    address = _address(text)
    if urlsplit(address).path:
        raise ValueError(f"names a page, not an origin: {text}")
    return address


def _storage(uri: str) -> str:
    if not re.match(r"memory://|rediss?(\+\w+)?://", uri):
        raise ValueError("is neither memory:// nor the address of a Redis, redis://…")
    return uri


def _currency(code: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{3}", code):
        raise ValueError(f"is no currency, such as usd: {code}")
    return code.lower()


IsProduction = Annotated[bool, BeforeValidator(_is_production)]
CommaSeparated = Annotated[tuple[str, ...], BeforeValidator(_split)]
Address = Annotated[str, AfterValidator(_address)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(_split)]
RateLimit = Annotated[str, AfterValidator(_limit)]
RateLimitStorage = Annotated[str, AfterValidator(_storage)]
Currency = Annotated[str, AfterValidator(_currency)]  # whether there is one of that code, the database says
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]
Seconds = Annotated[int, Field(ge=1, le=3650 * DAY)]
Hops = Annotated[int, Field(ge=0, le=10)]
Port = Annotated[int, Field(ge=1, le=65535)]


def read_supabase_key(key: str, otherwise: str) -> tuple[str, str | None]:
    """The role of a key of Supabase and its project, where it tells; ``otherwise`` for a key that tells no role."""
    if key.startswith("sb_publishable_"):
        return "anon", None
    if key.startswith("sb_secret_"):
        return "service_role", None
    try:
        claims = jwt.decode(key, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return otherwise, None
    return str(claims.get("role")), claims.get("ref")


def is_signed_by_another(key: str, secret: str) -> bool:
    """Whether a key is a token that another secret than this has signed; not so for keys that are no such token."""
    try:
        jwt.decode(key, secret, ["HS256"], options={"verify_exp": False, "verify_aud": False, "verify_iat": False})
    except jwt.InvalidSignatureError:
        return True
    except jwt.InvalidTokenError:
        return False
    return False
