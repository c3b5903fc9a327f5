"""The configuration, under the names of the real PostgREST's environment variables."""

import base64
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

log = logging.getLogger("devstack.postgrest")
ELSEWHERE = {"jwt_secret_is_base64", "server_host", "server_port", "server_unix_socket"}


@dataclass(frozen=True)
class Settings:
    """What one server needs to know; times in seconds."""

    db_uri: str = ""
    db_schemas: tuple[str, ...] = ("public",)
    db_extra_search_path: tuple[str, ...] = ("public",)
    db_anon_role: str | None = None
    db_pre_request: str | None = None
    db_max_rows: int | None = None
    db_pool: int = 10
    db_pool_acquisition_timeout: float = 10.0
    db_channel: str = "pgrst"
    db_tx_end: str = "commit"
    db_hoisted_tx_settings: tuple[str, ...] = ("statement_timeout", "default_transaction_isolation")
    jwt_secret: bytes | None = field(default=None, repr=False)
    jwt_aud: str | None = None
    jwt_role_claim_key: str = ".role"
    max_body: int = 10_000_000
    max_url: int = 64_000

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read PGRST_* variables; raise ValueError for one that cannot be understood."""
        given = {name[6:].lower(): value for name, value in environ.items() if name.startswith("PGRST_")}
        for name in sorted(given.keys() - cls.__dataclass_fields__.keys() - ELSEWHERE):
            log.warning("PGRST_%s is not supported and has no effect", name.upper())
        return cls().changed(given)

    def changed(self, given: Mapping[str, str]) -> "Settings":
        """Return a copy with the given texts (environment or `ALTER ROLE … SET pgrst.…`) in place."""
        new: dict[str, object] = {}
        for name, text in given.items():
            if name == "jwt_secret":
                new[name] = _secret(text, given.get("jwt_secret_is_base64", "")) if text else None
            elif name == "jwt_role_claim_key" and not re.fullmatch(r"""(\.([\w-]+|"[^"]+"))+""", text):
                raise ValueError("PGRST_JWT_ROLE_CLAIM_KEY: only a plain path, as .app_metadata.role, is supported")
            elif name in self.__dataclass_fields__:
                new[name] = _convert(name, text, getattr(type(self), name))
        return replace(self, **new)  # type: ignore[arg-type]


def _convert(name: str, text: str, default: object) -> object:
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(default, float):
        return float(text)
    if isinstance(default, int) or name == "db_max_rows":
        return int(text) if text else None
    return text or None


def _secret(text: str, is_base64: str) -> bytes:
    if text.lstrip().startswith("{"):
        raise ValueError("PGRST_JWT_SECRET: JSON web keys are not supported, give the shared secret")
    secret = base64.urlsafe_b64decode(text + "==") if is_base64.lower() in ("true", "1") else text.encode()
    if len(secret) < 32:
        raise ValueError("PGRST_JWT_SECRET must have at least 32 bytes")
    return secret
