"""Every environment variable of the service, typed, read once; what is missing or unsafe is told in one list."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from environs import Env, EnvValidationError
from flask import current_app
from limits import parse_many
from werkzeug.local import LocalProxy

EXAMPLE_JWT_SECRET = "change-me-to-a-random-string-of-at-least-32-bytes"  # the value in .env.example
MINUTE, HOUR, DAY = 60, 3600, 86400

# Limits per IP address, counted by Flask-Limiter in the form it reads: "10 per 5 minutes; 100 per day".
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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one process. Times are in seconds, sizes in bytes."""

    is_production: bool = True
    supabase_url: str
    supabase_key: str
    supabase_anon_key: str | None = None
    supabase_jwt_secret: str | None = None
    jwt_secret: str
    jwt_previous_secret: str | None = None
    frontend_url: str = "http://localhost:5173"
    frontend_dist: str | None = None
    cors_origins: tuple[str, ...] = ()
    proxy_hops: int = 0
    max_body_bytes: int = 1_000_000
    log_level: str = "INFO"

    bcrypt_rounds: int = 10
    customer_session_ttl: int = 7 * DAY
    staff_session_ttl: int = DAY
    verify_token_ttl: int = DAY
    reset_token_ttl: int = HOUR

    stripe_secret_key: str | None = None
    stripe_publishable_key: str | None = None
    stripe_webhook_secrets: tuple[str, ...] = ()
    stripe_api_base: str | None = None
    payment_currency: str = "usd"

    smtp_host: str | None = None
    smtp_port: int = 587
    smtp_user: str | None = None
    smtp_password: str | None = None
    smtp_from_email: str | None = None
    smtp_from_name: str = "JKLG Travel"

    ratelimit_storage_uri: str = "memory://"
    ip_limits: dict[str, str]
    account_limits: dict[str, str]

    @classmethod
    def from_env(cls) -> "Settings":
        """Read the environment. Raises ``ConfigurationError``."""
        env = Env(eager=False, expand_vars=False)
        values = _read(env)
        problems = []
        try:
            env.seal()
        except EnvValidationError as error:
            problems = [f"{name}: {' '.join(texts)}" for name, texts in error.error_messages.items()]
        settings = cls(**values)
        problems += _unsafe(settings)
        if problems:
            raise ConfigurationError(problems)
        return settings


settings: Settings = LocalProxy(lambda: current_app.extensions["settings"])  # type: ignore[assignment]


def _read(env: Env) -> dict[str, object]:
    is_production = env.str("APP_ENV", "production") == "production"
    frontend_url = (_first(env, "FRONTEND_URL") or ("" if is_production else "http://localhost:5173")).rstrip("/")
    return {
        "is_production": is_production,
        "supabase_url": _first(env, "SUPABASE_URL", "VITE_SUPABASE_URL"),
        "supabase_key": _first(env, "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY"),
        "supabase_anon_key": _first(env, "SUPABASE_ANON_KEY", "SUPABASE_PUBLISHABLE_KEY", "VITE_SUPABASE_ANON_KEY"),
        "supabase_jwt_secret": _first(env, "SUPABASE_JWT_SECRET"),
        "jwt_secret": env.str("JWT_SECRET", ""),
        "jwt_previous_secret": _first(env, "JWT_PREVIOUS_SECRET"),
        "frontend_url": frontend_url,
        "frontend_dist": _first(env, "FRONTEND_DIST"),
        "cors_origins": tuple(origin.strip().rstrip("/") for origin in env.list("CORS_ORIGINS", []) if origin.strip())
        or (frontend_url,),
        "proxy_hops": env.int("PROXY_HOPS", 0),
        "log_level": env.str("LOG_LEVEL", "INFO").upper(),
        "bcrypt_rounds": env.int("BCRYPT_ROUNDS", 10),
        "customer_session_ttl": env.int("CUSTOMER_SESSION_TTL", 7 * DAY),
        "staff_session_ttl": env.int("STAFF_SESSION_TTL", DAY),
        "verify_token_ttl": env.int("VERIFY_TOKEN_TTL", DAY),
        "reset_token_ttl": env.int("RESET_TOKEN_TTL", HOUR),
        "stripe_secret_key": _first(env, "STRIPE_SECRET_KEY"),
        "stripe_publishable_key": _first(env, "STRIPE_PUBLISHABLE_KEY"),
        "stripe_webhook_secrets": tuple(filter(None, map(str.strip, env.list("STRIPE_WEBHOOK_SECRET", [])))),
        "stripe_api_base": _first(env, "STRIPE_API_BASE"),
        "payment_currency": env.str("PAYMENT_CURRENCY", "usd").lower(),
        "smtp_host": _first(env, "SMTP_HOST"),
        "smtp_port": env.int("SMTP_PORT", 587),
        "smtp_user": _first(env, "SMTP_USER"),
        "smtp_password": _first(env, "SMTP_PASSWORD"),
        "smtp_from_email": _first(env, "SMTP_FROM_EMAIL"),
        "smtp_from_name": env.str("SMTP_FROM_NAME", "JKLG Travel"),
        "ratelimit_storage_uri": env.str("RATELIMIT_STORAGE_URI", "memory://"),
        "ip_limits": {name: env.str(f"LIMIT_{name.upper()}", limit) for name, limit in IP_LIMITS.items()},
        "account_limits": {name: env.str(f"LIMIT_{name.upper()}", limit) for name, limit in ACCOUNT_LIMITS.items()},
    }


def _first(env: Env, *names: str) -> str | None:
    """The first of several names that holds something: old and new names of one thing."""
    return next((value for name in names if (value := env.str(name, "").strip())), None)


def _unsafe(settings: Settings) -> list[str]:
    secret, rounds = settings.jwt_secret, settings.bcrypt_rounds or 0
    address = urlsplit(settings.supabase_url or "")
    checks = [
        (not settings.supabase_url, "SUPABASE_URL is missing: the address of the Supabase project"),
        (
            settings.frontend_dist and not Path(settings.frontend_dist, "index.html").is_file(),
            "FRONTEND_DIST names no folder with an index.html",
        ),
        (not settings.frontend_url, "FRONTEND_URL is missing: the address that links in mails begin with"),
        (address.scheme not in ("http", "https", ""), "SUPABASE_URL is no http(s) address"),
        (not settings.supabase_key, "SUPABASE_SERVICE_ROLE_KEY (or SUPABASE_SECRET_KEY) is missing"),
        (not secret, "JWT_SECRET is missing: python3 -c 'import secrets; print(secrets.token_hex(32))' makes one"),
        (0 < len(secret.encode()) < 32, "JWT_SECRET is shorter than 32 bytes"),
        (settings.is_production and secret == EXAMPLE_JWT_SECRET, "JWT_SECRET still has the value of .env.example"),
        (not 4 <= rounds <= 15, "BCRYPT_ROUNDS is not between 4 and 15"),
        (settings.is_production and 4 <= rounds < 10, "BCRYPT_ROUNDS is below 10"),
        ("*" in settings.cors_origins, "CORS_ORIGINS may not be *: the service answers with credentials"),
        (bool(settings.smtp_host and not settings.smtp_from_email), "SMTP_FROM_EMAIL is missing, SMTP_HOST is set"),
    ]
    limits = {**settings.ip_limits, **settings.account_limits}
    checks += [(not _is_limit(text), f"LIMIT_{name.upper()} is no rate limit: {text}") for name, text in limits.items()]
    return [sentence for is_wrong, sentence in checks if is_wrong]


def _is_limit(text: str) -> bool:
    try:
        return bool(parse_many(text))
    except ValueError:
        return False
