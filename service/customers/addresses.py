"""A customer's address book."""

from service.api import Answer, MessageSchema
from service.customers import blueprint, store
from service.customers.schemas import AddAddressSchema, AddressAnswerSchema, AddressesSchema, UpdateAddressSchema
from service.fields import Changes
from service.guards import customer_required


@blueprint.get("/<customer_id>/addresses")
@customer_required
@blueprint.response(200, AddressesSchema)
def list_addresses(customer_id: str) -> Answer:
    """List the address book, the default first"""
    return {"addresses": store.list_addresses(customer_id)}


@blueprint.post("/<customer_id>/addresses")
@customer_required
@blueprint.arguments(AddAddressSchema)
@blueprint.response(201, AddressAnswerSchema)
def add_address(fields: Changes, customer_id: str) -> Answer:
    """Add an address

    A new default takes the place of the old one. 409 `address_limit` beyond 20.
    """
    return {"address": store.save_address(customer_id, None, fields)}


@blueprint.put("/<customer_id>/addresses/<address_id>")
@customer_required
@blueprint.arguments(UpdateAddressSchema)
@blueprint.response(200, AddressAnswerSchema)
def update_address(fields: Changes, customer_id: str, address_id: str) -> Answer:
    """Change an address, in the fields that are sent"""
    return {"address": store.save_address(customer_id, address_id, fields)}


@blueprint.delete("/<customer_id>/addresses/<address_id>")
@customer_required
@blueprint.response(200, MessageSchema)
def delete_address(customer_id: str, address_id: str) -> Answer:
    """Delete an address"""
    store.delete_address(customer_id, address_id)
    return {"message": "Address deleted successfully"}
