"""Settings that the site's pages need are everybody's to read, all others staff's, masked; staff changes them."""

import re

from flask import g
from marshmallow import INCLUDE, fields

from service.api import Answer, DoneSchema
from service.errors import BadInput, NotFound
from service.fields import ChangeSchema, Schema
from service.guards import staff_or_public, staff_required
from service.settings import blueprint, store
from service.settings.shapes import Settings

KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}\Z", re.ASCII)
KEY_PARAMETER = {"in": "path", "name": "key", "schema": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_.-]{0,99}$"}}


class SettingsBodySchema(ChangeSchema):
    """`{key: value, …}` for any number of settings, or `{"key": …, "value": …}` for one."""

    class Meta:
        unknown = INCLUDE


class SettingBodySchema(Schema):
    value = fields.Raw(required=True, allow_none=True, error_messages={"required": "Is required."})


class SavedSettingsSchema(DoneSchema):
    data = fields.Dict(metadata={"description": "What is stored now, secrets masked"})


class SettingRowSchema(Schema):
    key = fields.String()
    value = fields.Raw()


class SavedSettingSchema(DoneSchema):
    data = fields.List(fields.Nested(SettingRowSchema))


@blueprint.get("")
@staff_or_public
@blueprint.response(200)
def list_settings() -> Settings:
    """Read the settings

    As `{key: value}`: everybody those that the site's pages need, staff with settings_view all, secrets masked.
    """
    return store.read_settings(None, _sees_all())


@blueprint.get("/<key>", parameters=[KEY_PARAMETER])
@staff_or_public
@blueprint.response(200)
def get_setting(key: str) -> Settings:
    """Read one setting, as `{key: value}`"""
    found = store.read_settings(key, _sees_all()) if KEY.match(key) else None
    if not found:
        raise NotFound.of("Setting")
    return found


@blueprint.post("")
@staff_required("settings_edit")
@blueprint.arguments(SettingsBodySchema)
@blueprint.response(200, SavedSettingsSchema)
def save_settings(body: Settings) -> Answer:
    """Save settings

    `{key: value, …}` for any number, `{"key": …, "value": …}` for one. A masked secret that is sent back keeps the
    stored one.
    """
    if set(body) == {"key", "value"}:
        body = {str(body["key"]): body["value"]}
    return {"success": True, "message": "Settings saved successfully", "data": _save(body)}


@blueprint.put("/<key>", parameters=[KEY_PARAMETER])
@staff_required("settings_edit")
@blueprint.arguments(SettingBodySchema)
@blueprint.response(200, SavedSettingSchema)
def save_setting(body: Settings, key: str) -> Answer:
    """Save one setting"""
    saved = _save({key: body["value"]})
    data = [{"key": key, "value": saved[key]}]
    return {"success": True, "message": "Setting saved successfully", "data": data}


@blueprint.delete("/<key>", parameters=[KEY_PARAMETER])
@staff_required("settings_edit")
@blueprint.response(200, DoneSchema)
def delete_setting(key: str) -> Answer:
    """Delete one setting"""
    if not (KEY.match(key) and store.delete_setting(key)):
        raise NotFound.of("Setting")
    return {"success": True, "message": "Setting deleted successfully"}


def _sees_all() -> bool:
    return g.staff is not None and "settings_view" in g.staff["permissions"]


def _save(settings: Settings) -> Settings:
    if not all(KEY.match(key) for key in settings):
        raise BadInput("A setting's key has letters, digits, _ . and - only.", code="validation_failed")
    return store.save_settings(settings)
