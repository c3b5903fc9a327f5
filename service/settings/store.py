"""Every PostgREST call about settings. All functions raise ``ServiceError``, also when the database is away."""

from service.database import Row, rpc, run, table
from service.settings.shapes import ChangedLogo, Settings


def read_settings(key: str | None, is_staff: bool) -> Settings:
    """{key: value}; the public ones, or all with their secrets masked."""
    return rpc("read_settings", p_key=key, p_is_staff=is_staff)


def save_settings(settings: Settings) -> Settings:
    """Insert or replace settings; secrets that come masked keep their stored value. What is stored now, masked."""
    return rpc("save_settings", p_settings=settings)


def delete_setting(key: str) -> bool:
    """Whether there was one to delete."""
    deleted: list[Row] = run(table("site_settings").delete().eq("key", key))
    return bool(deleted)


def set_logo(url: str | None) -> ChangedLogo:
    """Set or clear the logo among the general settings."""
    return rpc("set_logo", p_logo_url=url)
