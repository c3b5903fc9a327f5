"""Settings in the database, through their SQL functions (20251027000001_add_settings_functions.sql)."""

from typing import Any

from service.database import rpc, run, table


def read_settings(key: str | None, is_staff: bool) -> dict[str, Any]:
    """{key: value}; those with secrets only for staff, and then masked."""
    return rpc("read_settings", p_key=key, p_is_staff=is_staff)


def save_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Insert or replace settings; secrets that come masked keep their stored value. What is stored now, masked."""
    return rpc("save_settings", p_settings=settings)


def delete_setting(key: str) -> bool:
    """Whether there was one to delete."""
    return bool(run(table("site_settings").delete().eq("key", key)))


def set_logo(url: str | None) -> dict[str, Any]:
    """Set or clear the logo among the general settings: {settings, previous}."""
    return rpc("set_logo", p_logo_url=url)
