"""Every environment variable of the service: its type, its default and its bounds, declared once and read once.

A field is set by the variable of its name in capitals, unless it names others. All that is missing, unsafe or cannot
work is told in one list.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, cast
from urllib.parse import urlsplit

import click
from flask import current_app
from pydantic import (
    AliasChoices,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from werkzeug.local import LocalProxy

from service.config_types import (
    DAY,
    HOUR,
    Address,
    CommaSeparated,
    Currency,
    Hops,
    IsProduction,
    LogLevel,
    Origins,
    Port,
    RateLimit,
    RateLimitStorage,
    Seconds,
    is_signed_by_another,
    read_supabase_key,
)

EXAMPLE_JWT_SECRET = "change-me-to-a-random-string-of-at-least-32-bytes"  # nosec B105 # refused in production

# Limits per IP address, counted by Flask-Limiter in the form it reads: "10 per 5 minutes; 100 per day".
# LIMIT_LOGIN sets the one of "login", and so on.
IP_LIMITS = {
    "login": "60 per 5 minutes",
    "failed_login": "30 per hour; 100 per day",
    "register": "100 per hour",
    "recovery": "30 per hour",
    "token": "100 per 10 minutes",  # nosec B105 # a limit
    "password": "20 per 5 minutes",  # nosec B105 # a limit
    "booking": "60 per hour",
    "payment": "120 per hour",
    "rest": "600 per minute",
}
# Limits per account or address, counted in the database for all workers together.
ACCOUNT_LIMITS = {
    "login_account": "10 per 5 minutes",
    "password_account": "10 per 5 minutes",  # nosec B105 # a limit
    "booking_account": "30 per 10 minutes; 200 per day",
    "booking_claim": "10 per day",
    "verification_mail": "1 per 60 seconds; 3 per 6 hours",
    "reset_mail": "1 per 60 seconds; 5 per day",
}


class ConfigurationError(click.ClickException):
    """What is wrong with the environment, all of it. The `flask` commands print it without a traceback."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("The service cannot start:\n" + "\n".join(f"  - {problem}" for problem in problems))


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

    is_production: IsProduction = Field(default=True, validation_alias="APP_ENV")
    supabase_url: Address = Field(
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
    frontend_url: Address = ""
    frontend_dist: str | None = None
    cors_origins: Origins = ()
    proxy_hops: Hops = 0
    log_level: LogLevel = "INFO"
    web_concurrency: int = Field(default=2, ge=1, le=1000)  # the processes that gunicorn.conf.py starts

    bcrypt_rounds: int = 10
    customer_session_ttl: Seconds = 7 * DAY
    staff_session_ttl: Seconds = DAY
    verify_token_ttl: Seconds = DAY
    reset_token_ttl: Seconds = HOUR

    stripe_secret_key: str | None = None
    stripe_publishable_key: str | None = None
    stripe_webhook_secrets: CommaSeparated = Field(default=(), validation_alias="STRIPE_WEBHOOK_SECRET")
    stripe_api_base: Address | None = None

    razorpay_key_id: str | None = None
    razorpay_key_secret: str | None = None
    razorpay_webhook_secrets: CommaSeparated = Field(default=(), validation_alias="RAZORPAY_WEBHOOK_SECRET")
    razorpay_api_base: Address | None = None

    paypal_client_id: str | None = None
    paypal_client_secret: str | None = None
    paypal_webhook_id: str | None = None
    paypal_api_base: Address | None = None

    payment_currency: Currency = "usd"

    smtp_host: str | None = None
    smtp_port: Port = 587
    smtp_user: str | None = None
    smtp_password: str | None = None
    smtp_from_email: str | None = None
    smtp_from_name: str = "JKLG Travel"
    booking_mail_hold: int = Field(default=60, ge=0, le=HOUR)

    ratelimit_storage_uri: RateLimitStorage = "memory://"
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

    @field_validator("supabase_key")
    @classmethod
    def _is_of_the_service(cls, value: str, info: ValidationInfo) -> str:
        role, project = read_supabase_key(value, "service_role")
        if role != "service_role":
            raise ValueError(
                f"is the key of {role}: the service needs that of service_role, or one that begins sb_secret_"
            )
        url = info.data.get("supabase_url", "")
        host = urlsplit(url).hostname or ""
        if project and host.endswith(".supabase.co") and host != f"{project}.supabase.co":
            raise ValueError(f"is a key of project {project}, and SUPABASE_URL names {host}")
        return value

    @field_validator("supabase_anon_key")
    @classmethod
    def _is_of_visitors(cls, value: str | None) -> str | None:
        role, _ = read_supabase_key(value or "", "anon")
        if role != "anon":
            raise ValueError(f"is the key of {role}: every visitor would have its rights")
        return value

    @field_validator("supabase_jwt_secret")
    @classmethod
    def _has_signed_the_keys(cls, value: str | None, info: ValidationInfo) -> str | None:
        for name in ("supabase_key", "supabase_anon_key"):
            key = info.data.get(name) or ""
            if value and is_signed_by_another(key, value):
                raise ValueError("has not signed the project's keys: it is another project's, or an older one")
        return value

    @field_validator("jwt_secret", "jwt_previous_secret")
    @classmethod
    def _is_secret(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value == EXAMPLE_JWT_SECRET and info.data.get("is_production"):
            raise ValueError("still has the value of .env.example")
        if value is not None and len(value.encode()) < 32:
            raise ValueError("is shorter than 32 bytes")
        return value

    @field_validator("frontend_url")
    @classmethod
    def _is_known(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("is_production"):
            raise ValueError("is missing: the address that links in mails begin with")
        return value or "http://localhost:5173"

    @field_validator("frontend_dist")
    @classmethod
    def _is_site(cls, value: str | None) -> str | None:
        if value and not Path(value, "index.html").is_file():
            raise ValueError("names no folder with an index.html")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_named(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        site = urlsplit(info.data.get("frontend_url", ""))
        return value or (f"{site.scheme}://{site.netloc}",)

    @field_validator("bcrypt_rounds")
    @classmethod
    def _is_costly(cls, value: int, info: ValidationInfo) -> int:
        least = 10 if info.data.get("is_production") else 4
        if not least <= value <= 15:
            raise ValueError(f"is not between {least} and 15")
        return value

    @field_validator("stripe_secret_key")
    @classmethod
    def _is_secret_key(cls, value: str | None) -> str | None:
        if value and not re.match(r"[sr]k_(test|live)_", value):
            raise ValueError("is no secret key of Stripe: it begins sk_test_, sk_live_, rk_test_ or rk_live_")
        return value

    @field_validator("stripe_publishable_key")
    @classmethod
    def _is_publishable_key(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and not re.match(r"pk_(test|live)_", value):
            raise ValueError("is no publishable key of Stripe: it begins pk_test_ or pk_live_")
        secret = info.data.get("stripe_secret_key")
        if value and secret and value[3:7] != secret[3:7]:
            raise ValueError(f"is for {value[3:7]} mode, STRIPE_SECRET_KEY for {secret[3:7]} mode")
        return value

    @field_validator("stripe_webhook_secrets")
    @classmethod
    def _sign_events(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not all(secret.startswith("whsec_") for secret in value):
            raise ValueError("is no webhook secret of Stripe: it begins whsec_")
        if not value and info.data.get("stripe_secret_key") and info.data.get("is_production"):
            raise ValueError("is missing, STRIPE_SECRET_KEY is set: events of payments would be refused")
        return value

    @field_validator("razorpay_key_id")
    @classmethod
    def _is_key_of_razorpay(cls, value: str | None) -> str | None:
        if value and not re.match(r"rzp_(test|live)_", value):
            raise ValueError("is no key of Razorpay: it begins rzp_test_ or rzp_live_")
        return value

    @field_validator("razorpay_key_secret", "razorpay_webhook_secrets", "paypal_client_secret", "paypal_webhook_id")
    @classmethod
    def _completes_the_set(cls, value: str | None, info: ValidationInfo) -> str | None:
        name = str(info.field_name).partition("_")[0]
        first = {"razorpay": "razorpay_key_id", "paypal": "paypal_client_id"}[name]
        is_needed = info.data.get("is_production") or not str(info.field_name).startswith(f"{name}_webhook")
        if not value and info.data.get(first) and is_needed:
            raise ValueError(f"is missing, {first.upper()} is set")
        if value and not info.data.get(first):
            raise ValueError(f"is set, {first.upper()} is missing")
        return value

    @field_validator("smtp_password")
    @classmethod
    def _is_there_with_user(cls, value: str | None, info: ValidationInfo) -> str | None:
        if not value and info.data.get("smtp_user"):
            raise ValueError("is missing, SMTP_USER is set")
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
    if rest and first.endswith("_limits"):
        name = f"LIMIT_{rest[0]}".upper()
    else:  # a default that will not do is told by the name of its field
        name = variables_of(Config.model_fields[first])[0] if first in Config.model_fields else first
    if error["type"] == "missing":
        hint = next(field.description for field in Config.model_fields.values() if name in variables_of(field))
        return f"{name} is missing: {hint}"
    return f"{name} {error['ctx']['error']}" if error["type"] == "value_error" else f"{name}: {error['msg']}"
