"""Whether the process lives, and whether what it needs is there."""

import time
from datetime import UTC, datetime
from typing import Any

from service.api import Blueprint
from service.guards import public

blueprint = Blueprint("health", __name__, url_prefix="/api", description="Is it alive, is it ready")

STARTED = time.monotonic()


@blueprint.get("/health")
@public
@blueprint.response(200)
def get_health() -> dict[str, Any]:
    """Say that the process lives

    Without any I/O.
    """
    return {"status": "ok", "timestamp": datetime.now(UTC).isoformat(), "uptime": round(time.monotonic() - STARTED, 3)}
