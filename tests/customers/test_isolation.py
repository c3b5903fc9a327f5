from concurrent.futures import ThreadPoolExecutor

from tests.factories import make_booking, make_customer

HOME = {"label": "Home", "street": "1 Main", "city": "Oslo", "country": "NO"}


def test_customers_served_at_the_same_time_never_see_each_others_rows(api, db):
    people = [make_customer(api, db, name=f"Person {n}") for n in range(2)]
    for person in people:
        make_booking(db, customer_id=person.id, package=f"Trip of {person.id}")
        person.api.post(f"/api/customers/{person.id}/addresses", {**HOME, "label": person.id[:8]}, expect=201)

    def look(number: int) -> None:
        person = people[number % 2]
        path = f"/api/customers/{person.id}"
        client = api.signed_in(person.token)
        assert client.get("/api/customers/me")["customer"]["id"] == person.id
        assert [b["packageName"] for b in client.get(f"{path}/bookings")["bookings"]] == [f"Trip of {person.id}"]
        assert [a["label"] for a in client.get(f"{path}/addresses")["addresses"]] == [person.id[:8]]
        assert client.put(path, {"phone": person.id[:8]})["customer"]["phone"] == person.id[:8]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(look, range(200)))
