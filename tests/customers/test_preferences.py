import pytest

DEFAULTS = {
    "language": "en",
    "currency": "usd",
    "timezone": "UTC",
    "newsletter": False,
    "sms": False,
    "email_notifications": True,
}


def test_preferences_have_defaults_and_change_in_the_keys_that_are_sent(customer, events):
    path = f"/api/customers/{customer.id}/preferences"
    assert customer.api.get(path) == {"preferences": DEFAULTS}
    sent = {"language": "de-CH", "currency": "CHF", "newsletter": True, "customer_id": "x", "theme": "dark"}
    wanted = {"preferences": {**DEFAULTS, "language": "de-CH", "currency": "chf", "newsletter": True}}
    assert customer.api.put(path, sent) == wanted
    assert customer.api.put(path, sent) == wanted
    assert customer.api.put(path, {"timezone": "Europe/Zurich"})["preferences"]["currency"] == "chf"
    assert customer.api.get(path)["preferences"]["timezone"] == "Europe/Zurich"
    assert events(customer.id)["preferences_updated"] == 3


@pytest.mark.parametrize(
    "change",
    [
        {"language": "english please"},
        {"language": None},
        {"currency": "euro"},
        {"currency": "€€€"},
        {"timezone": "../etc/passwd"},
        {"newsletter": "on"},
        {"sms": 0},
    ],
)
def test_bad_preferences_are_refused(customer, change):
    answer = customer.api.put(f"/api/customers/{customer.id}/preferences", change, expect=400)
    assert set(answer["details"]) == set(change)


def test_preferences_need_something_to_change(customer):
    answer = customer.api.put(f"/api/customers/{customer.id}/preferences", {"theme": "dark"}, expect=400)
    assert answer["error"] == "No fields to update"
