"""What the server has to know of the routes before a thread is given to a request."""

import re

# Threads per lane; what has none named goes by WEB_THREADS. Nothing in one lane waits for what is in another.
LANES: dict[str, int | None] = {"health": 1, "passwords": 4, "others": None}
# They run bcrypt, tens of milliseconds of a core each.
PASSWORDS = re.compile(
    r"(?:/api)?/(?:customers|auth)/(?:register|login|change-password|reset-password|accept-invitation)/?\Z|/api/users\b"
)
MAX_BODY = 1_000_000  # bytes, as Config.max_body_bytes
LARGER = {"/api/settings/logo": 5_100_000}


def lane_of(method: str, path: str) -> str:
    """The lane whose threads serve a request."""
    if path == "/api/health":
        return "health"
    if method in ("POST", "PUT") and PASSWORDS.match(path):
        return "passwords"
    return "others"


def max_body(path: str) -> int:
    """Bytes of a body that are gathered; a view that gets more refuses it."""
    return LARGER.get(path.rstrip("/"), MAX_BODY)
