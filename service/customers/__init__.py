"""Customer accounts: `/api/customers`."""

from service.api import Blueprint

blueprint = Blueprint("customers", __name__, url_prefix="/api/customers", description="Customer accounts")
