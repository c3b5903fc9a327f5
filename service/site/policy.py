"""What a page of the site may load."""

import base64
import functools
import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

from service.config import Config

FOREIGN_SCRIPT = re.compile(rb"<script[^>]*\bsrc\s*=\s*[\"']?(https://[^/\"'\s>]+)", re.IGNORECASE)
FOREIGN_STYLE = re.compile(rb"<link[^>]*\bhref\s*=\s*[\"']?(https://[^/\"'\s>]+)[^>]*>", re.IGNORECASE)
SANE_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?\Z", re.ASCII | re.IGNORECASE)
INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\bsrc\s*=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)


def policy_of(page: Path, config: Config, origin: str) -> str:
    """The Content-Security-Policy of a page that is asked for at that origin.

    It may use itself, Supabase and Stripe; pictures, fonts and frames from anywhere secure.
    """
    local = config.stripe_api_base if not config.is_production else None
    known = (config.supabase_url, config.frontend_url, local and local.rstrip("/"))
    return _policy(page, page.stat().st_ctime_ns, *known, origin if SANE_ORIGIN.match(origin) else "")


def hashes_of(html: bytes) -> list[str]:
    """The inline scripts of a page, as a policy names them."""
    digests = [hashlib.sha256(text).digest() for text in INLINE_SCRIPT.findall(html)]
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


@functools.lru_cache(maxsize=32)
def _policy(
    page: Path, changed_at: int, supabase_url: str, frontend_url: str, local_stripe: str | None, origin: str
) -> str:
    """What the built page names itself is the site's own choice: its inline scripts are allowed by the hashes of their
    texts, other hosts of scripts and styles by name. ``changed_at`` makes the page be read anew.
    Stripe's hosts: https://docs.stripe.com/security/guide#content-security-policy

    The page may connect to its own origin by name, not by 'self': that takes in websockets (CSP 3, 6.7.2.8), and
    supabase-js tries the one of /realtime/v1 once a second for ever, unless the browser refuses it.
    """
    supabase = "{0.scheme}://{0.netloc}".format(urlsplit(supabase_url))
    stripe = ["https://js.stripe.com", "https://*.js.stripe.com"]
    local = [local_stripe] if local_stripe else []
    html = page.read_bytes()
    scripts, styles = ([host.decode() for host in found.findall(html)] for found in (FOREIGN_SCRIPT, FOREIGN_STYLE))
    api = [supabase, supabase.replace("http", "ws", 1), "https://api.stripe.com"]
    rules = {
        "default-src": ["'self'"],
        "script-src": ["'self'", *hashes_of(html), *stripe, *local, *scripts],
        "style-src": ["'self'", "'unsafe-inline'", "https://fonts.googleapis.com", *styles],
        "font-src": ["'self'", "data:", "https:"],
        "img-src": ["'self'", "data:", "blob:", "https:", supabase],
        "media-src": ["'self'", "data:", "blob:", "https:"],
        "connect-src": [*filter(None, (origin, frontend_url)), *api, *stripe, *local],
        "frame-src": ["'self'", "https:", *local],  # Stripe's own, and a map or a film in a page
        "worker-src": ["'self'", "blob:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'"],
    }
    return "; ".join(f"{name} {' '.join(dict.fromkeys(sources))}" for name, sources in rules.items())
