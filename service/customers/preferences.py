"""A customer's preferences."""

from typing import Any

from flask import g

from service.customers import blueprint, store
from service.customers.schemas import PreferencesAnswerSchema, PreferencesSchema
from service.guards import customer_required, request_info


@blueprint.get("/<customer_id>/preferences")
@customer_required
@blueprint.response(200, PreferencesAnswerSchema)
def get_preferences(customer_id: str) -> dict[str, Any]:
    """Show the preferences"""
    return {"preferences": store.get_preferences(g.customer["id"])}


@blueprint.put("/<customer_id>/preferences")
@customer_required
@blueprint.arguments(PreferencesSchema)
@blueprint.response(200, PreferencesAnswerSchema)
def update_preferences(changes: dict[str, Any], customer_id: str) -> dict[str, Any]:
    """Change those preferences that are sent"""
    return {"preferences": store.update_preferences(g.customer["id"], changes, request_info())}
