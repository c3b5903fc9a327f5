"""Settings: everybody reads, nobody reads a secret, staff with settings_edit writes."""

import psycopg
import pytest

from tests.client import Client

SMTP = {"smtpHost": "mail.example", "smtpUser": "us", "smtpPassword": "hunter2hunter2", "nested": [{"api_key": "k3y"}]}
MASKED = {"smtpHost": "mail.example", "smtpUser": "us", "smtpPassword": "********", "nested": [{"api_key": "********"}]}
NOT_FOUND = {"error": "Setting not found", "code": "setting_not_found"}


@pytest.fixture(autouse=True)
def no_settings(db: psycopg.Connection, stack) -> None:
    db.execute("delete from site_settings")


def stored(db: psycopg.Connection, key: str) -> object:
    row = db.execute("select value from site_settings where key = %s", [key]).fetchone()
    return row and row[0]


def test_settings_are_saved_and_read_by_everybody(staff, api: Client):
    admin = staff().api
    body = admin.post("/api/settings", {"key": "general_settings", "value": {"siteName": "JKLG"}})
    assert body == {
        "success": True,
        "message": "Settings saved successfully",
        "data": {"general_settings": {"siteName": "JKLG"}},
    }
    admin.post("/api/settings", {"social_links": {"x": "y"}, "hero_slides": [{"title": "A"}]})
    expected = {
        "general_settings": {"siteName": "JKLG"},
        "social_links": {"x": "y"},
        "hero_slides": [{"title": "A"}],
    }
    assert api.get("/api/settings") == expected
    assert api.get("/api/settings/hero_slides") == {"hero_slides": [{"title": "A"}]}
    admin.put("/api/settings/hero_slides", {"value": []})
    body = admin.put("/api/settings/general_settings", {"value": {"siteName": "Other"}})
    assert (body["success"], body["data"]) == (True, [{"key": "general_settings", "value": {"siteName": "Other"}}])
    assert api.get("/api/settings/hero_slides") == {"hero_slides": []}
    assert api.get("/api/settings/general_settings") == {"general_settings": {"siteName": "Other"}}


def test_secrets_are_for_staff_with_settings_view_and_masked(staff, api: Client, customer):
    admin = staff().api
    assert admin.post("/api/settings", {"key": "smtp_config", "value": SMTP})["data"] == {"smtp_config": MASKED}
    admin.post("/api/settings", {"payment_setup": {"stripeSecretKey": "sk_live"}, "seo_settings": {"x": 1}})
    assert admin.get("/api/settings")["smtp_config"] == MASKED
    assert admin.get("/api/settings/payment_setup") == {"payment_setup": {"stripeSecretKey": "********"}}
    for other in (api, customer.api, staff("Manager").api, staff("Guide").api):
        assert other.get("/api/settings") == {"seo_settings": {"x": 1}}
        assert other.get("/api/settings/smtp_config", expect=404) == NOT_FOUND
    for bearer in ("null", "x.y.z", ""):
        assert "smtp_config" not in api.get("/api/settings", headers={"Authorization": f"Bearer {bearer}"})


def test_a_masked_secret_sent_back_keeps_the_stored_one(staff, db: psycopg.Connection):
    admin = staff().api
    admin.post("/api/settings", {"key": "smtp_config", "value": SMTP})
    shown = admin.get("/api/settings/smtp_config")["smtp_config"]
    admin.put(
        "/api/settings/smtp_config", {"value": {"smtpHost": "new.example", "smtpPassword": shown["smtpPassword"]}}
    )
    assert stored(db, "smtp_config") == {"smtpHost": "new.example", "smtpPassword": "hunter2hunter2"}
    admin.put("/api/settings/smtp_config", {"value": {"smtpPassword": "••••••••"}})
    assert stored(db, "smtp_config") == {"smtpPassword": "hunter2hunter2"}
    admin.put("/api/settings/smtp_config", {"value": {"smtpPassword": "another"}})
    assert stored(db, "smtp_config") == {"smtpPassword": "another"}
    admin.put("/api/settings/smtp_config", {"value": {"smtpPassword": ""}})
    assert stored(db, "smtp_config") == {"smtpPassword": ""}


