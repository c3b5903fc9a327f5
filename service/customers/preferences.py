"""A customer's preferences."""

from service.api import Answer
from service.customers import blueprint, store
from service.customers.schemas import PreferencesAnswerSchema, PreferencesSchema
from service.fields import Changes
from service.guards import customer_required


@blueprint.get("/<customer_id>/preferences")
@customer_required
@blueprint.response(200, PreferencesAnswerSchema)
def get_preferences(customer_id: str) -> Answer:
    """Show the preferences"""
    return {"preferences": store.get_preferences(customer_id)}


@blueprint.put("/<customer_id>/preferences")
@customer_required
@blueprint.arguments(PreferencesSchema)
@blueprint.response(200, PreferencesAnswerSchema)
def update_preferences(changes: Changes, customer_id: str) -> Answer:
    """Change those preferences that are sent"""
    return {"preferences": store.update_preferences(customer_id, changes)}
