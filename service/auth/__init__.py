"""Staff sign-in: `/api/auth`."""

from service.api import Blueprint

blueprint = Blueprint("auth", __name__, url_prefix="/api/auth", description="Sign-in of staff")

from service.auth import invitation, password, sessions  # noqa: E402, F401  the views register themselves
