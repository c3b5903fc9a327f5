"""Settings: read once, and told in one list when they will not do."""

import os
import re
from pathlib import Path

import pytest

from service.config import (
    ACCOUNT_LIMITS,
    EXAMPLE_JWT_SECRET,
    IP_LIMITS,
    Config,
    ConfigurationError,
    variables_of,
)

GOOD = {"SUPABASE_URL": "https://x.supabase.co", "SUPABASE_SERVICE_ROLE_KEY": "key", "JWT_SECRET": "s" * 32}
GOOD |= {"FRONTEND_URL": "https://site.example"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch):
    """Puts exactly these variables in place."""

    def put(**variables: str) -> None:
        for name in list(os.environ):
            if name.isupper() and name not in ("PATH", "HOME"):
                monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def test_everything_missing_is_told_at_once(environment):
    environment(SMTP_HOST="smtp.example.com", SMTP_PORT="many", BCRYPT_ROUNDS="3", CORS_ORIGINS="*", LIMIT_LOGIN="some")
    with pytest.raises(ConfigurationError) as caught:
        Config.from_env()
    told = "\n".join(caught.value.problems)
    for name in (
        "SUPABASE_URL",
        "SUPABASE_SERVICE_ROLE_KEY",
        "JWT_SECRET",
        "SMTP_PORT",
        "SMTP_FROM_EMAIL",
        "FRONTEND_URL",
        "LIMIT_LOGIN",
    ):
        assert name in told
    assert "BCRYPT_ROUNDS" in told and "CORS_ORIGINS" in told


@pytest.mark.parametrize("secret", ["", "short", "x" * 31, EXAMPLE_JWT_SECRET])
def test_a_weak_secret_stops_the_start(environment, secret: str):
    environment(**{**GOOD, "JWT_SECRET": secret})
    with pytest.raises(ConfigurationError, match="JWT_SECRET"):
        Config.from_env()


def test_the_example_secret_is_fine_in_development(environment):
    environment(**{**GOOD, "JWT_SECRET": EXAMPLE_JWT_SECRET, "APP_ENV": "development"})
    assert Config.from_env().is_production is False


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"),
        ("VITE_SUPABASE_URL", "SUPABASE_SECRET_KEY"),
    ],
)
def test_old_and_new_names_of_supabase_work(environment, url: str, key: str):
    others = {name: GOOD[name] for name in ("JWT_SECRET", "FRONTEND_URL")}
    environment(**{url: "https://x.supabase.co", key: "sb_secret_abc"}, **others)
    settings = Config.from_env()
    assert (settings.supabase_url, settings.supabase_key) == ("https://x.supabase.co", "sb_secret_abc")


def test_lists_are_split_and_cors_defaults_to_the_site(environment):
    environment(**{**GOOD, "FRONTEND_URL": "https://site.example/"}, STRIPE_WEBHOOK_SECRET="whsec_new, whsec_old")
    settings = Config.from_env()
    assert settings.stripe_webhook_secrets == ("whsec_new", "whsec_old")
    assert settings.cors_origins == ("https://site.example",)
    assert settings.frontend_url == "https://site.example"


def test_the_example_file_holds_every_variable_with_its_default():
    """What the code reads stands in .env.example, and the other way round."""
    project = Path(__file__).parents[1]
    example = (project / ".env.example").read_text()
    fields = {name: field for name, field in Config.model_fields.items() if not name.endswith("_limits")}
    read = {variable for field in fields.values() for variable in variables_of(field)}
    process = set(re.findall(r'environ.get\([\'"](\w+)', (project / "gunicorn.conf.py").read_text()))
    limits = {f"LIMIT_{name.upper()}": limit for name, limit in {**IP_LIMITS, **ACCOUNT_LIMITS}.items()}
    assert read | process | set(limits) <= set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", example))
    shown = dict(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=(.*)$", example, re.M))
    assert set(shown) <= read | process | set(limits)
    defaults = {variables_of(field)[0]: field.default for field in fields.values() if not field.is_required()}
    told = {name: "production" if default is True else str(default) for name, default in defaults.items() if default}
    assert {name: shown[name] for name in told | limits} == told | limits
