"""The fixtures of customers' tests that attacks need as well."""

from tests.customers.conftest import link, newcomer, overlap, race

__all__ = ["link", "newcomer", "overlap", "race"]
