"""Settings of the site: `/api/settings`."""

from service.api import Blueprint

blueprint = Blueprint("settings", __name__, url_prefix="/api/settings", description="Settings of the site")

from service.settings import entries, logo  # noqa: E402, F401  the views register themselves
