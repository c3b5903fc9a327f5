"""Every environment variable of the service: its type, its default and its bounds, declared once and read once.

A field is set by the variable of its name in capitals, unless it names others. What is missing or unsafe is told in one
list.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, cast
from urllib.parse import urlsplit

from flask import current_app
from limits import parse_many
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from werkzeug.local import LocalProxy

EXAMPLE_JWT_SECRET = "change-me-to-a-random-string-of-at-least-32-bytes"  # the value in .env.example
MINUTE, HOUR, DAY = 60, 3600, 86400

# Limits per IP address, counted by Flask-Limiter in the form it reads: "10 per 5 minutes; 100 per day".
# LIMIT_LOGIN sets the one of "login", and so on.
IP_LIMITS = {
    "login": "60 per 5 minutes",
    "register": "100 per hour",
    "recovery": "30 per hour",
    "token": "100 per 10 minutes",
    "password": "20 per 5 minutes",
    "booking": "60 per hour",
    "payment": "120 per hour",
}
# Limits per account or address, counted in the database for all workers together.
ACCOUNT_LIMITS = {
    "login_account": "10 per 5 minutes",
    "password_account": "10 per 5 minutes",
    "booking_account": "30 per 10 minutes; 200 per day",
    "verification_mail": "1 per 60 seconds; 3 per 6 hours",
    "reset_mail": "1 per 60 seconds; 5 per day",
}


class ConfigurationError(Exception):
    """What is wrong with the environment, all of it."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("The service cannot start:\n" + "\n".join(f"  - {problem}" for problem in problems))


def _is_production(value: object) -> object:
    return value == "production" if isinstance(value, str) else value


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _limit(text: str) -> str:
    try:
        parse_many(text)
    except ValueError:
        raise ValueError(f"is no rate limit: {text}") from None
    return text


CommaSeparated = Annotated[tuple[str, ...], BeforeValidator(_split)]
RateLimit = Annotated[str, AfterValidator(_limit)]


class Config(BaseModel):
    """The configuration of one process. Times are in seconds, sizes in bytes."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=str.upper),
        frozen=True,
        str_strip_whitespace=True,
        validate_by_name=True,
        validate_default=True,
    )
    max_body_bytes: ClassVar[int] = 1_000_000

    is_production: Annotated[bool, BeforeValidator(_is_production)] = Field(default=True, validation_alias="APP_ENV")
    supabase_url: str = Field(
        validation_alias=AliasChoices("SUPABASE_URL", "VITE_SUPABASE_URL"),
        description="the address of the Supabase project",
    )
    supabase_key: str = Field(
        validation_alias=AliasChoices("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY"),
        description="the key that bypasses row-level security, or SUPABASE_SECRET_KEY of the new kind",
    )
    supabase_anon_key: str | None = Field(
        default=None,
        validation_alias=AliasChoices("SUPABASE_ANON_KEY", "SUPABASE_PUBLISHABLE_KEY", "VITE_SUPABASE_ANON_KEY"),
    )
    supabase_jwt_secret: str | None = None
    jwt_secret: str = Field(description="python3 -c 'import secrets; print(secrets.token_hex(32))' makes one")
    jwt_previous_secret: str | None = None
    frontend_url: str = ""
    frontend_dist: str | None = None
    cors_origins: CommaSeparated = ()
    proxy_hops: int = 0
    log_level: Annotated[str, StringConstraints(to_upper=True)] = "INFO"

    bcrypt_rounds: int = 10
    customer_session_ttl: int = 7 * DAY
    staff_session_ttl: int = DAY
    verify_token_ttl: int = DAY
    reset_token_ttl: int = HOUR

    stripe_secret_key: str | None = None
    stripe_publishable_key: str | None = None
    stripe_webhook_secrets: CommaSeparated = Field(default=(), validation_alias="STRIPE_WEBHOOK_SECRET")
    stripe_api_base: str | None = None
    payment_currency: Annotated[str, StringConstraints(to_lower=True)] = "usd"

    smtp_host: str | None = None
    smtp_port: int = 587
    smtp_user: str | None = None
    smtp_password: str | None = None
    smtp_from_email: str | None = None
    smtp_from_name: str = "JKLG Travel"
    booking_mail_hold: int = Field(default=60, ge=0)

    ratelimit_storage_uri: str = "memory://"
    ip_limits: dict[str, RateLimit] = Field(default=IP_LIMITS, validation_alias="ip_limits")
    account_limits: dict[str, RateLimit] = Field(default=ACCOUNT_LIMITS, validation_alias="account_limits")

    @classmethod
    def from_env(cls) -> "Config":
        """Read the environment. A variable that is set to nothing counts as not set. Raises ``ConfigurationError``."""
        variables = {name: value for name, value in os.environ.items() if value.strip()}
        limits = {"ip_limits": _limits(variables, IP_LIMITS), "account_limits": _limits(variables, ACCOUNT_LIMITS)}
        try:
            return cls.model_validate(variables | limits)
        except ValidationError as error:
            raise ConfigurationError([_sentence(each) for each in error.errors()]) from None

    @field_validator("supabase_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("is no http(s) address")
        return value

    @field_validator("jwt_secret")
    @classmethod
    def _is_secret(cls, value: str, info: ValidationInfo) -> str:
        if value == EXAMPLE_JWT_SECRET and info.data.get("is_production"):
            raise ValueError("still has the value of .env.example")
        if len(value.encode()) < 32:
            raise ValueError("is shorter than 32 bytes")
        return value

    @field_validator("frontend_url")
    @classmethod
    def _is_known(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("is_production"):
            raise ValueError("is missing: the address that links in mails begin with")
        return value.rstrip("/") or "http://localhost:5173"

    @field_validator("frontend_dist")
    @classmethod
    def _is_site(cls, value: str | None) -> str | None:
        if value and not Path(value, "index.html").is_file():
            raise ValueError("names no folder with an index.html")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_named(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "*" in value:
            raise ValueError("may not be *: the service answers with credentials")
        return tuple(origin.rstrip("/") for origin in value) or (info.data.get("frontend_url", ""),)

    @field_validator("bcrypt_rounds")
    @classmethod
    def _is_costly(cls, value: int, info: ValidationInfo) -> int:
        least = 10 if info.data.get("is_production") else 4
        if not least <= value <= 15:
            raise ValueError(f"is not between {least} and 15")
        return value

    @field_validator("smtp_from_email")
    @classmethod
    def _is_there_with_host(cls, value: str | None, info: ValidationInfo) -> str | None:
        if not value and info.data.get("smtp_host"):
            raise ValueError("is missing, SMTP_HOST is set")
        return value


config = cast(Config, LocalProxy(lambda: current_app.extensions["config"]))


def variables_of(field: FieldInfo) -> list[str]:
    """The environment variables that a field is read from, the first one first."""
    alias = field.validation_alias
    return [str(name) for name in alias.choices] if isinstance(alias, AliasChoices) else [str(alias)]


def _limits(variables: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    return {name: variables.get(f"LIMIT_{name.upper()}", limit) for name, limit in defaults.items()}


def _sentence(error: ErrorDetails) -> str:
    """What pydantic found, about the variable. The place of a wrong limit is ("ip_limits", "login")."""
    first, *rest = map(str, error["loc"])
    name = f"LIMIT_{rest[0]}".upper() if rest and first.endswith("_limits") else first.upper()
    if error["type"] == "missing":
        hint = next(field.description for field in Config.model_fields.values() if name in variables_of(field))
        return f"{name} is missing: {hint}"
    return f"{name} {error['ctx']['error']}" if error["type"] == "value_error" else f"{name}: {error['msg']}"
