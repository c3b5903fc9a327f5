"""The whole journey over plain HTTP: gunicorn, worker, webhook and all; what `make demo` shows."""

from contextlib import closing

from devstack.demo import Journey, travel
from devstack.stack import Stack


def test_from_the_registration_to_the_refund(served: Stack):
    key = served.secrets["stripe_publishable_key"]
    with closing(Journey(served.url("service"), served.url("stripe"), served.url("mailbox"), key)) as journey:
        travel(journey)
