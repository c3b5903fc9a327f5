import json

import pytest


@pytest.fixture
def run(app):
    """Runs `flask customers …`: (exit code, output)."""

    def invoke(*words: str) -> tuple[int, str]:
        result = app.test_cli_runner().invoke(args=["customers", *words])
        return result.exit_code, result.output

    return invoke


def test_staff_verify_suspend_and_reactivate_customers(run, api, newcomer, events):
    email = newcomer["email"]
    me = api.signed_in(newcomer["token"])
    assert json.loads(run("show", email.upper())[1])["status"] == "pending"
    assert json.loads(run("verify", email, "--by", "sam@jklg.example")[1])["status"] == "active"
    assert json.loads(run("suspend", email)[1])["status"] == "suspended"
    me.get("/api/customers/me", expect=401)
    assert json.loads(run("reactivate", email)[1])["status"] == "active"
    me.get("/api/customers/me", expect=401)
    api.post("/api/customers/login", {"email": email, "password": newcomer["password"]})
    assert events(newcomer["customerId"]) == {
        "registered": 1, "verified": 1, "suspended": 1, "reactivated": 1, "logged_in": 1
    }  # fmt: skip


@pytest.mark.parametrize("command", ["show", "verify", "suspend", "reactivate"])
def test_an_unknown_address_is_said_and_fails(run, command):
    code, output = run(command, "nobody@example.com")
    assert code == 1 and "ustomer" in output


def test_the_actor_is_in_the_audit_log(run, db, newcomer):
    run("verify", newcomer["email"], "--by", "sam@jklg.example")
    query = "select actor from customer_events where customer_id = %s and name = 'verified'"
    assert db.execute(query, [newcomer["customerId"]]).fetchone() == ("sam@jklg.example",)