def test_a_masked_secret_without_a_stored_one_is_none(staff, db: psycopg.Connection):
    staff().api.post("/api/settings", {"key": "smtp_config", "value": {"smtpHost": "h", "smtpPassword": "********"}})
    assert stored(db, "smtp_config") == {"smtpHost": "h"}


def test_a_key_that_names_a_secret_is_one(staff, api: Client, db: psycopg.Connection):
    admin = staff().api
    masked = {"stripe_secret_key": "********", "site_name": "JKLG"}
    assert admin.post("/api/settings", {"stripe_secret_key": "sk_live", "site_name": "JKLG"})["data"] == masked
    assert admin.get("/api/settings") == masked
    assert api.get("/api/settings") == {}
    assert api.get("/api/settings/stripe_secret_key", expect=404) == NOT_FOUND
    admin.post("/api/settings", masked)
    assert stored(db, "stripe_secret_key") == "sk_live"
    admin.put("/api/settings/smtpPassword", {"value": "********"})
    assert stored(db, "smtpPassword") == ""


NAMES = (
    *("smtp_config", "smtpPass", "pwd", "db_dsn", "credentials", "access_key", "stripe", "sendgrid", "auth", "bearer"),
    *("webhook_url", "signing_key", "mailgun", "twilio_sid", "internal_notes", "email_templates", "my_flag"),
)


@pytest.mark.parametrize("key", NAMES)
def test_what_is_not_public_is_for_staff_with_settings_view(key: str, staff, api: Client, customer):
    """Whatever it is called and whatever it holds."""
    admin = staff().api
    admin.put(f"/api/settings/{key}", {"value": {"host": "sk_live_4eC39HqLyjWDarjtT1zdp7dc"}})
    assert key in admin.get("/api/settings")
    for other in (api, customer.api, staff("Manager").api, staff("Guide").api):
        assert other.get("/api/settings") == {}
        assert other.get(f"/api/settings/{key}", expect=404) == NOT_FOUND


@pytest.mark.parametrize(
    "name",
    [
        "smtpPassword",
        "smtp_pass",
        "smtpPass",
        "pwd",
        "passphrase",
        "accessKey",
        "api-key",
        "signing_key",
        "credentials",
    ],
)
def test_fields_of_such_names_are_masked(name: str, staff):
    admin = staff().api
    admin.put("/api/settings/mailer", {"value": {name: "hunter2", "compass": "north", "key": "shown"}})
    assert admin.get("/api/settings/mailer") == {"mailer": {name: "********", "compass": "north", "key": "shown"}}


def test_a_setting_is_deleted(staff, api: Client):
    admin = staff().api
    admin.post("/api/settings", {"display_settings": {"a": 1}})
    assert admin.delete("/api/settings/display_settings") == {
        "success": True,
        "message": "Setting deleted successfully",
    }
    assert admin.delete("/api/settings/display_settings", expect=404) == NOT_FOUND
    assert api.get("/api/settings/display_settings", expect=404) == NOT_FOUND


@pytest.mark.parametrize("body", [{}, {"a key": 1}, {"": 1}, {"key": 5, "value": 1}, {"k" * 101: 1}, {"a\x00": 1}])
def test_a_bad_setting_is_refused(body: dict, staff):
    assert staff().api.post("/api/settings", body, expect=400)["code"] in ("validation_failed", "nothing_to_update")


def test_bad_values_are_refused(staff):
    admin = staff().api
    for value in ("a\x00b", "\ud800"):
        admin.put("/api/settings/display_settings", {"value": value}, expect=400)
    admin.put("/api/settings/a%20key", {"value": 1}, expect=400)
    admin.put("/api/settings/display_settings", [1], expect=400)
    assert set(admin.put("/api/settings/display_settings", {"valeu": 1}, expect=400)["details"]) == {"value"}


@pytest.mark.parametrize("body", ['{"a": 1e999}', '{"a": {"b": [-1e999]}}'])
def test_a_number_that_json_cannot_say_again_is_refused(staff, body: str):
    answer = staff().api.post("/api/settings", data=body, content_type="application/json", expect=400)
    assert answer["code"] == "invalid_json"
