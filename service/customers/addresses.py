"""A customer's address book."""

from typing import Any

from flask import g

from service.customers import blueprint, store
from service.customers.schemas import (
    AddAddressSchema,
    AddressAnswerSchema,
    AddressesSchema,
    MessageSchema,
    UpdateAddressSchema,
)
from service.errors import NotFound
from service.guards import customer_required, is_uuid, request_info


@blueprint.get("/<customer_id>/addresses")
@customer_required
@blueprint.response(200, AddressesSchema)
def list_addresses(customer_id: str) -> dict[str, Any]:
    """List the address book, the default first"""
    return {"addresses": store.list_addresses(g.customer["id"])}


@blueprint.post("/<customer_id>/addresses")
@customer_required
@blueprint.arguments(AddAddressSchema)
@blueprint.response(201, AddressAnswerSchema)
def add_address(fields: dict[str, Any], customer_id: str) -> dict[str, Any]:
    """Add an address

    A new default takes the place of the old one. 409 `address_limit` beyond 20.
    """
    return {"address": store.save_address(g.customer["id"], None, fields, request_info())}


@blueprint.put("/<customer_id>/addresses/<address_id>")
@customer_required
@blueprint.arguments(UpdateAddressSchema)
@blueprint.response(200, AddressAnswerSchema)
def update_address(fields: dict[str, Any], customer_id: str, address_id: str) -> dict[str, Any]:
    """Change an address, in the fields that are sent"""
    return {"address": store.save_address(g.customer["id"], _known(address_id), fields, request_info())}


@blueprint.delete("/<customer_id>/addresses/<address_id>")
@customer_required
@blueprint.response(200, MessageSchema)
def delete_address(customer_id: str, address_id: str) -> dict[str, str]:
    """Delete an address"""
    store.delete_address(g.customer["id"], _known(address_id), request_info())
    return {"message": "Address deleted successfully"}


def _known(address_id: str) -> str:
    if not is_uuid(address_id):
        raise NotFound("Address not found", code="address_not_found")
    return address_id
