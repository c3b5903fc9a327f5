import pytest

HOME = {"label": "Home", "street": "1 Main Street", "city": "Oslo", "country": "Norway"}


@pytest.fixture
def path(customer) -> str:
    return f"/api/customers/{customer.id}/addresses"


def test_addresses_are_added_changed_listed_and_deleted(customer, path, events):
    sent = {**HOME, "state": "", "postal_code": "0150", "name": "Ada", "phone": "+47", "is_default": True, "id": "x"}
    added = customer.api.post(path, sent, expect=201)["address"]
    assert added == {
        **HOME,
        "id": added["id"],
        "state": None,
        "postal_code": "0150",
        "name": "Ada",
        "phone": "+47",
        "is_default": True,
        "created_at": added["created_at"],
        "updated_at": added["updated_at"],
    }
    changed = customer.api.put(f"{path}/{added['id']}", {"city": "Bergen", "phone": ""})["address"]
    assert changed == {**added, "city": "Bergen", "phone": None, "updated_at": changed["updated_at"]}
    assert customer.api.get(path) == {"addresses": [changed]}
    assert customer.api.delete(f"{path}/{added['id']}") == {"message": "Address deleted successfully"}
    assert customer.api.get(path) == {"addresses": []}
    assert events(customer.id) == {"registered": 1, "address_added": 1, "address_updated": 1, "address_deleted": 1}


def test_a_new_default_takes_the_place_of_the_old_one(customer, path):
    first = customer.api.post(path, {**HOME, "is_default": True}, expect=201)["address"]
    second = customer.api.post(path, {**HOME, "label": "Work", "is_default": True}, expect=201)["address"]
    assert [(row["id"], row["is_default"]) for row in customer.api.get(path)["addresses"]] == [
        (second["id"], True),
        (first["id"], False),
    ]
    customer.api.put(f"{path}/{second['id']}", {"is_default": False})
    assert not any(row["is_default"] for row in customer.api.get(path)["addresses"])


def test_of_fifty_new_defaults_at_once_one_is_left(customer, path, race):
    ids = [customer.api.post(path, {**HOME, "label": f"No {n}"}, expect=201)["address"]["id"] for n in range(5)]
    calls = race(10, "PUT", f"{path}/{ids[0]}", {"is_default": True}, customer.token)
    for address_id in ids:
        calls += race(8, "PUT", f"{path}/{address_id}", {"is_default": True}, customer.token)
    assert {status for status, _ in calls} == {200}
    assert [row["is_default"] for row in customer.api.get(path)["addresses"]].count(True) == 1


def test_a_customer_keeps_twenty_addresses_however_fast_they_come(customer, path, race):
    answers = race(25, "POST", path, {**HOME, "is_default": True}, customer.token)
    assert sorted(status for status, _ in answers) == [201] * 20 + [409] * 5
    full = {"error": "You can keep at most 20 addresses", "code": "address_limit"}
    assert all(body == full for status, body in answers if status == 409)
    assert [row["is_default"] for row in customer.api.get(path)["addresses"]].count(True) == 1


def test_an_address_of_another_is_as_good_as_none(customer, path, api, db):
    from tests.factories import make_customer

    other = make_customer(api, db)
    foreign = other.api.post(f"/api/customers/{other.id}/addresses", HOME, expect=201)["address"]["id"]
    missing = {"error": "Address not found", "code": "address_not_found"}
    for address_id in (foreign, "00000000-0000-4000-8000-000000000000", "17", "%27%20or%201=1"):
        assert customer.api.put(f"{path}/{address_id}", {"city": "Oslo"}, expect=404) == missing
        assert customer.api.delete(f"{path}/{address_id}", expect=404) == missing
    assert len(other.api.get(f"/api/customers/{other.id}/addresses")["addresses"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"label": ""},
        {"street": None},
        {"city": 7},
        {"country": "x" * 101},
        {"postal_code": "x" * 21},
        {"state": "nul\0"},
        {"is_default": "yes"},
        {"is_default": 1},
        {"is_default": None},
        {"phone": "half\ud800"},
    ],
)
def test_bad_addresses_are_refused(customer, path, change):
    assert set(customer.api.post(path, {**HOME, **change}, expect=400)["details"]) == set(change)


def test_an_address_needs_its_four_parts_and_a_change_something(customer, path):
    needed = {"label", "street", "city", "country"}
    assert set(customer.api.post(path, {}, expect=400)["details"]) == needed
    address_id = customer.api.post(path, HOME, expect=201)["address"]["id"]
    assert customer.api.put(f"{path}/{address_id}", {"other": 1}, expect=400)["error"] == "No fields to update"
