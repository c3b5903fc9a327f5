"""What a page of the site may load."""

import base64
import functools
import hashlib
import re
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

from service.config import Config
from service.payments.gateways import configured

FOREIGN_SCRIPT = re.compile(rb"<script[^>]*\bsrc\s*=\s*[\"']?(https://[^/\"'\s>]+)", re.IGNORECASE)
FOREIGN_STYLE = re.compile(rb"<link[^>]*\bhref\s*=\s*[\"']?(https://[^/\"'\s>]+)[^>]*>", re.IGNORECASE)
SANE_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?\Z", re.ASCII | re.IGNORECASE)
INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\bsrc\s*=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)

Host = tuple[str, tuple[str, ...]]  # a directive and what it lets in


def policy_of(page: Path, config: Config, origin: str) -> str:
    """The Content-Security-Policy of a page that is asked for at that origin.

    It may use itself, Supabase and the gateways it can be paid by; pictures, fonts and frames from anywhere secure.
    """
    hosts = [adapter.find_hosts(config).items() for adapter in configured(config)]
    known = (config.supabase_url, config.frontend_url, tuple(chain.from_iterable(hosts)))
    return _policy(page, page.stat().st_ctime_ns, *known, origin if SANE_ORIGIN.match(origin) else "")


def hashes_of(html: bytes) -> list[str]:
    """The inline scripts of a page, as a policy names them."""
    digests = [hashlib.sha256(text).digest() for text in INLINE_SCRIPT.findall(html)]
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


@functools.lru_cache(maxsize=32)
def _policy(
    page: Path, changed_at: int, supabase_url: str, frontend_url: str, hosts: tuple[Host, ...], origin: str
) -> str:
    """What the built page names itself is the site's own choice: its inline scripts are allowed by the hashes of their
    texts, other hosts of scripts and styles by name. ``changed_at`` makes the page be read anew.

    The page may connect to its own origin by name, not by 'self': that takes in websockets (CSP 3, 6.7.2.8), and
    supabase-js tries the one of /realtime/v1 once a second for ever, unless the browser refuses it.
    """
    supabase = "{0.scheme}://{0.netloc}".format(urlsplit(supabase_url))
    html = page.read_bytes()
    scripts, styles = ([host.decode() for host in found.findall(html)] for found in (FOREIGN_SCRIPT, FOREIGN_STYLE))
    api = [supabase, supabase.replace("http", "ws", 1)]
    rules = {
        "default-src": ["'self'"],
        "script-src": ["'self'", *hashes_of(html), *scripts],
        "style-src": ["'self'", "'unsafe-inline'", "https://fonts.googleapis.com", *styles],
        "font-src": ["'self'", "data:", "https:"],
        "img-src": ["'self'", "data:", "blob:", "https:", supabase],
        "media-src": ["'self'", "data:", "blob:", "https:"],
        "connect-src": [*filter(None, (origin, frontend_url)), *api],
        "frame-src": ["'self'", "https:"],  # a gateway's own, and a map or a film in a page
        "worker-src": ["'self'", "blob:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'"],
    }
    for directive, named in hosts:
        rules[directive] += named
    return "; ".join(f"{name} {' '.join(dict.fromkeys(sources))}" for name, sources in rules.items())
