"""Settings: read once, and told in one list when they will not do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jwt
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
STRIPE = {
    "STRIPE_SECRET_KEY": "sk_test_1",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
}
SIGNED_BY = "the secret of the project, of 32 bytes and more"


def supabase_key(role: str, project: str = "x") -> str:
    return jwt.encode({"role": role, "ref": project, "iss": "supabase"}, SIGNED_BY, "HS256")


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


@pytest.mark.parametrize("word", ["Production", "prod", "staging", "test", "dev"])
def test_an_environment_of_another_name_is_none(environment, word: str):
    """It would count as development: example secrets, and cookies that go in clear."""
    environment(**GOOD, APP_ENV=word)
    with pytest.raises(ConfigurationError) as caught:
        Config.from_env()
    assert caught.value.problems == [f"APP_ENV is neither production nor development: {word}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("PAYMENT_CURRENCY", value) for value in ("dollars", "$", "us", "usd,inr")),
        *(("FRONTEND_URL", value) for value in ("site.example", "ftp://site.example", "https://", "https://a b")),
        *(("FRONTEND_URL", f"https://site.example{value}") for value in (":70000", "?from=mail", "#top")),
        *(
            (f"{name}_TTL", value)
            for name in ("CUSTOMER_SESSION", "STAFF_SESSION")
            for value in ("0", "-1", "1e9", "a day")
        ),
        *((f"{name}_TOKEN_TTL", value) for name in ("VERIFY", "RESET") for value in ("0", "-60", "999999999999")),
        *(("PROXY_HOPS", value) for value in ("-1", "11", "one")),
        *(("SMTP_PORT", value) for value in ("0", "-25", "65536", "smtp")),
        *(("LOG_LEVEL", value) for value in ("LOUD", "10", "warn")),
        *(("BCRYPT_ROUNDS", value) for value in ("9", "16", "-10", "many")),
        *(("CORS_ORIGINS", value) for value in ("site.example", "https://site.example/path", "https://a.example, *")),
        ("SUPABASE_URL", "db.example:5432"),
        ("SUPABASE_URL", "postgresql://db.example/postgres"),
        ("STRIPE_API_BASE", "api.stripe.com"),
        ("RATELIMIT_STORAGE_URI", "localhost:6379"),
        ("JWT_PREVIOUS_SECRET", "short"),
        ("JWT_PREVIOUS_SECRET", EXAMPLE_JWT_SECRET),
        ("SMTP_PASSWORD", ""),
    ],
)
def test_a_setting_that_cannot_work_stops_the_start(environment, name: str, value: str):
    environment(**{**GOOD, "SMTP_USER": "jklg", "SMTP_PASSWORD": "x", name: value})
    with pytest.raises(ConfigurationError) as caught:
        Config.from_env()
    assert [problem for problem in caught.value.problems if not re.match(rf"{name}\b", problem)] == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET is missing"),
        ({"STRIPE_WEBHOOK_SECRET": "whsec_1, sk_test_1"}, "STRIPE_WEBHOOK_SECRET is no webhook secret"),
        (
            {"STRIPE_PUBLISHABLE_KEY": "pk_live_1"},
            "STRIPE_PUBLISHABLE_KEY is for live mode, STRIPE_SECRET_KEY for test",
        ),
        ({"STRIPE_SECRET_KEY": "rk_live_1"}, "STRIPE_PUBLISHABLE_KEY is for test mode, STRIPE_SECRET_KEY for live"),
        ({"STRIPE_SECRET_KEY": "pk_test_1"}, "STRIPE_SECRET_KEY is no secret key"),
        ({"STRIPE_PUBLISHABLE_KEY": "sk_test_1"}, "STRIPE_PUBLISHABLE_KEY is no publishable key"),
    ],
)
def test_keys_of_stripe_that_do_not_go_together_stop_the_start(environment, changes: dict[str, str], told: str):
    environment(**{**GOOD, **STRIPE, **changes})
    with pytest.raises(ConfigurationError, match=told) as caught:
        Config.from_env()
    assert len(caught.value.problems) == 1
    environment(**{**GOOD, **STRIPE})
    assert Config.from_env().stripe_webhook_secrets == ("whsec_1",)


def test_a_missing_webhook_secret_is_fine_in_development(environment):
    environment(**{**GOOD, **STRIPE, "STRIPE_WEBHOOK_SECRET": "", "APP_ENV": "development"})
    assert Config.from_env().stripe_webhook_secrets == ()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"SUPABASE_SERVICE_ROLE_KEY": supabase_key("anon")}, "SUPABASE_SERVICE_ROLE_KEY is the key of anon"),
        ({"SUPABASE_SECRET_KEY": "sb_publishable_1"}, "SUPABASE_SECRET_KEY is the key of anon"),
        (
            {
                "SUPABASE_SERVICE_ROLE_KEY": supabase_key("service_role", "other"),
                "SUPABASE_URL": "https://x.supabase.co",
            },
            "SUPABASE_SERVICE_ROLE_KEY is a key of project other, and SUPABASE_URL names x.supabase.co",
        ),
        ({"SUPABASE_ANON_KEY": supabase_key("service_role")}, "SUPABASE_ANON_KEY is the key of service_role"),
        ({"SUPABASE_PUBLISHABLE_KEY": "sb_secret_1"}, "SUPABASE_PUBLISHABLE_KEY is the key of service_role"),
        ({"SUPABASE_JWT_SECRET": "s" * 32}, "SUPABASE_JWT_SECRET has not signed the project's keys"),
    ],
)
def test_a_key_of_supabase_in_the_wrong_place_is_told_as_that(environment, changes: dict[str, str], told: str):
    keys = {"SUPABASE_SERVICE_ROLE_KEY": supabase_key("service_role"), "SUPABASE_ANON_KEY": supabase_key("anon")}
    right = {**GOOD, **keys, "SUPABASE_JWT_SECRET": SIGNED_BY}
    environment(**right)
    assert Config.from_env().supabase_key == keys["SUPABASE_SERVICE_ROLE_KEY"]
    replaced = {"SUPABASE_SECRET_KEY": "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_PUBLISHABLE_KEY": "SUPABASE_ANON_KEY"}
    environment(**{**{n: v for n, v in right.items() if n not in map(replaced.get, changes)}, **changes})
    with pytest.raises(ConfigurationError) as caught:
        Config.from_env()
    assert len(caught.value.problems) == 1 and caught.value.problems[0].startswith(told)


def test_keys_of_the_new_kind_are_known_by_how_they_begin(environment):
    environment(**{**GOOD, "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_1", "SUPABASE_ANON_KEY": "sb_publishable_1"})
    assert Config.from_env().supabase_anon_key == "sb_publishable_1"


def test_cors_defaults_to_the_origin_of_a_site_that_lies_in_a_folder(environment):
    environment(**{**GOOD, "FRONTEND_URL": "https://site.example:8443/travel/"})
    settings = Config.from_env()
    assert (settings.frontend_url, settings.cors_origins) == (
        "https://site.example:8443/travel",
        ("https://site.example:8443",),
    )


@pytest.mark.parametrize("command", [["check"], ["worker"], ["mail", "status"]])
def test_a_command_lists_what_is_wrong_without_a_traceback(command: list[str]):
    """As the release phase of a deployment calls it."""
    wrong = {**GOOD, "APP_ENV": "prod", "SMTP_PORT": "0", "PATH": os.environ["PATH"]}
    told = subprocess.run(
        [sys.executable, "-m", "flask", *command],
        cwd=Path(__file__).parents[1],
        env=wrong,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.splitlines() == [
        "Error: The service cannot start:",
        "  - APP_ENV is neither production nor development: prod",
        "  - SMTP_PORT: Input should be greater than or equal to 1",
    ]


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
