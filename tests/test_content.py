"""The four content tables, alike: staff lists, shows, makes, changes and deletes their rows."""

from dataclasses import dataclass

import psycopg
import pytest

from tests.sure import fetch_row

MISSING_UUID = "00000000-0000-4000-8000-000000000000"


@dataclass
class Case:
    name: str
    noun: str
    row: dict
    change: dict
    bad: list[dict]


CASES = [
    Case(
        "destinations",
        "Destination",
        {
            **{"name": "Pokhara", "region": "Gandaki", "description": "A lake\nand hills.", "image": "https://x/y.jpg"},
            **{"featured": True, "altitude": 822, "best_season": "Autumn", "distance": 200},
            **{"average_temperature": "20", "accommodation": "Hotels", "difficulty": "Easy", "attractions": ["Lake"]},
            **{"activities": [], "best_for": ["Families"], "latitude": 28.2, "longitude": 83.9},
        },
        {"name": "Bhaktapur", "latitude": None},
        [
            {"name": ""},
            {"name": None},
            {"latitude": 91},
            {"altitude": "822 m"},
            {"distance": -1},
            {"attractions": "Lake"},
            {"featured": "perhaps"},
            {"name": 5},
        ],
    ),
    Case(
        "packages",
        "Package",
        {
            **{"title": "Trek", "description": "Up and down.", "price": 299.99, "duration": 4, "image": "x.jpg"},
            **{"destinations": ["Pokhara"], "featured": False, "rating": 4.5, "accommodations": "Tea houses"},
            **{"included": ["Guide"], "excluded": ["Flights"]},
        },
        {"price": "310", "duration": "5"},
        [
            {"price": -1},
            {"price": "x"},
            {"price": None},
            {"price": 1e9},
            {"duration": 0},
            {"rating": 6},
            {"title": "a\x00"},
        ],
    ),
    Case(
        "gallery",
        "Picture",
        {
            "title": "Fishtail",
            "location": "Pokhara",
            "image": "a",
            "description": "b",
            "image_url": "a",
            "category": "d",
        },
        {"category": "d"},
        [{"title": ""}, {"title": ["x"]}, {"location": "x" * 301}],
    ),
    Case(
        "testimonials",
        "Testimonial",
        {
            **{"name": "Ada", "avatar": "", "image": "", "location": "London", "rating": 5, "message": "Fine."},
            **{"status": "pending", "date": "2026-01-31"},
        },
        {"rating": 4, "status": "rejected"},
        [{"rating": 6}, {"rating": 0}, {"rating": 4.5}, {"status": "done"}, {"date": "soon"}, {"message": ""}],
    ),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request) -> Case:
    return request.param


def test_a_row_lives(case: Case, staff):
    admin = staff().api
    path = f"/api/{case.name}"
    body = admin.post(path, {**case.row, "id": 99, "created_at": "2000-01-01", "owner": "me"}, expect=201)
    assert body["success"] is True
    row = body["data"]
    assert {**case.row, "id": row["id"], "created_at": row["created_at"]} == row
    assert row["id"] != 99 and not row["created_at"].startswith("2000")
    assert admin.get(f"{path}/{row['id']}") == row
    body = admin.put(f"{path}/{row['id']}", {**case.change, "id": 7})
    changed = {**row, **case.change}
    if case.name == "packages":
        changed.update(price=310, duration=5)
    assert body == {"success": True, "data": changed}
    assert admin.delete(f"{path}/{row['id']}") == {"success": True, "message": f"{case.noun} deleted successfully"}
    assert admin.get(f"{path}/{row['id']}", expect=404) == {
        "error": f"{case.noun} not found",
        "code": f"{case.noun.lower()}_not_found",
    }


def test_the_list_is_bare_and_newest_first(case: Case, staff):
    admin = staff().api
    made = [admin.post(f"/api/{case.name}", case.row, expect=201)["data"] for _ in range(2)]
    rows = staff("Guide").api.get(f"/api/{case.name}")
    assert rows[:2] == made[::-1]


@pytest.mark.parametrize(
    "path", ["99999999", "0", "abc", "1e3", "9" * 25, "00000000-0000-4000-8000-000000000000", "%00"]
)
def test_a_row_that_is_not_there(path: str, case: Case, staff):
    admin = staff().api
    missing = {"error": f"{case.noun} not found", "code": f"{case.noun.lower()}_not_found"}
    assert admin.get(f"/api/{case.name}/{path}", expect=404) == missing
    assert admin.put(f"/api/{case.name}/{path}", case.change, expect=404) == missing
    assert admin.delete(f"/api/{case.name}/{path}", expect=404) == missing


def test_bad_values_are_refused(case: Case, staff):
    admin = staff().api
    row_id = admin.post(f"/api/{case.name}", case.row, expect=201)["data"]["id"]
    for bad in case.bad:
        for answer in (
            admin.post(f"/api/{case.name}", {**case.row, **bad}, expect=400),
            admin.put(f"/api/{case.name}/{row_id}", bad, expect=400),
        ):
            assert set(answer["details"]) == set(bad)
    assert admin.put(f"/api/{case.name}/{row_id}", {"owner": "me"}, expect=400)["error"] == "No fields to update"
    assert "details" in admin.post(f"/api/{case.name}", {}, expect=400)


def test_a_measure_may_come_from_a_form(staff):
    row = staff().api.post("/api/destinations", {"name": "Pokhara", "altitude": "822", "distance": 12}, expect=201)[
        "data"
    ]
    assert (row["altitude"], row["distance"], row["region"], row["attractions"]) == (822, 12, "", [])


def test_a_picture_has_one_address_under_two_names(staff):
    admin = staff().api
    row = admin.post("/api/gallery", {"title": "Fishtail", "image_url": "a.jpg"}, expect=201)["data"]
    assert (row["image"], row["image_url"], row["location"]) == ("a.jpg", "a.jpg", "")
    for change in ({"image": "b.jpg"}, {"image_url": "c.jpg"}):
        row = admin.put(f"/api/gallery/{row['id']}", change)["data"]
        assert row["image"] == row["image_url"] == next(iter(change.values()))


def test_approving_publishes(staff, db: psycopg.Connection):
    made = "insert into testimonials (name, rating, message) values ('Ada', 5, 'Fine') returning id"
    (row_id,) = fetch_row(db, made)
    body = staff("Manager").api.patch(f"/api/testimonials/{row_id}/approve")
    assert (body["success"], body["data"]["id"], body["data"]["status"]) == (True, row_id, "published")
    assert staff().api.patch("/api/testimonials/99999999/approve", expect=404)["code"] == "testimonial_not_found"
    assert staff().api.patch("/api/testimonials/abc/approve", expect=404)["code"] == "testimonial_not_found"
