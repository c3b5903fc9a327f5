"""Staff accounts: `/api/users`."""

from service.api import Blueprint

blueprint = Blueprint("users", __name__, url_prefix="/api/users", description="Staff accounts")

from service.users import accounts  # noqa: E402, F401  the views register themselves
