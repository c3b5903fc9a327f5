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
        list(threads.map(look, range(120)))


def test_without_the_databases_secret_the_same_calls_go_as_the_service(client_with, customer, api, db):
    """A project with other signing keys: the second lock is off, the filters are not."""
    plain = client_with(SUPABASE_JWT_SECRET=None, JWT_SECRET=api.app.extensions["config"].jwt_secret)
    me = plain.signed_in(customer.token)
    other = make_customer(api, db)
    theirs = other.api.post(f"/api/customers/{other.id}/addresses", HOME, expect=201)["address"]["id"]
    make_booking(db, customer_id=other.id)
    path = f"/api/customers/{customer.id}"
    assert me.put(path, {"name": "Ada"})["customer"]["name"] == "Ada"
    mine = me.post(f"{path}/addresses", HOME, expect=201)["address"]["id"]
    assert [row["id"] for row in me.get(f"{path}/addresses")["addresses"]] == [mine]
    me.delete(f"{path}/addresses/{theirs}", expect=404)
    me.put(f"{path}/addresses/{theirs}", {"city": "Bergen"}, expect=404)
    assert me.get(f"{path}/bookings")["bookings"] == []
    assert me.put(f"{path}/preferences", {"sms": True})["preferences"]["sms"] is True
